"""What the alarm says of every GRPO run, replayed, and how often gates fire at noise.

Replays: the alarm of the study's limits on each run's metrics, and on resampled ones: the run's own smooth course plus
blocks of its own deviations from it. Noise: series without any rise, with a given correlation from step to step.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from coherence.core.alarm import METRICS, Limits, TrapAlarm
from coherence.core.cascade import RiseGate
from coherence.core.compat_cascade import gate_fires_at
from coherence.core.statistics import Array, bootstrap_mean, paired
from coherence.figures.arms import Bootstrap, matrix
from coherence.figures.read import Run, logged
from coherence.figures.style import START, running_median
from coherence.streams import generator
from coherence.tasks.rewards import STRICT

SMOOTH, BLOCK = 9, 5
"""Steps of the running median that is a run's course, and of the blocks in which deviations from it are drawn."""
CORRELATIONS = (0.0, 0.3, 0.6, 0.9)
GATES = {"rise": "rise over the first values", "published": "published, self-calibrating"}


def watched(run: Run, task: str) -> pd.DataFrame:
    """A run's METRICS, one row per step, as the alarm saw them."""
    metrics = run.metrics
    completions = run.outcome["completions"] / run.outcome["steps"]
    columns = {
        "reward": metrics["final_reward"],
        "strict": metrics[f"task/{STRICT[task]}"],
        "all_wrong_groups": metrics["all_wrong_groups"],
        "distinct_share": metrics["distinct_completions"] / completions,
        "phi": metrics["coherence/phi"],
    }
    return pd.DataFrame(columns)[list(METRICS)]


def sounds_at(series: Array, limits: Limits) -> int | None:
    """The step (from 1) at which the alarm sounds; series are METRICS, [steps, 5]."""
    alarm = TrapAlarm(limits)
    for step, row in enumerate(series, start=1):
        if alarm.update(step, dict(zip(METRICS, row, strict=True))):
            return step
    return None


def resampled(series: Array, rng: np.random.Generator) -> Array:
    """The smooth course of each metric plus blocks of all metrics' deviations at once, so that they stay related."""
    course = np.column_stack([running_median(column, SMOOTH) for column in series.T])
    starts = rng.integers(0, max(1, len(series) - BLOCK + 1), size=-(-len(series) // BLOCK))
    steps = np.concatenate([np.arange(start, start + BLOCK) for start in starts])[: len(series)]
    apart: Array = series - course
    return np.asarray(course + apart[np.minimum(steps, len(series) - 1)])


def has_lost(scores: pd.DataFrame, run: Run, bootstrap: Bootstrap) -> bool | None:
    """Whether a run's end answers held-out prompts worse than its SFT start does, beyond its prompts' interval: what a
    trap costs, told by none of the signs that the alarm goes by. None where it was not scored."""
    own = scores[(scores["seed"] == run.seed) & scores["arm"].isin((run.arm, START))]
    own = own[~own["id"].isin(own.loc[own["strict"].isna(), "id"])]
    if run.arm not in set(own["arm"]):
        return None
    (ended, units), (start, _) = (matrix(own, arm, "sampled", "strict") for arm in (run.arm, START))
    rng = generator(0, "figures", "gates", "lost", run.arm, str(run.seed))
    return bootstrap_mean(paired(ended, start), rng, cluster_I=units, **bootstrap._asdict()).high < 0


def replay(
    runs: Sequence[Run], scores: pd.DataFrame, task: str, limits: Limits, courses: int, bootstrap: Bootstrap
) -> pd.DataFrame:
    """One row per run: when the alarm sounds, the share of its resampled courses in which it does, and whether it ended
    worse than it began. A run that the alarm stopped was seen to its alarm only."""
    rows = []
    for run in logged(runs):
        series = watched(run, task).to_numpy(dtype=float)
        rng = generator(0, "figures", "gates", run.arm, str(run.seed))
        again = [sounds_at(resampled(series, rng), limits) for _ in range(courses)]
        told = {"part": "replay", "name": run.arm, "seed": run.seed, "status": run.status, "steps": len(series)}
        sounded = sum(step is not None for step in again) / courses
        lost = has_lost(scores, run, bootstrap)
        rows.append(told | {"lost": lost, "step": sounds_at(series, limits), "share": sounded})
    return pd.DataFrame(rows)


def noise(steps: int, correlation: float, rng: np.random.Generator) -> Array:
    """A stationary series around 0.5 without any rise: each deviation is `correlation` of the last, and new noise."""
    new = rng.standard_normal(steps) * np.sqrt(1 - correlation**2)
    values = np.empty(steps)
    values[0] = rng.standard_normal()
    for step in range(1, steps):
        values[step] = correlation * values[step - 1] + new[step]
    return 0.5 + 0.05 * values


def false_triggers(gate: Mapping[str, Any], steps: int, series: int) -> pd.DataFrame:
    """Per gate and correlation the share of noise series in which it fires, and the median step at which it does."""
    return pd.DataFrame(list(_false_triggers(gate, steps, series)))


def _false_triggers(gate: Mapping[str, Any], steps: int, series: int) -> Iterator[dict[str, Any]]:
    for correlation in CORRELATIONS:
        rng = generator(0, "figures", "gates", "noise", f"{correlation:g}")
        fired: dict[str, list[int]] = {name: [] for name in GATES}
        for _ in range(series):
            values = noise(steps, correlation, rng)
            ours = RiseGate(gate["baseline"], gate["window"], gate["alpha"], steps)
            for step, value in enumerate(values, start=1):
                if ours.update(step, value):
                    break
            fired["rise"] += [ours.fired_step] if ours.fired_step else []
            theirs = gate_fires_at(values.tolist())
            fired["published"] += [theirs] if theirs else []
        for name, found in fired.items():
            told = {"part": "noise", "name": name, "correlation": correlation, "series": series}
            yield told | {"share": len(found) / series, "step": float(np.median(found)) if found else np.nan}
