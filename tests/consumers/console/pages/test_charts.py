"""What the templates of charts draw."""

from consumers.console.pages.charts import Chart, Line, Unit
from consumers.console.pages.overview import CHARTS


def test_lines_can_be_told_apart() -> None:
    assert all(1 <= len(chart.lines) <= 3 for chart in CHARTS)
    assert all(len({line.label for line in chart.lines}) == len(chart.lines) for chart in CHARTS)
    assert len({line.field for chart in CHARTS for line in chart.lines}) == sum(len(chart.lines) for chart in CHARTS)


def test_a_chart_is_plain_unless_it_says_otherwise() -> None:
    chart = Chart("Memory", Unit.BYTES, [Line("memory")])
    assert (chart.unit, chart.logarithmic, chart.key, chart.lines[0].label) == ("bytes", False, "", "")
