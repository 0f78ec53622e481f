"""Durations as commands and the console show them."""

__all__ = ["age"]


def age(seconds: float) -> str:
    """A duration in its two largest units, such as 1d3h, 2m5s, or 0.4s."""
    if seconds < 10:
        return f"{seconds:.1f}s"
    whole = int(seconds)
    for size, unit, smaller, smaller_unit in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= size:
            return f"{whole // size}{unit}{whole % size // smaller}{smaller_unit}"
    return f"{whole}s"
