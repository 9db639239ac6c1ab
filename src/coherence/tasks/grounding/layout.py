"""The words, the screen and the sentences of the embedded task.

A screen of 100 x 100 pixels has 12 panels (columns, each fixing x) and 12 widgets (rows, each fixing y). Where they
lie is held in the weights, not shown in the prompt, so a held-out cell is solved by composing two names.
"""

from dataclasses import dataclass

import numpy as np

PANELS = ("attic", "barn", "cellar", "dock", "farm", "garden", "hall", "kitchen", "library", "mill", "park", "tower")
WIDGETS = (
    "apple",
    "basket",
    "candle",
    "drum",
    "feather",
    "hammer",
    "kettle",
    "ladder",
    "mirror",
    "pillow",
    "rope",
    "shoe",
)
PEOPLE = (
    "Ann",
    "Ben",
    "Cleo",
    "Dan",
    "Eve",
    "Finn",
    "Gus",
    "Hana",
    "Ivo",
    "Jill",
    "Kim",
    "Lou",
    "Max",
    "Nora",
    "Pam",
    "Tom",
)
COLOURS = ("blue", "brown", "green", "grey", "pink", "red", "white", "yellow")
VERBS = ("cleaned", "dropped", "fixed", "found", "hid", "left", "lost", "moved", "painted", "saw")

TEMPLATES = (
    "Click {widget} in {panel}",
    "Press {widget} in the {panel} panel",
    "Tap the {widget} button under {panel}",
)


@dataclass(frozen=True)
class Layout:
    """Centre coordinates (pixels) of every panel (x) and widget (y)."""

    x: dict[str, int]
    y: dict[str, int]
    heldout: frozenset[tuple[str, str]]
    """(panel, widget) cells that no training split shows."""


def make_layout(panels: int, widgets: int, heldout_per_line: int, rng: np.random.Generator) -> Layout:
    """Centres 5 + 8 i + jitter in a shuffled order (no ordinal rule to learn), and a split balanced over both axes."""
    x = _centres(PANELS[:panels], rng)
    y = _centres(WIDGETS[:widgets], rng)
    rows, columns = rng.permutation(widgets), rng.permutation(panels)
    cells = {
        (PANELS[columns[(i + k) % panels]], WIDGETS[rows[i]]) for i in range(widgets) for k in range(heldout_per_line)
    }
    return Layout(x, y, frozenset(cells))


def _centres(names: tuple[str, ...], rng: np.random.Generator) -> dict[str, int]:
    jitter = rng.integers(-1, 2, len(names))
    order = rng.permutation(len(names))
    return {name: int(5 + 8 * order[i] + jitter[i]) for i, name in enumerate(names)}


def call(x: int, y: int) -> tuple[str, tuple[tuple[int, int], ...]]:
    """The gold completion and the character spans of its two coordinates."""
    text = f"click({x}, {y})"
    first = (6, 6 + len(str(x)))
    second = (first[1] + 2, len(text) - 1)
    return text, (first, second)


def fact(rng: np.random.Generator) -> tuple[str, str, str]:
    """A sentence of prose with the thing and the place that it tells of."""
    person, verb, colour = (str(rng.choice(words)) for words in (PEOPLE, VERBS, COLOURS))
    thing, place = str(rng.choice(WIDGETS)), str(rng.choice(PANELS))
    return f"{person} {verb} the {colour} {thing} in the {place}.", thing, place
