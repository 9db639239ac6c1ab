"""Read the artifacts that figures are drawn from: runs with their per-step metrics, and stored generations."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd


@dataclass(frozen=True)
class Run:
    """A training run as its folder tells it; an SFT run has the arm `sft`."""

    arm: str
    seed: int
    outcome: dict[str, Any]
    metrics: pd.DataFrame

    @property
    def status(self) -> str:
        """How it ended: `ok`, or in which way not."""
        return str(self.outcome["status"])


def cell_of(folder: Path) -> tuple[str, int]:
    """(arm, seed) of a folder `.../{arm}/seed{seed}`; ValueError for another name."""
    seed = folder.name.removeprefix("seed")
    if not folder.name.startswith("seed") or not seed.isdigit():
        raise ValueError(f"{folder}: a run's folder is named .../ARM/seedN")
    return folder.parent.name, int(seed)


def read_run(folder: Path) -> Run:
    """Outcome and metrics of one run; ValueError where no step was logged."""
    arm, seed = cell_of(folder)
    outcome = json.loads((folder / "outcome.json").read_text(encoding="utf-8"))
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    if not lines:
        raise ValueError(f"{folder / 'metrics.jsonl'} has no line: there is nothing to draw")
    return Run(arm, seed, outcome, pd.DataFrame([json.loads(line) for line in lines]))


def over_steps(runs: Sequence[Run], columns: Mapping[str, str]) -> pd.DataFrame:
    """One row per GRPO run and step, with these of its metrics under these names; ValueError without a run."""
    if not runs:
        raise ValueError("no GRPO run: there is nothing to draw")
    tables = [
        run.metrics[["step", *columns]].rename(columns=columns).assign(arm=run.arm, seed=run.seed, status=run.status)
        for run in runs
    ]
    return pd.concat(tables, ignore_index=True)


def read_generations(folders: Sequence[Path]) -> pd.DataFrame:
    """The stored generations of several checkpoints in one table; ValueError if there are none."""
    tables = [pd.read_parquet(folder / "generations.parquet") for folder in folders]
    if not any(len(table) for table in tables):
        raise ValueError("no stored generation: there is nothing to draw")
    return pd.concat(tables, ignore_index=True)


def unusual(runs: Sequence[Run]) -> str:
    """The runs that ended otherwise than `ok`, in words for a caption; empty where there are none."""
    odd = [f"{run.arm} seed {run.seed} ({run.status.replace('_', ' ')})" for run in runs if run.status != "ok"]
    return f"Dashed: {', '.join(odd)}." if odd else ""
