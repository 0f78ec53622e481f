"""What `make mutants` is told: its parts and tests are there, and what it explains can still be put into the code."""

import pytest

from tests.mutations import EXPLAINED, PARTS, ROOT, Part, faults


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
def test_sources_and_tests_are_there(part: Part) -> None:
    for pattern in part.sources:
        assert list(ROOT.glob(pattern)), pattern
    for path in (*part.tests, *part.slower):
        assert (ROOT / path).exists(), path


def test_each_explained_fault_can_be_made() -> None:
    paths = {name.partition(": ")[0] for name in EXPLAINED}
    assert set(EXPLAINED) <= {fault.name for path in paths for fault in faults(path)}


def test_a_fault_is_one_change() -> None:
    path = "broker/keyspace/sizes.py"
    source = (ROOT / path).read_text()
    made = [fault.apply() for fault in faults(path)]
    assert made and len(set(made)) == len(made)
    for text in made:
        compile(text, path, "exec")
        assert text != source
