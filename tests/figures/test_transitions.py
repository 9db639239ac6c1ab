"""Transitions of made curves: numbers per seed and family, verdicts, gates, and runs that went wrong."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made import GATE, curve_run
from matplotlib.figure import Figure

from coherence.config.claims import BY_WIDTH, SLOPE, TRANSITIONS
from coherence.figures.read import Run
from coherence.figures.transitions import Curve, in_order, measure, published, summarise
from coherence.figures.transitions_figure import draw, rows_of, verdict_of
from coherence.figures.transitions_words import caption, table

OPTIONS = {
    "level": 0.95,
    "least_climb": 0.2,
    "sharp": 0.5,
    "narrowest": 4,
    "least_jump": 0.1,
    "widths": None,
}
NAMED: dict[str, dict[str, Any]] = {
    "slow": {"base": None},
    "fast": {"base": None},
    "flat": {"base": "blank"},
}
SETTINGS = {"figure": OPTIONS, "gate": GATE, "curves": NAMED}


def made(runs: list[Run]) -> tuple[list[Curve], pd.DataFrame]:
    curves = measure(runs, OPTIONS, GATE)
    return curves, summarise(curves, OPTIONS, NAMED)


def family(name: str, seeds: int = 3, **how: float) -> list[Run]:
    return [curve_run(name, seed, **how) for seed in range(seeds)]


def value(data: pd.DataFrame, name: str, quantity: str) -> "pd.Series[Any]":
    return rows_of(data, quantity, name).iloc[0]


def test_a_family_has_its_geometric_means_and_verdict() -> None:
    _, data = made([*family("slow"), *family("flat"), *family("fast", width=35)])
    tau = value(data, "slow", "tau")
    assert tau["estimate"] == pytest.approx((30 * 31 * 32) ** (1 / 3), abs=0.1)
    assert tau["low"] < 30.5 < 31.5 < tau["high"]
    assert value(data, "slow", "width")["estimate"] == pytest.approx(12, rel=0.05)
    assert value(data, "slow", "verdict")["said"] == "transition (sharp)"
    rho, log_rho = value(data, "slow", "rho"), value(data, "slow", "log_rho")
    assert math.log(rho["high"]) == pytest.approx(log_rho["high"]) and (rho["low"] > 0) == (rho["seeds"] == 3)
    assert verdict_of(data, "fast") == "smooth"
    assert value(data, "flat", "verdict")["said"] == "none (3 climb too small)"
    assert value(data, "slow", "rho")["hidden_size"] == 96


def test_the_gate_is_replayed() -> None:
    (curve,), _ = made([curve_run("slow", 0)])
    high = curve.step[curve.accuracy >= GATE["threshold"]]
    assert curve.numbers["gate"] >= high[2] and curve.numbers["after_last"] > 0
    assert curve.numbers["after_half"] - curve.numbers["after_last"] == pytest.approx(curve.numbers["width"] / 2)


def test_a_gate_that_never_fires_has_no_delay() -> None:
    runs = family("slow")
    runs[0].metrics["content/accuracy"] *= 0.9
    curves, data = made(runs)
    assert math.isnan(curves[0].numbers["after_last"]) and math.isfinite(value(data, "slow", "after_last")["estimate"])
    assert value(data, "slow", "after_last")["seeds"] == 2 and value(data, "slow", "rho")["seeds"] == 3
    assert "On 3 climbing runs the gate fired 2 times, 0 of them" in caption_of(curves, data, runs)


def caption_of(curves: list[Curve], data: pd.DataFrame, runs: list[Run]) -> str:
    return " ".join(caption(data, curves, runs, SETTINGS).split())


def test_a_run_that_broke_off_is_in_no_estimate_and_is_named() -> None:
    runs = [*family("slow"), curve_run("slow", 3, status="over_nan_budget")]
    curves, data = made(runs)
    assert value(data, "slow", "tau")["estimate"] == pytest.approx(31, abs=0.1)
    assert value(data, "slow", "verdict")["said"] == "undetermined (3 of 4 seeds climb)"
    assert "Dashed, and in no estimate: slow seed 3 (over nan budget)." in caption_of(curves, data, runs)
    stopped = [*family("slow"), Run("slow", 3, {"status": "over_nan_budget"}, pd.DataFrame())]
    curves, data = made(stopped)
    assert value(data, "slow", "verdict")["said"] == "undetermined (3 of 4 seeds climb)"
    assert isinstance(draw(data, curves, OPTIONS), Figure)
    diverged = [*family("slow"), curve_run("slow", 3, diverged=True)]
    assert "Without a transition: diverged in 1, of 4 runs." in caption_of(*made(diverged), diverged)
    not_yet = [*family("slow"), curve_run("slow", 3, status="not_crystallized")]
    assert value(made(not_yet)[1], "slow", "verdict")["estimate"] == 4


def test_two_seeds_decide_nothing_and_one_has_no_interval() -> None:
    assert verdict_of(made(family("slow", 2))[1], "slow") == "undetermined"
    (curve,), data = made(family("slow", 1))
    assert math.isnan(value(data, "slow", "rho")["low"])
    assert isinstance(draw(data, [curve], OPTIONS), Figure) and table(data).rows[0][2] == "30"


def test_a_curve_with_a_gap_or_without_room_is_named() -> None:
    broken = curve_run("slow", 1)
    broken.metrics.loc[9, "content/accuracy"] = np.nan
    with pytest.raises(ValueError, match=r"^curve slow, seed 1: accuracy is missing at step 10$"):
        measure([broken], OPTIONS, GATE)
    short = curve_run("slow", 0)
    with pytest.raises(ValueError, match=r"^curve slow, seed 0: a curve needs at least 20 rising steps, got 7$"):
        measure([Run("slow", 0, short.outcome, short.metrics[:7])], OPTIONS, GATE)


def test_a_gate_that_never_fires_is_off_by_the_whole_run() -> None:
    runs = family("slow")
    runs[0].metrics["content/accuracy"] *= 0.9
    curves, data = made(runs)
    assert curves[0].numbers["gate_off"] == curves[0].step[-1]
    assert curves[1].numbers["gate_off"] == pytest.approx(abs(curves[1].numbers["after_last"]))
    assert value(data, "slow", "gate_off")["seeds"] == 3
    own = set(data.loc[data["arm"] == "slow", "quantity"])
    assert own == {*TRANSITIONS, "gate", "jump_step", "verdict", "found_rho"}, "what claims may take, and more"


def test_the_slope_over_widths_is_that_of_each_seed_s_line() -> None:
    runs = [*family("slow", width=10), *family("fast", width=20)]
    for run in runs[3:]:
        run.outcome["width"] = 192
    options = OPTIONS | {"widths": ["slow", "fast"]}
    curves = measure(runs, options, GATE)
    data = summarise(curves, options, NAMED)
    slope = value(data, BY_WIDTH, SLOPE)
    rho = [curve.numbers["log_rho"] for curve in curves]
    by_hand = [(rho[seed + 3] - rho[seed]) / math.log(2) for seed in range(3)]
    assert slope["estimate"] == pytest.approx(np.mean(by_hand)) and slope["seeds"] == 3 and slope["freedom"] == 2
    told = caption(data, curves, runs, SETTINGS | {"figure": options})
    assert "At d = 96, 192 (slow, fast) ln ρ changes by +1.0" in " ".join(told.split())
    assert BY_WIDTH not in [row[0] for row in table(data).rows]
    assert rows_of(made(family("flat"))[1], SLOPE, BY_WIDTH).empty, "no transition, no slope"


def test_families_stand_by_base_then_learning_rate() -> None:
    runs = [curve_run("flat", 0), curve_run("fast", 0, learning_rate=2e-3), curve_run("slow", 0)]
    assert in_order(measure(runs, OPTIONS, GATE), NAMED) == ["slow", "fast", "flat"]


def test_the_published_table_is_sharp_only_just() -> None:
    paper = published()
    assert 20 < paper.tau[0] < 25, "the half climb lies in the published transition"
    assert 0.4 < paper.rho[0] < 0.5


def test_the_table_has_a_row_per_family_and_the_published_one() -> None:
    _, data = made([*family("slow"), *family("flat")])
    rows = {row[0]: row for row in table(data).rows}
    assert list(rows) == ["slow", "flat", "published table"]
    assert rows["flat"][2:] == ["-"] * 10 and rows["slow"][2].startswith("31 [")


def test_widths_of_steps_have_no_lower_end() -> None:
    _, data = made(family("slow", tau=30.5, width=0.2))
    assert value(data, "slow", "width")["low"] == 0 == value(data, "slow", "rho")["low"]
    assert value(data, "slow", "tau")["low"] > 20
    assert value(data, "slow", "verdict")["said"] == "transition (sharp and a jump)"
    assert value(data, "slow", "jump")["estimate"] == pytest.approx(1, abs=0.1)
