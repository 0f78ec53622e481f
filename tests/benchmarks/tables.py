"""Markdown tables, which is the form that docs/benchmarks.md keeps figures in."""

from collections.abc import Sequence


def head(names: Sequence[str]) -> str:
    return row(names) + "\n|" + "---|" * len(names)


def row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def table(title: str, names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table under a heading."""
    return "\n".join((f"\n### {title}\n", head(names), *map(row, rows)))
