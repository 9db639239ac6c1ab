"""The look of all figures: page widths, one colour per arm, and helpers that put labels where the lines are."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import matplotlib
import matplotlib.style
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.text import Text

Point = tuple[float, float]
HASHED_FILES = ("paper.mplstyle",)
SINGLE, DOUBLE = 3.4, 7.0
"""Widths (in) of one and of two columns of a page."""

INK, MUTED, RULE = "#333333", "#767676", "#bdbdbd"
ARMS = {"sft": ("#4d4d4d", "o"), "task": ("#0072b2", "s"), "carl": ("#d55e00", "^"), "task+carl": ("#009e73", "D")}
MORE = (("#cc79a7", "v"), ("#e69f00", "P"), ("#56b4e9", "X"), ("#8c564b", "*"))
"""Okabe and Ito's palette, told apart by colour-blind readers; markers tell the arms apart without colour."""
START = "sft"
"""The start stands among the arms, under this name."""
ARM_NAMES = {START: "SFT start"}
DASHES = (0, (3, 1.6))
"""Of runs that did not end as they should."""
ROUNDS = 200
"""In which labels are moved apart; a handful of labels settle long before."""


@contextmanager
def paper_style() -> Iterator[None]:
    """The paper's settings and no others: a person's own matplotlibrc has no say. Make, draw and save inside it."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.style.use(Path(__file__).with_name(HASHED_FILES[0]))
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure (inches) that no global state knows of."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def arm_order(arms: Iterable[str]) -> list[str]:
    """The arms, each once: those that have a fixed look first, the start leading, then the others by name."""
    found = set(arms)
    return [arm for arm in ARMS if arm in found] + sorted(found - set(ARMS))


def arm_looks(arms: Iterable[str]) -> dict[str, tuple[str, str]]:
    """(colour, marker) per arm, in order: the known arms have their own in every study, others take the rest."""
    names = arm_order(arms)
    others = [arm for arm in names if arm not in ARMS]
    looks = ARMS | {arm: MORE[i % len(MORE)] for i, arm in enumerate(others)}
    return {arm: looks[arm] for arm in names}


def arm_name(arm: str) -> str:
    """How an arm is called in print."""
    return ARM_NAMES.get(arm, arm)


def title(ax: Axes, letter: str, text: str) -> None:
    """Panel letter and what the panel shows."""
    ax.set_title(rf"$\bf{{{letter}}}$  {text}")


def spread(
    values: Sequence[float], gap: float | Sequence[float], within: tuple[float, float] = (-np.inf, np.inf)
) -> list[float]:
    """The values moved apart, in their order and no more than needed, until neighbours are `gap` apart.

    A list gives the gap before each value (the first one of it is not used). Overlaps are shared by both sides; no
    value leaves the range `within`, if there is room in it.
    """
    order = np.argsort(values, kind="stable")
    placed = np.asarray(values, dtype=float)[order]
    gaps = np.broadcast_to(np.asarray(gap, dtype=float), placed.shape)[order][1:]
    for _ in range(ROUNDS):
        for i, need in enumerate(gaps):
            push = max(0.0, need - (placed[i + 1] - placed[i])) / 2
            placed[i] -= push
            placed[i + 1] += push
        placed = np.clip(placed, *within)
    result = np.empty_like(placed)
    result[order] = placed
    return [float(value) for value in result]


def note(ax: Axes, text: str, point: Point, offset: Point, colour: str, **how: Any) -> Text:
    """Write a small text at an offset (pt) from a point; returns it."""
    return ax.annotate(text, point, xytext=offset, textcoords="offset points", fontsize=7, color=colour, **how)


def beside(ax: Axes, text: str, point: Point, side: Literal["left", "right"], colour: str) -> Text:
    """Write a text to the left or right of a point; returns it."""
    x, ha = (4, "left") if side == "right" else (-4, "right")
    return note(ax, text, point, (x, 0), colour, ha=ha, va="center", annotation_clip=False)


def halo(text: Text) -> None:
    """A white rim, for a text that stands among lines."""
    text.set_path_effects([withStroke(linewidth=2, foreground="white")])


def name_points(ax: Axes, points: Mapping[str, tuple[float, float, float]], gap: float) -> None:
    """Write each arm's name beside its point (x from, x to, y), on the side that has room, names `gap` apart."""
    middle = sum(ax.get_xlim()) / 2
    heights = spread([y for _, _, y in points.values()], gap)
    for (arm, (low, high, _)), height in zip(points.items(), heights, strict=True):
        is_left = low + high < 2 * middle
        place = (high if is_left else low, height)
        text = beside(ax, arm_name(arm), place, "right" if is_left else "left", arm_looks(points)[arm][0])
        halo(text)


def label_ends(ax: Axes, ends: Mapping[str, tuple[float, float]], colours: Mapping[str, str], gap: float) -> None:
    """Write each line's name to the right of its end (x, y), names `gap` (axis units) apart, none below the axis."""
    heights = spread([y for _, y in ends.values()], gap, (ax.get_ylim()[0], np.inf))
    for (name, (x, _)), height in zip(ends.items(), heights, strict=True):
        beside(ax, arm_name(name), (x, height), "right", colours[name])


def running_median(values: npt.ArrayLike, window: int) -> npt.NDArray[np.float64]:
    """Centred running median over `window` values (odd); it narrows towards the ends, which keep their values."""
    array = np.asarray(values, dtype=float)
    reach = [min(window // 2, i, len(array) - 1 - i) for i in range(len(array))]
    return np.array([np.median(array[i - r : i + r + 1]) for i, r in enumerate(reach)])
