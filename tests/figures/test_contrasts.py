"""One number per run, differences to controls, and what a stopped run may not enter."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from made import ended, metrics, ok, scores
from scipy import stats

from coherence.config.claims import OF_CURVES, OF_GRPO, OF_START, SCORED
from coherence.core.transition_family import mean_interval
from coherence.figures.arms import Bootstrap, complete_scores
from coherence.figures.contrasts import SCORED as of_heldout
from coherence.figures.contrasts import (
    by_seed,
    contrasts,
    gradient_spike,
    never_paid,
    of_completions,
    of_curve,
    of_grpo,
    per_run,
    pick,
)
from coherence.figures.contrasts_figure import draw
from coherence.figures.contrasts_words import caption, table
from coherence.figures.read import Ended, Run

STEPS = 40
AGAINST = {"task": "sft", "carl": "task", "melts": "calm"}
OPTIONS = {"against": AGAINST, "resamples": 200, "level": 0.95}
BOOTSTRAP = Bootstrap(200, 0.95)


def grpo(arm: str, seed: int, wrong: float = 0.2, **outcome: Any) -> Run:
    step = np.arange(1, STEPS + 1)
    columns = {
        "task/click": 1 - wrong,
        "coherence/phi": 0.9 + 0.01 * seed,
        "coherence/synchrony": np.linspace(0.99, 0.95, STEPS),
        "distinct_completions": 32.0,
        "strict_zero_variance_groups": wrong,
        "all_wrong_groups": wrong,
        "zero_signal_groups": 0.1,
        "kl_to_start": 0.5,
        "grad_norm": np.where(step == 12, 8.0, 2.0),
    }
    told = {"status": "ok", "steps": STEPS, "completions": 64 * STEPS, "alarm_step": None, "carl_from_step": None}
    return Run(arm, seed, told | outcome, pd.DataFrame({"step": step, **columns}))


def curve(arm: str, seed: int, first: float) -> Run:
    climb = [(0.3, 0.0, 0.0)] * 3 + [(0.3 + first, 0.1, 0.0)] + [(0.1, 1.0, 1.0)] * 10
    table = metrics(climb)
    table.loc[0, "loss"] = 5 + first
    return Run(arm, seed, {"status": "ok"}, table)


def test_a_run_in_numbers() -> None:
    found = of_grpo(grpo("cascade", 1, carl_from_step=11), "grounding")
    assert found["train_strict"] == pytest.approx(0.8) and found["distinct"] == pytest.approx(0.5)
    assert found["lowest_synchrony"] == pytest.approx(0.95) and found["zero_signal"] == pytest.approx(0.1)
    assert found["gradient_spike"] == pytest.approx(4) and found["carl_from_step"] == 11
    stopped = of_grpo(grpo("carl", 0, status="degenerate", alarm_step=12), "grounding")
    assert stopped == {"alarm": 1.0, "alarm_step": 12.0}, "it has no end that others have"
    assert np.isnan(gradient_spike(grpo("x", 0).metrics, 12)), "too few steps pay all of it"


def test_a_curve_in_numbers() -> None:
    found = of_curve(curve("melts", 0, 0.5), "content")
    assert found["melt"] == pytest.approx(0.5) and found["peak_entropy"] == pytest.approx(0.8)
    assert found["jump"] == pytest.approx(1.0), "from none to all within five steps"
    assert found["last_accuracy"] == pytest.approx(1.0)


def test_student_intervals_are_scipys() -> None:
    values = np.array([0.1, 0.4, 0.2, 0.5])
    low, high = stats.t.interval(0.95, 3, values.mean(), stats.sem(values))
    found = mean_interval(values, 0.95)
    assert (found.low, found.high) == pytest.approx((low, high))
    assert np.isnan(mean_interval(values[:1], 0.95).low)


def test_length_bias_is_a_rank_correlation() -> None:
    rows = pd.DataFrame({"tokens": [1, 2, 3, 4], "carl": [0.1, 0.2, 0.3, 0.9], "multiscale": [4, 3, 2, 1], "id": "a"})
    other = rows.assign(id="b", tokens=rows["tokens"] + 10, carl=rows["carl"] - 5)
    both = of_completions(pd.concat([rows, other]))
    assert both["length_bias"] == pytest.approx(0.976, abs=1e-3), "ties apart: another prompt is longer"
    assert of_completions(rows) == {"length_bias": pytest.approx(1), "length_bias_multiscale": pytest.approx(-1)}
    assert np.isnan(of_completions(rows.assign(tokens=3))["length_bias"])


@pytest.fixture
def made() -> tuple[pd.DataFrame, list[Run]]:
    strict = {("sft", s): [1, 0, 1, 0] for s in range(3)} | {("task", s): [1, 1, 1, 0] for s in range(3)}
    strict |= {("carl", s): [0, 0, 0, 0] for s in range(3)}
    table = scores(strict, tokens=3, multiscale=0.5)
    runs = [grpo(arm, seed) for arm in ("task", "carl") for seed in range(3)]
    runs[-1] = grpo("carl", 2, status="degenerate", alarm_step=12)
    status = ok(table) | {("carl", 2): "degenerate"}
    kept = complete_scores(table, ended(status)).table
    tokens = pd.DataFrame(
        [(arm, s, 0, phi, p) for arm, s in ok(table) for phi, p in ((0.5, False), (0.9, True), (0.9, True))],
        columns=["arm", "seed", "completion", "phi", "punctuation"],
    )
    curves = [curve(name, seed, first) for name, first in (("calm", 0.1), ("melts", 0.5)) for seed in range(3)]
    values = per_run(runs, curves, kept, tokens, "grounding", "content")
    return contrasts(values, kept, AGAINST, BOOTSTRAP), runs


def test_differences_are_paired_and_leave_the_stopped_run_out(made: tuple[pd.DataFrame, list[Run]]) -> None:
    data, _ = made
    apart = pick(data, "carl", "strict_greedy", "task")
    assert apart is not None and apart["estimate"] == -0.75 and apart["seeds"] == 2
    assert list(by_seed(data, "carl", "strict_greedy", "task")) == [-0.75, -0.75]
    assert pick(data, "task", "strict_greedy", "sft")["estimate"] == 0.25
    assert pick(data, "carl", "alarm")["estimate"] == pytest.approx(1 / 3), "of all three runs"
    assert pick(data, "carl", "distinct")["seeds"] == 2
    assert pick(data, "melts", "melt", "calm")["estimate"] == pytest.approx(0.4)
    assert pick(data, "task", "boundary_jumps")["estimate"] == pytest.approx(0.5), "one jump of two neighbours"
    assert pick(data, "task", "gradient_spike") is None, "a quantity without a number has no row"


def test_a_cascade_that_never_paid_is_no_cascade() -> None:
    waits = grpo("cascade", 0)
    waits.metrics["weights/carl"] = 0.0
    assert never_paid(waits) and set(of_grpo(waits, "grounding")) == {"alarm", "alarm_step"}
    waits.metrics.loc[30:, "weights/carl"] = 0.5
    assert not never_paid(waits) and not never_paid(grpo("task", 0))
    over = grpo("task", 0, status="over_nan_budget")
    assert set(of_grpo(over, "grounding")) == {"alarm", "alarm_step"}, "it broke off"


def test_a_number_that_is_not_finite_voids_no_other() -> None:
    rows = [("arm", "x", seed, "gradient_spike", value) for seed, value in enumerate((1.0, 2.0, np.inf))]
    values = pd.DataFrame(rows, columns=["group", "arm", "seed", "quantity", "value"])
    none = scores({("sft", 0): [1, 0]}).iloc[:0]
    row = pick(contrasts(values, none, {}, BOOTSTRAP), "x", "gradient_spike")
    assert row is not None and row["estimate"] == 1.5 and row["seeds"] == 2


def test_table_and_figure_show_every_arm(made: tuple[pd.DataFrame, list[Run]]) -> None:
    data, runs = made
    rows = {row[0]: row for row in table(data, runs, AGAINST).rows}
    assert rows["carl"][1:3] == ["task", "2 ok, 1 degenerate"] and rows["carl"][3].startswith("-0.750 [")
    figure = draw(data, AGAINST)
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert labels == ["task $-$ sft", "carl $-$ task"]
    assert "carl minus task" in caption(data, OPTIONS, 3, "")


def test_what_diverged_is_in_no_mean() -> None:
    table = scores({(arm, s): [1, 0, 1, 0] for arm in ("sft", "task") for s in range(3)}, tokens=3, multiscale=0.5)
    status = ended(ok(table))
    lost = [Ended(run.arm, run.seed, run.outcome | {"diverged": (run.arm, run.seed) == ("task", 2)}) for run in status]
    table.loc[(table["arm"] == "task") & (table["seed"] == 2), "phi"] = np.nan
    kept = complete_scores(table, lost)
    assert kept.left_out == 0 and set(kept.table.query("arm == 'task'")["seed"]) == {0, 1}
    runs = [grpo("task", seed, diverged=seed == 2) for seed in range(3)]
    curves = [curve("calm", 0, 0.1), Run("calm", 1, {"status": "ok", "diverged": True}, curve("calm", 1, 0.1).metrics)]
    tokens = pd.DataFrame(columns=["arm", "seed", "completion", "phi", "punctuation"])
    values = per_run(runs, curves, kept.table, tokens, "grounding", "content")
    assert set(values.query("quantity == 'distinct'")["seed"]) == {0, 1}
    assert set(values.query("group == 'curve'")["seed"]) == {0}


def test_claims_may_take_what_there_is() -> None:
    table = scores({(arm, s): [1, 0, 1, 0] for arm in ("sft", "task") for s in range(3)}, tokens=3, multiscale=0.5)
    kept = complete_scores(table, ended(ok(table))).table
    tokens = pd.DataFrame([("task", 0, 0, 0.5, True)] * 2, columns=["arm", "seed", "completion", "phi", "punctuation"])
    runs = [grpo("task", 0, carl_from_step=3, alarm_step=4)]
    values = per_run(runs, [curve("calm", 0, 0.1)], kept, tokens, "grounding", "content")
    found = {group: set(own["quantity"]) for group, own in values.groupby("group")}
    assert found["curve"] == set(OF_CURVES)
    assert found["arm"] | set(SCORED) == {*OF_GRPO, *OF_START} and set(SCORED) == set(of_heldout)
