"""Options of the whole test run."""

import os

import hypothesis
import pytest

# On a busy machine the time that an example takes means nothing. Each run draws the same examples, so that it fails for
# what was changed; `--hypothesis-profile=explore` draws others.
hypothesis.settings.register_profile("trimaran", deadline=None, derandomize=True)
hypothesis.settings.register_profile("explore", deadline=None)
hypothesis.settings.load_profile("trimaran")


def pytest_xdist_auto_num_workers() -> int:
    """Half as many again as there are cores: tests that run processes wait for them half of the time."""
    return -(-3 * (os.cpu_count() or 1) // 2)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--oracle-examples",
        metavar="N",
        type=int,
        help="generated scripts per oracle test, instead of each test's own small number",
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--oracle-examples") is not None:
        os.environ["TRIMARAN_ORACLE_EXAMPLES"] = str(config.getoption("--oracle-examples"))
