"""Every arm and every curve against its control: one number per run, then means and paired differences with intervals.

Legend: S seeds, I items (held-out prompts), clustered by their unit. What is scored on held-out prompts gets the
bootstrap over seeds and units, and P of a permutation test over units where it is a difference; all else is one number
per seed and gets Student's interval over seeds. Pairs share their seed: random numbers, start and data.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from coherence.core.statistics import SHARE, SHARES_APART, bootstrap_mean, paired, sign_flip_p
from coherence.core.transition_family import mean_interval
from coherence.figures.arms import Bootstrap, matrix, seeds_of
from coherence.figures.phi_trajectories import jumps_at_boundaries
from coherence.figures.read import Run
from coherence.figures.style import START
from coherence.streams import generator
from coherence.tasks.rewards import STRICT

GREEDY, SAMPLED, HELDOUT_PHI = "strict_greedy", "strict_sampled", "phi_sampled"
SCORED = {GREEDY: ("greedy", "strict"), SAMPLED: ("sampled", "strict"), HELDOUT_PHI: ("sampled", "phi")}
"""Quantities of held-out prompts, and the mode and score that they are."""
COLUMNS = ["group", "arm", "quantity", "against", "seed", "estimate", "low", "high", "freedom", "p_flip", "seeds"]
LAST, JUMP, BEGIN = 10, 5, 20
"""Steps at the end of a run that are averaged; steps in which a jump is measured; steps in which CARL's beginning, with
its ramp, may show in the gradient."""

Values = Mapping[str, float]


# ------------------------------------------------------------------------------- one number per run


def of_grpo(run: Run, task: str) -> Values:
    """What one GRPO run became. Shares, but for phi, synchrony (R) and the steps; NaN where a run has none. Of a run
    that broke off, or never paid the CARL that it waited for, only when the alarm sounded."""
    step = run.outcome.get("alarm_step")
    alarm = {"alarm": float(step is not None), "alarm_step": _number(step)}
    if run.broke_off or run.metrics.empty or never_paid(run):
        return alarm
    metrics, completions = run.metrics, run.outcome["completions"] / run.outcome["steps"]
    last = metrics.tail(LAST).mean(numeric_only=True)
    return {
        "train_strict": last[f"task/{STRICT[task]}"],
        "train_phi": last["coherence/phi"],
        "distinct": last["distinct_completions"] / completions,
        "zero_variance": last["strict_zero_variance_groups"],
        "all_wrong": last["all_wrong_groups"],
        "zero_signal": metrics["zero_signal_groups"].mean(),
        "kl_to_start": last["kl_to_start"],
        "lowest_synchrony": metrics["coherence/synchrony"].min(),
        **alarm,
        "carl_from_step": _number(run.outcome["carl_from_step"]),
        "gradient_spike": gradient_spike(metrics, run.outcome["carl_from_step"]),
    }


def never_paid(run: Run) -> bool:
    """Whether a cascade's gate never fired: such a run is one without CARL, and says nothing of its arm."""
    weight = run.metrics.get("weights/carl")
    return weight is not None and len(weight) > 0 and float(weight.max()) == 0


def gradient_spike(metrics: pd.DataFrame, start: int | None) -> float:
    """Largest gradient norm in the BEGIN steps from where CARL is first paid, over the median of those after them, when
    all of its weight is paid; NaN where fewer than LAST come after."""
    if start is None:
        return np.nan
    step, norm = metrics["step"], metrics["grad_norm"]
    begin, later = norm[(step >= start) & (step < start + BEGIN)], norm[step >= start + BEGIN]
    return float(begin.max() / later.median()) if len(later) >= LAST else np.nan


