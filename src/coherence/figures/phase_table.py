"""The phases of supervised fine-tuning in numbers, beside the published ones."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pandas as pd

from coherence.core.phases import Phase
from coherence.figures.read import Run, logged, spelled
from coherence.figures.sft_phases import phases_of
from coherence.figures.tables import Table
from coherence.figures.words import mean, seeds, span


class PaperPhase(NamedTuple):
    """A phase as published, each quantity at its first and last step; accuracy of all tokens, entropy in nats."""

    phase: str
    steps: tuple[int, int]
    loss: tuple[float, float]
    accuracy: tuple[float, float]
    entropy: tuple[float, float]


PAPER = "CARL, first paper, table of SFT phases"
PAPER_PHASES = (
    PaperPhase("baseline", (0, 10), (22.8, 22.8), (0.03, 0.03), (1.0, 1.0)),
    PaperPhase("melting", (10, 20), (15.2, 8.4), (0.03, 0.08), (1.0, 9.3)),
    PaperPhase("transition", (20, 25), (8.4, 3.7), (0.08, 0.65), (9.3, 4.1)),
    PaperPhase("crystallization", (25, 35), (3.7, 0.13), (0.65, 0.99), (4.1, 0.4)),
    PaperPhase("converged", (35, 46), (0.06, 0.06), (0.993, 0.993), (0.12, 0.12)),
)
"""Quoted claims, not results of this study; where the paper has one number for a phase it stands for both ends."""
PAPER_VOCABULARY, OTHER_VOCABULARY = 151_936, 248_320
"""Vocabulary sizes the paper may have used; shares H/ln V and Phi are implied by its entropies, not quoted."""
QUANTITIES = {
    **{"loss": "loss", "accuracy": "all/accuracy", "content_accuracy": "content/accuracy"},
    **{"entropy": "all/entropy", "entropy_share": "all/entropy_share", "phi": "all/phi"},
}
"""Columns, and the metrics that they are read from."""


# ------------------------------------------------------------------------------- data


def phase_rows(runs: Sequence[Run], token_class: str) -> pd.DataFrame:
    """One row per source, phase and seed: first and last step, and each quantity at both of them.

    `study` rows are measured; `paper` rows are quoted and have no seed. ValueError without a step.
    """
    own = [_study_row(run, phase) for run in logged(runs) for phase in phases_of(run, token_class)]
    return pd.DataFrame([*own, *map(_paper_row, PAPER_PHASES)]).astype({"seed": "Int64"})


def _study_row(run: Run, phase: Phase) -> dict[str, Any]:
    ends = {"first": phase.first_step, "last": phase.last_step}
    row = {"source": "study", "phase": phase.name, "seed": run.seed, "status": run.status}
    row |= {f"{end}_step": step for end, step in ends.items()}
    metrics = run.metrics.set_index("step")
    for end, step in ends.items():
        row |= {f"{name}_{end}": metrics.loc[step].get(key) for name, key in QUANTITIES.items()}
    return row


def _paper_row(phase: PaperPhase) -> dict[str, Any]:
    row = {"source": "paper", "phase": phase.phase, "first_step": phase.steps[0], "last_step": phase.steps[1]}
    for index, end in enumerate(("first", "last")):
        share = phase.entropy[index] / math.log(PAPER_VOCABULARY)
        row |= {f"loss_{end}": phase.loss[index], f"accuracy_{end}": phase.accuracy[index]}
        row |= {f"entropy_{end}": phase.entropy[index], f"entropy_share_{end}": share, f"phi_{end}": 1 - share}
    return row


# ------------------------------------------------------------------------------- words


def table(rows: pd.DataFrame) -> Table:
    """Per phase: the mean over seeds, their range, and the paper's numbers; `a → b` is first to last step."""
    headers = ["phase", "source", "steps", "loss", "accuracy", "content accuracy", "H (nats)", "H/ln V", "Φ"]
    order = [name for name in (phase.phase for phase in PAPER_PHASES) if name in set(rows["phase"])]
    count = int(rows["seed"].nunique())
    lines = [line for name in order for line in _lines(rows[rows["phase"] == name], count)]
    return Table(headers, lines, ["l", "l", *["r"] * 7])


def _lines(rows: pd.DataFrame, count: int) -> list[list[str]]:
    own, paper, name = rows[rows["source"] == "study"], rows[rows["source"] == "paper"], str(rows["phase"].iloc[0])
    of = f"{len(own)} of {seeds(count)}" if len(own) < count else seeds(count)
    lines = [[name, f"mean, {of}", *_cells(own, mean)]] if len(own) else [[name, "in no seed", *["-"] * 7]]
    if len(own) > 1:
        lines.append(["", "range", *_cells(own, span)])
    return [*lines, ["", "paper", *_cells(paper, mean)]]


def _cells(rows: pd.DataFrame, show: Callable[["pd.Series[Any]", int], str]) -> list[str]:
    pairs = [(show(rows["first_step"], 0), show(rows["last_step"], 0))]
    pairs += [(show(rows[f"{name}_first"], 2), show(rows[f"{name}_last"], 2)) for name in QUANTITIES]
    return [first if first == last else f"{first} → {last}" for first, last in pairs]


def caption(rows: pd.DataFrame, runs: Sequence[Run], token_class: str) -> str:
    """What the table holds, with the peak of entropy here and in the paper."""
    peaks = pd.Series([run.metrics["all/entropy_share"].max() for run in logged(runs)])
    log_vocab = ", ".join(sorted({f"{math.log(run.outcome['vocab_size']):.2f}" for run in runs}))
    highest = max(max(phase.entropy) for phase in PAPER_PHASES)
    claimed, other = (f"{highest / math.log(size):.2f}" for size in (PAPER_VOCABULARY, OTHER_VOCABULARY))
    odd = "; ".join(f"Seed {run.seed} ended {spelled(run.status)}." for run in runs if run.status != "ok")
    return f"""\
**Phases of supervised fine-tuning.** Each phase's steps, and loss, accuracy, entropy H and Φ = 1 - H/ln V at its first
→ last step: mean over seeds, range over seeds (lowest to highest), and the paper's numbers. Phases by the rule in
core/phases.py, from the accuracy of {token_class} tokens; all columns but the one named so are over all completion
tokens. Here ln V is {log_vocab} nats and entropy peaks at {span(peaks)} of it. Paper rows are quoted claims
({PAPER}); their shares and Φ are implied by their entropies at V = {PAPER_VOCABULARY:,}, which puts the
paper's peak at {claimed} of ln V ({other} at V = {OTHER_VOCABULARY:,}). The paper does not split tokens by class.
{odd}"""
