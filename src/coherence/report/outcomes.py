"""How each run of a study ended, and what was left out of it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from coherence.figures.arms import MEANS
from coherence.figures.read import OK, Ended
from coherence.figures.style import arm_name, arm_order


def by_arm(runs: Sequence[Ended]) -> dict[str, dict[int, Ended]]:
    """Runs by the arm's printed name and by seed, arms and seeds in order."""
    ordered = sorted(runs, key=lambda run: run.seed)
    arms = arm_order(run.arm for run in runs)
    return {arm_name(arm): {run.seed: run for run in ordered if run.arm == arm} for arm in arms}


def left_out(runs: Sequence[Ended], rows: Mapping[str, Any], scores: pd.DataFrame) -> list[str]:
    """One sentence each on runs, data, training and evaluation: what did not end well, was dropped, has no score.

    `rows` is the data set's report.json.
    """
    odd = [f"{arm_name(run.arm)} seed {run.seed}: {run.status} ({run.told})" for run in runs if run.status != OK]
    paid = [run.outcome for run in runs if "completions" in run.outcome]
    lost, made = (sum(outcome[name] for outcome in paid) for name in ("unscored_completions", "completions"))
    unscored = int((~np.isfinite(scores[list(MEANS)].to_numpy(dtype=float))).any(axis=1).sum())
    return [
        f"{len(runs)} runs, {len(runs) - len(odd)} of them ok. {'; '.join(odd)}{'.' * bool(odd)}".strip(),
        f"Rows of data kept: {counted(rows['kept'])}. Dropped: {counted(rows['dropped'])}.",
        f"{lost} of {made} completions had no score in training; they were paid nothing.",
        f"{unscored} of {len(scores)} held-out completions have no score. An item that lacks one under any arm or seed"
        " is left out of every comparison.",
    ]


def counted(counts: Mapping[str, int]) -> str:
    """`324 sft, 216 heldout`, without what was counted 0 times."""
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()) if count) or "none"
