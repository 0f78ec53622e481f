"""What the RQ workers of test_rq.py run. Runs are counted in the broker itself."""

from rq import get_current_job


def _count(name: str) -> int:
    job = get_current_job()
    assert job is not None
    return int(job.connection.hincrby("runs", name, 1))


def double(number: int) -> int:
    _count(f"double {number}")
    return number * 2


def third_time(name: str) -> int:
    """Fails twice, and returns how often it was run."""
    run = _count(name)
    if run < 3:
        raise ValueError(f"run {run}")
    return run


def sum_of_dependencies() -> int:
    job = get_current_job()
    assert job is not None
    return sum(dependency.return_value() for dependency in job.fetch_dependencies())
