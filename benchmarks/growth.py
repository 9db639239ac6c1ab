"""How cost grows with the vocabulary V, the tokens T and the completions B: records, and one plot for each."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from benchmarks.contenders import from_logits
from benchmarks.measures import Record, composite_work, make_logits
from benchmarks.rounds import Seconds, interleave
from coherence.figures.style import DOUBLE, SINGLE, new_figure, paper_style

LOOKS = {
    "ours": ("here", "#d55e00", "o"),
    "compiled": ("here, compiled", "#d55e00", "o"),
    "eager": ("here, eager", "#e69f00", "v"),
    "trl": ("TRL, CPU", "#0072b2", "s"),
    "reference": ("reference formula", "#4d4d4d", "^"),
    "carl-studio": ("carl-studio", "#009e73", "D"),
    "loops": ("loop over completions", "#4d4d4d", "^"),
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

    def logits(axis: str, at: int, tokens: int, vocab: int) -> None:
        values, ids = make_logits(tokens, vocab, seed=tokens)
        work = {name: partial(run, values, ids) for name, run in from_logits().items()}
        records.extend(_timed(axis, at, "logits", interleave(work, grid.rounds, rng)))

    def composite(axis: str, at: int, batch: int, tokens: int) -> None:
        work = composite_work(tokens, np.full(batch, tokens), rng)
        records.extend(_timed(axis, at, "composite", interleave(work, 4 * grid.rounds, rng)))

    for v in grid.vocab:
        logits("V", v, grid.fixed_tokens, v)
    for t in grid.tokens:
        logits("T", t, t, grid.fixed_vocab)
        composite("T", t, grid.fixed_batch, t)
    for b in grid.batch:
        logits("B", b, b * 16, grid.fixed_vocab)
        composite("B", b, b, 512)
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
        label, colour, marker = LOOKS[str(name)]
        axes.plot(line["at"], line["cpu_ms"], color=colour, marker=marker, markersize=3.5, label=label)
    axes.set(xscale="log", yscale="log")
    axes.legend(frameon=False)


def _timed(axis: str, at: int, what: str, seconds: Mapping[str, Seconds]) -> Iterator[Record]:
    for name, taken in seconds.items():
        told = {"axis": axis, "at": at, "what": what, "contender": name}
        yield {"measure": "growth", **told, "cpu_ms": float(np.median(taken)) * 1e3}