def of_curve(run: Run, token_class: str) -> Values:
    """What one SFT curve did: entropy as shares of ln V, the largest rise of all tokens' accuracy in JUMP steps, and
    accuracy of a class of tokens."""
    entropy, accuracy = run.metrics["all/entropy_share"], run.metrics[f"{token_class}/accuracy"]
    smooth = run.metrics["all/accuracy"].rolling(3, center=True).median()  # one lucky batch is no jump
    return {
        "first_loss": run.metrics["loss"].iloc[0],
        "first_entropy": entropy.iloc[0],
        "peak_entropy": entropy.max(),
        "melt": entropy.max() - entropy.iloc[0],
        "jump": smooth.diff(JUMP).max(),
        "last_accuracy": accuracy.tail(LAST).mean(),
        "half_way_accuracy": accuracy.head(len(accuracy) // 2).mean(),
    }


def of_completions(rows: pd.DataFrame) -> Values:
    """Of one checkpoint's sampled completions: rank correlation of length with CARL, and with its multiscale term, both
    as deviations from their prompt's mean, so that prompts whose answers are long for a reason say nothing."""
    names = ["tokens", "carl", "multiscale"]
    own = rows[names] - rows.groupby("id")[names].transform("mean")
    carl, multiscale = (rank_correlation(own["tokens"], own[name]) for name in names[1:])
    return {"length_bias": carl, "length_bias_multiscale": multiscale}


def rank_correlation(one: "pd.Series[Any]", other: "pd.Series[Any]") -> float:
    """Spearman's; NaN where either is constant."""
    constant = one.nunique() < 2 or other.nunique() < 2
    return np.nan if constant else float(stats.spearmanr(one, other).statistic)


def of_tokens(tokens: pd.DataFrame) -> Values:
    """Of one checkpoint's greedy completions: how much oftener a jump of Phi spans a boundary than neighbours."""
    jumps, all_pairs = jumps_at_boundaries(tokens)
    return {"boundary_jumps": jumps - all_pairs}


def per_run(
    grpo: Sequence[Run], curves: Sequence[Run], scores: pd.DataFrame, tokens: pd.DataFrame, task: str, token_class: str
) -> pd.DataFrame:
    """One row per run and quantity: group (arm or curve), arm, seed, quantity, value. `scores` and `tokens` are of the
    checkpoints that are averaged over."""
    rows: list[Any] = [("arm", run.arm, run.seed, of_grpo(run, task)) for run in grpo]
    whole = (run for run in curves if not run.metrics.empty and not run.broke_off)
    rows += [("curve", run.arm, run.seed, of_curve(run, token_class)) for run in whole]
    sampled = scores[scores["mode"] == "sampled"]
    for table, measure in ((sampled, of_completions), (tokens, of_tokens)):
        rows += [("arm", *cell, measure(own)) for cell, own in table.groupby(["arm", "seed"])]
    told = [(*cell, name, float(value)) for *cell, values in rows for name, value in values.items()]
    return pd.DataFrame(told, columns=["group", "arm", "seed", "quantity", "value"])


def _number(value: float | None) -> float:
    return np.nan if value is None else float(value)


# ------------------------------------------------------------------------------- over seeds


def contrasts(
    values: pd.DataFrame, scores: pd.DataFrame, against: Mapping[str, str], bootstrap: Bootstrap
) -> pd.DataFrame:
    """Tidy: per group, arm and quantity its level, and its difference to its control and to the SFT start, each as one
    row per seed and one over seeds (seed missing) with its interval. Empty where a quantity has no number."""
    rows = [*_levels(values, bootstrap.level), *_differences(values, against, bootstrap.level)]
    rows += [row for name in SCORED for row in _scored(scores, name, against, bootstrap)]
    return pd.DataFrame(rows, columns=COLUMNS).astype({"seed": "Int64", "seeds": "int64"})


def _levels(values: pd.DataFrame, level: float) -> Iterator[dict[str, Any]]:
    for (group, arm, quantity), own in values.groupby(["group", "arm", "quantity"], sort=False):
        told = {"group": group, "arm": arm, "quantity": quantity, "against": None}
        yield from _told(told, own.set_index("seed")["value"], level)


def _differences(values: pd.DataFrame, against: Mapping[str, str], level: float) -> Iterator[dict[str, Any]]:
    cells = values.groupby(["arm", "quantity"])
    by_cell = {(str(arm), str(name)): own.set_index("seed")["value"] for (arm, name), own in cells}
    groups = dict(zip(values["arm"], values["group"], strict=True))
    for (arm, quantity), own in by_cell.items():
        control = by_cell.get((against.get(arm, ""), quantity))
        if control is not None:
            told = {"group": groups[arm], "arm": arm, "quantity": quantity, "against": against[arm]}
            yield from _told(told, own - control, level)


def _told(told: dict[str, Any], by_seed: "pd.Series[float]", level: float) -> Iterator[dict[str, Any]]:
    """The rows of one quantity: over seeds, and each seed's own."""
    finite = by_seed[np.isfinite(by_seed)]
    if finite.empty:
        return
    found = mean_interval(finite, level)
    yield told | {"estimate": found.estimate, **found.ends, "seeds": len(finite)}
    for seed, value in finite.items():
        yield told | {"seed": seed, "estimate": value, "seeds": 1}


def _scored(
    scores: pd.DataFrame, name: str, against: Mapping[str, str], bootstrap: Bootstrap
) -> Iterator[dict[str, Any]]:
    mode, score = SCORED[name]
    for arm in sorted(scores["arm"].unique()):
        for control in dict.fromkeys((None, against.get(arm), None if arm == START else START)):
            common = set(seeds_of(scores, arm)) & set(seeds_of(scores, control or arm))
            if not common:
                continue
            rows = scores[scores["seed"].isin(common)]
            values_SI, units = matrix(rows, arm, mode, score)
            if control is not None:
                values_SI = paired(values_SI, matrix(rows, control, mode, score)[0])
            rng = generator(0, "figures", "contrasts", arm, str(control), name)
            bounds = SHARE if control is None else SHARES_APART
            found = bootstrap_mean(values_SI, rng, cluster_I=units, bounds=bounds, **bootstrap._asdict())
            told = {"group": "arm", "arm": arm, "quantity": name, "against": control}
            flip = {"p_flip": sign_flip_p(values_SI, rng, units)} if control is not None else {}
            yield told | {"estimate": found.estimate, **found.ends, **flip, "seeds": len(common)}
            for seed, value in zip(sorted(common), values_SI.mean(axis=1), strict=True):
                yield told | {"seed": seed, "estimate": value, "seeds": 1}


def pick(data: pd.DataFrame, arm: str, quantity: str, against: str | None = None) -> Mapping[str, Any] | None:
    """The row over seeds of an arm's quantity, or of its difference; None where there is none."""
    own = data[(data["arm"] == arm) & (data["quantity"] == quantity) & data["seed"].isna()]
    own = own[own["against"].isna() if against is None else own["against"] == against]
    return None if own.empty else dict(own.iloc[0])


def by_seed(data: pd.DataFrame, arm: str, quantity: str, against: str | None = None) -> "pd.Series[float]":
    """Each seed's own value of what `pick` gives over seeds."""
    own = data[(data["arm"] == arm) & (data["quantity"] == quantity) & data["seed"].notna()]
    values: pd.Series[float] = own.loc[
        own["against"].isna() if against is None else own["against"] == against, "estimate"
    ]
    return values
