"""Alarms replayed on made runs, and gates at noise."""

import numpy as np
import pandas as pd
import pytest
from made import scores

from coherence.core.alarm import METRICS, Limits
from coherence.figures.arms import Bootstrap
from coherence.figures.gates import false_triggers, has_lost, noise, replay, resampled, watched
from coherence.figures.gates_figure import draw
from coherence.figures.gates_words import caption
from coherence.figures.read import Run

LIMITS = Limits(window=10, all_wrong_groups=0.7, distinct=0.75, uncertainty=0.8)
GATE = {"baseline": 10, "window": 5, "alpha": 0.05}
STEPS = 60


def run(arm: str, seed: int, trapped: bool) -> Run:
    rng = np.random.default_rng(seed)

    def line(first: float, last: float) -> np.ndarray:
        return np.linspace(first, last, STEPS) + 0.003 * rng.standard_normal(STEPS)

    ends = (0.44, 0.01, 1.0, 6, 0.99) if trapped else (0.9, 0.8, 0.05, 30, 0.95)
    names = ("final_reward", "task/click", "all_wrong_groups", "distinct_completions", "coherence/phi")
    firsts = (0.37, 0.24, 0.25, 41, 0.92)
    columns = {name: line(a, b) for name, a, b in zip(names, firsts, ends, strict=True)}
    outcome = {"status": "ok", "steps": STEPS, "completions": 64 * STEPS}
    columns["reward"] = columns["final_reward"] * np.linspace(1, 0.2, STEPS)  # what was paid fell by its schedule
    return Run(arm, seed, outcome, pd.DataFrame({"step": np.arange(1, STEPS + 1), **columns}))


RUNS = [run(arm, seed, arm == "carl") for arm in ("task", "carl") for seed in range(3)]
RIGHT = {"sft": [1, 0, 1, 0] * 6, "task": [1, 1, 1, 0] * 6, "carl": [0, 0, 1, 0] * 6}
SCORES = scores({(arm, seed): strict for arm, strict in RIGHT.items() for seed in range(3)})
BOOTSTRAP = Bootstrap(200, 0.95)


def test_trapped_runs_sound_and_healthy_ones_do_not() -> None:
    rows = replay(RUNS, SCORES, "grounding", LIMITS, 5, BOOTSTRAP)
    trapped = rows[rows["name"] == "carl"]
    assert trapped["lost"].all() and trapped["step"].between(20, 55).all() and (trapped["share"] == 1).all()
    healthy = rows[rows["name"] == "task"]
    assert not healthy["lost"].any() and healthy["step"].isna().all() and (healthy["share"] == 0).all()


def test_resampling_keeps_the_course_and_what_belongs_together() -> None:
    series = watched(RUNS[0], "grounding").to_numpy(dtype=float, copy=True)
    series[:, 1] = series[:, 0]  # two metrics that move as one
    again = resampled(series, np.random.default_rng(0))
    assert again.shape == series.shape and not np.array_equal(again, series)
    assert np.abs(again - series).max() < 0.05 * np.abs(series).max()
    assert again[:, 1] == pytest.approx(again[:, 0])
    assert list(watched(RUNS[0], "grounding").columns) == list(METRICS)


def test_a_run_lost_what_its_prompts_do_not_explain() -> None:
    few = SCORES[SCORES["id"].isin(["i0", "i1", "i2", "i3"])]
    assert has_lost(SCORES, RUNS[3], BOOTSTRAP) and not has_lost(few, RUNS[3], BOOTSTRAP)
    assert has_lost(SCORES[SCORES["arm"] != "carl"], RUNS[3], BOOTSTRAP) is None, "it was not scored"
    gap = SCORES.assign(strict=SCORES["strict"].mask((SCORES["id"] == "i5") & (SCORES["arm"] == "carl")))
    assert has_lost(gap, RUNS[3], BOOTSTRAP), "what has no score is left out of both"


def test_noise_has_the_correlation_and_spread_that_it_says() -> None:
    rng = np.random.default_rng(1)
    for correlation in (0.0, 0.6):
        values = noise(20_000, correlation, rng)
        assert np.corrcoef(values[1:], values[:-1])[0, 1] == pytest.approx(correlation, abs=0.03)
        assert values.std() == pytest.approx(0.05, rel=0.05)


def test_the_published_gate_fires_at_nothing_and_ours_keeps_its_promise() -> None:
    rows = false_triggers(GATE, 100, series=150).set_index(["name", "correlation"])["share"]
    assert rows["published", 0.0] > 0.9
    assert rows["rise", 0.0] < 0.1 < rows["rise", 0.9], "correlated noise is what it does not promise"


def test_the_figure_and_its_caption() -> None:
    replayed = replay(RUNS, SCORES, "grounding", LIMITS, 2, BOOTSTRAP)
    data = pd.concat([replayed, false_triggers(GATE, 60, 20)], ignore_index=True)
    words = " ".join(caption(data, LIMITS, GATE, 60, 2).split())
    assert "It sounds in 3 of the 3 runs that ended with less" in words and "in 0 of the 3 others" in words
    left, _ = draw(data).axes
    assert [text.get_text() for text in left.get_yticklabels()] == ["task", "carl"]
