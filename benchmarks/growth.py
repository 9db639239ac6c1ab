"""How cost grows with the vocabulary V, the tokens T and the completions B: records, and one plot for each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from benchmarks.contenders import from_logits
from benchmarks.measures import Record, composite_work, make_logits
from benchmarks.rounds import interleave
from coherence.figures.style import DOUBLE, SINGLE, new_figure, paper_style

LOOKS = {
    "ours": ("#d55e00", "o"),
    "compiled": ("#d55e00", "o"),
    "eager": ("#e69f00", "v"),
    "trl": ("#0072b2", "s"),
    "reference": ("#4d4d4d", "^"),
    "carl-studio": ("#009e73", "D"),
    "loops": ("#4d4d4d", "^"),
}
NAMES = {
    "ours": "here",
    "compiled": "here, compiled",
    "eager": "here, eager",
    "trl": "TRL, CPU",
    "reference": "reference formula",
    "loops": "loop over completions",
}
TITLES = {"logits": "entropy and log-probability from logits", "composite": "CARL composite"}
LABELS = {"V": "vocabulary V", "T": "tokens per completion T", "B": "completions B"}


@dataclass(frozen=True)
class Grid:
    """Values of each axis, and what the other two are meanwhile."""

    vocab: tuple[int, ...]
    tokens: tuple[int, ...]
    batch: tuple[int, ...]
    fixed_vocab: int
    fixed_tokens: int
    fixed_batch: int
    rounds: int


FULL = Grid((512, 2048, 8192, 32000, 151936), (16, 64, 256, 1024), (1, 4, 16, 64, 256), 32000, 128, 64, 5)
QUICK = Grid((512, 2048), (8, 32), (1, 4), 500, 16, 4, 2)


def growth_records(grid: Grid, rng: np.random.Generator) -> list[Record]:
    """Median CPU milliseconds of each contender at each value of V, T and B; the composite for T and B as well."""
    records: list[Record] = []
    for v in grid.vocab:
        records += _timed("V", v, "logits", _logits_work(grid.fixed_tokens, v), grid.rounds, rng)
    for t in grid.tokens:
        records += _timed("T", t, "logits", _logits_work(t, grid.fixed_vocab), grid.rounds, rng)
        records += _timed(
            "T", t, "composite", composite_work(t, np.full(grid.fixed_batch, t), rng), 4 * grid.rounds, rng
        )
    for b in grid.batch:
        short = _logits_work(b * 16, grid.fixed_vocab)
        records += _timed("B", b, "logits", short, grid.rounds, rng)
        records += _timed("B", b, "composite", composite_work(512, np.full(b, 512), rng), 4 * grid.rounds, rng)
    return records


def draw(records: list[Record], folder: Path) -> list[Path]:
    """growth_{V,T,B}.png, each with the data behind it (.parquet). ValueError where there is nothing to draw."""
    table = pd.DataFrame([r for r in records if r["measure"] == "growth"])
    if table.empty:
        raise ValueError("no record of how cost grows: nothing to draw")
    written = []
    for axis, data in table.groupby("axis", sort=False):
        path = folder / f"growth_{axis}"
        _draw_axis(str(axis), data, path.with_suffix(".png"))
        data.reset_index(drop=True).to_parquet(path.with_suffix(".parquet"), index=False)
        written.append(path.with_suffix(".png"))
    return written


def _draw_axis(axis: str, data: pd.DataFrame, path: Path) -> None:
    whats = list(dict.fromkeys(data["what"]))
    with paper_style():
        figure = new_figure(SINGLE if len(whats) == 1 else DOUBLE, 2.6)
        for panel, what in zip(figure.subplots(1, len(whats), squeeze=False)[0], whats, strict=True):
            draw_panel(panel, data[data["what"] == what])
            panel.set(title=TITLES[what], xlabel=LABELS[axis], ylabel="CPU time (ms), one thread")
        figure.savefig(path, metadata={"Title": f"How cost grows with {LABELS[axis]}"})


def draw_panel(axes: Axes, data: pd.DataFrame) -> None:
    """One line per contender, both axes logarithmic: a slope of 1 is proportional growth."""
    for name, line in data.groupby("contender", sort=False):
        colour, marker = LOOKS[str(name)]
        label = NAMES.get(str(name), str(name))
        axes.plot(line["at"], line["cpu_ms"], color=colour, marker=marker, markersize=3.5, label=label)
    axes.set(xscale="log", yscale="log")
    axes.legend(frameon=False)


def _logits_work(tokens: int, vocab: int) -> Mapping[str, Callable[[], Any]]:
    logits, ids = make_logits(tokens, vocab, seed=tokens)
    return {name: partial(work, logits, ids) for name, work in from_logits().items()}


def _timed(
    axis: str, at: int, what: str, work: Mapping[str, Callable[[], Any]], rounds: int, rng: np.random.Generator
) -> list[Record]:
    return [
        {"measure": "growth", "axis": axis, "at": at, "what": what, "contender": name, "cpu_ms": median * 1e3}
        for name, median in ((n, float(np.median(s))) for n, s in interleave(work, rounds, rng).items())
    ]
