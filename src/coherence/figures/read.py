"""Read the artifacts that figures are drawn from: runs with their per-step metrics, and stored generations."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from coherence.figures.style import arm_name

Cell = tuple[str, int]
"""An arm's name and a seed."""
OK, DEGENERATE, OVER_BUDGET = "ok", "degenerate", "over_nan_budget"


@dataclass(frozen=True)
class Ended:
    """How a training run ended, as its outcome.json tells it; an SFT run has the arm `sft`."""

    arm: str
    seed: int
    outcome: Mapping[str, Any]

    @property
    def status(self) -> str:
        """`ok`, or in which way not; a GRPO run whose start had not crystallized is not `ok` either."""
        status = str(self.outcome["status"])
        from_ok = self.outcome.get("started_from", OK) == OK
        return status if from_ok else f"{status} from a start that had not crystallized"

    @property
    def broke_off(self) -> bool:
        """The alarm stopped it, its rewards failed too often, or its weights diverged: it has no end like others."""
        return self.status.startswith((DEGENERATE, OVER_BUDGET)) or bool(self.outcome.get("diverged"))

    @property
    def told(self) -> str:
        """Steps, gate, and completions without a score."""
        gate, parts = self.outcome.get("gate_step"), [f"{self.outcome['steps']} steps"]
        if "gate_step" in self.outcome:
            parts.append(f"gate at {gate}" if gate else "gate never fired")
        if self.outcome.get("unscored_completions"):
            parts.append(f"{self.outcome['unscored_completions']} of {self.outcome['completions']} unscored")
        return ", ".join(parts)


@dataclass(frozen=True)
class Run(Ended):
    """A training run with its logged steps, none if it ended before the first one."""

    metrics: pd.DataFrame


def cell_of(folder: Path) -> Cell:
    """(arm, seed) of a folder `.../{arm}/seed{seed}`; ValueError for another name."""
    seed = folder.name.removeprefix("seed")
    if not folder.name.startswith("seed") or not seed.isdigit():
        raise ValueError(f"{folder}: a run's folder is named .../ARM/seedN")
    return folder.parent.name, int(seed)


def read_outcome(folder: Path) -> Ended:
    """How the run in `.../ARM/seedN` ended."""
    return Ended(*cell_of(folder), json.loads((folder / "outcome.json").read_text(encoding="utf-8")))


def read_run(folder: Path) -> Run:
    """Outcome and metrics of the run in `.../ARM/seedN`; ValueError names the line that is not JSON."""
    return Run(**vars(read_outcome(folder)), metrics=_metrics(folder / "metrics.jsonl"))


def _metrics(path: Path) -> pd.DataFrame:
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}, line {number}: not valid JSON ({error.msg})") from None
    return pd.DataFrame(rows)


def logged(runs: Sequence[Run]) -> list[Run]:
    """The runs that logged a step; ValueError if none did."""
    found = [run for run in runs if len(run.metrics)]
    if not found:
        raise ValueError(f"none of {len(runs)} runs logged a step: there is nothing to draw")
    return found


def over_steps(runs: Sequence[Run], columns: Mapping[str, str]) -> pd.DataFrame:
    """One row per GRPO run and step, with these of its metrics under these names; ValueError without a step."""
    tables = [
        run.metrics[["step", *columns]].rename(columns=columns).assign(arm=run.arm, seed=run.seed, status=run.status)
        for run in logged(runs)
    ]
    return pd.concat(tables, ignore_index=True)


def read_generations(folders: Sequence[Path]) -> pd.DataFrame:
    """The stored generations of several checkpoints in one table; ValueError if there are none."""
    tables = [pd.read_parquet(folder / "generations.parquet") for folder in folders]
    if not any(len(table) for table in tables):
        raise ValueError("no stored generation: there is nothing to draw")
    return pd.concat(tables, ignore_index=True)


def status_of(runs: Iterable[Ended]) -> dict[Cell, str]:
    """How each run ended."""
    return {(run.arm, run.seed): run.status for run in runs}


def with_status(data: pd.DataFrame, status: Mapping[Cell, str]) -> pd.DataFrame:
    """The table with how each row's run ended; rows without a seed speak of several runs and have none."""
    cells = zip(data["arm"], data["seed"], strict=True)
    ended: Any = [None if pd.isna(seed) else status[arm, seed] for arm, seed in cells]
    return data.assign(status=ended)


def averaged(table: pd.DataFrame, runs: Iterable[Ended]) -> pd.DataFrame:
    """The rows of these runs' arms and seeds, without runs that broke off, which are told by name and enter no mean."""
    cells = {(run.arm, run.seed) for run in runs if not run.broke_off}
    own = [cell in cells for cell in zip(table["arm"], table["seed"], strict=True)]
    return table[pd.Series(own, index=table.index, dtype=bool)]


def tallies(status: Mapping[Cell, str]) -> dict[str, str]:
    """How the runs of each arm ended: `3 ok`, or `2 ok, 1 over nan budget`."""
    arms = {arm: Counter(ended for (own, _), ended in status.items() if own == arm) for arm, _ in status}
    return {arm: ", ".join(f"{n} {spelled(ended)}" for ended, n in counts.items()) for arm, counts in arms.items()}


def spelled(status: str) -> str:
    """A status in words."""
    return status.replace("_", " ")


def unusual(runs: Iterable[Ended], how: str = "Dashed") -> str:
    """The runs that ended otherwise than `ok`, in words for a caption; empty where there are none."""
    odd = [f"{arm_name(run.arm)} seed {run.seed} ({spelled(run.status)})" for run in runs if run.status != OK]
    return f"{how}: {', '.join(odd)}." if odd else ""
