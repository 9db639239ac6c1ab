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


def mix(weights: Mapping[str, float]) -> str:
    """A weighted sum: `0.2 format + 1 click`."""
    return " + ".join(f"{weight:g} {name.replace('_', ' ')}" for name, weight in weights.items())
