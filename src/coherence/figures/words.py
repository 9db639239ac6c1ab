"""Numbers as captions and tables spell them."""

from collections.abc import Mapping
from typing import Any

import pandas as pd


def span(values: "pd.Series[Any]", digits: int = 2) -> str:
    """Lowest to highest, or the one number if both look alike; `-` where all are missing."""
    if values.isna().all():
        return "-"
    low, high = f"{values.min():.{digits}f}", f"{values.max():.{digits}f}"
    return low if low == high else f"{low} to {high}"


def mean(values: "pd.Series[Any]", digits: int = 2) -> str:
    """The mean; `-` where all are missing."""
    return "-" if values.isna().all() else f"{values.mean():.{digits}f}"


def seeds(count: int) -> str:
    """`1 seed`, `3 seeds`."""
    return f"{count} seed" if count == 1 else f"{count} seeds"


def bootstrapped(options: Mapping[str, Any], count: int) -> str:
    """What the intervals of a figure are; `options` has their resamples and level, `count` is the number of seeds."""
    how = f"{options['level']:.0%} percentile intervals from {options['resamples']} bootstrap resamples of"
    return (
        f"{how} seeds and units, widened by Student's t for {count} seeds" if count > 1 else f"{how} units (one seed)"
    )


def mix(weights: Mapping[str, float]) -> str:
    """A weighted sum: `0.2 format + 1 click`."""
    return " + ".join(f"{weight:g} {name.replace('_', ' ')}" for name, weight in weights.items())
