"""The benchmark works and its numbers agree with float64. Nothing here looks at a time."""

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks import growth, table
from benchmarks.contenders import from_logits, largest_error, oracle
from benchmarks.machine import environment
from benchmarks.measures import AGREEMENT, composite_work, drop_who_disagrees, make_logits
from benchmarks.rounds import ratio, take_turns

RUN = Path(__file__).parents[2] / "benchmarks" / "run.py"


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, list[dict[str, Any]]]:
    """One quick run: its folder, what it printed, its records."""
    folder = tmp_path_factory.mktemp("bench")
    command = [sys.executable, str(RUN), "--quick", "--out", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    lines = (folder / "bench.jsonl").read_text(encoding="utf-8").splitlines()
    return folder, done.stdout, [json.loads(line) for line in lines]


def found(records: list[dict[str, Any]], measure: str) -> list[dict[str, Any]]:
    return [record for record in records if record["measure"] == measure]


def test_everybody_agrees_with_float64_before_being_timed(quick: tuple[Path, str, list[dict[str, Any]]]) -> None:
    records = quick[2]
    off = {(r["what"], r["contender"]): r["off_nats"] for r in found(records, "agreement")}
    assert {("logits", "compiled"), ("logits", "eager"), ("hidden", "compiled"), ("logits", "trl")} <= set(off)
    assert max(off.values()) <= AGREEMENT
    assert {r["contender"] for r in found(records, "logits_time")} == {n for what, n in off if what == "logits"}
    assert all(r["off"] <= 1e-12 for r in found(records, "composite_ratio"))


def test_our_phi_is_exact_where_others_are_not(quick: tuple[Path, str, list[dict[str, Any]]]) -> None:
    errors = {(r["case"], r["contender"]): r["value"] for r in found(quick[2], "phi_error")}
    for case in ("float32", "bfloat16", "masked"):
        assert errors[case, "compiled"] <= 2e-7
        assert errors[case, "eager"] <= 2e-7
    assert errors["bfloat16", "trl"] > 1e-3
    assert math.isnan(errors["masked", "trl"])
    assert {r["contender"]: r["value"] for r in found(quick[2], "events_flipped")}["compiled"] == 0


def test_ratios_have_intervals_under_both_allocators(quick: tuple[Path, str, list[dict[str, Any]]]) -> None:
    ratios = found(quick[2], "logits_ratio")
    assert {r["allocator"] for r in ratios} == {"pooled", "default"}
    assert all(0 < r["low"] <= r["value"] <= r["high"] for r in ratios)
    assert {r["of"] for r in found(quick[2], "grpo_ratio")} == {"recorder"}


def test_what_is_printed_and_drawn(quick: tuple[Path, str, list[dict[str, Any]]]) -> None:
    folder, printed, records = quick
    assert "a quick run: none of these numbers means anything" in printed
    assert "SHORT" not in printed
    assert "NaN" in printed, "a contender that returns NaN prints NaN"
    about = records[0]
    assert about["quick"] is True and about["versions"]["torch"] == torch.__version__
    for axis in "VTB":
        assert (folder / f"growth_{axis}.png").stat().st_size > 5000
        assert len(pd.read_parquet(folder / f"growth_{axis}.parquet")) >= 4


def test_the_oracle_is_right_about_what_is_known() -> None:
    logits = torch.tensor([[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, -torch.inf, -torch.inf], [0.0, -800.0, -800.0, -800.0]])
    logp, entropy = oracle(logits, torch.tensor([0, 1, 0]))
    np.testing.assert_allclose(entropy, [math.log(4), math.log(2), 0.0], atol=1e-15)
    np.testing.assert_allclose(logp, [-math.log(4), -math.log(2), 0.0], atol=1e-15)


def test_who_disagrees_is_not_timed_and_ours_must_not() -> None:
    logits, ids = make_logits(4, 100, seed=3)
    exact = oracle(logits, ids)
    ours = {name: lambda work=work: work(logits, ids) for name, work in from_logits(("compiled", "eager")).items()}
    wrong = {**ours, "trl": lambda: (exact[0], exact[1] + 0.01), "reference": lambda: (exact[0], exact[1] * np.nan)}
    drop_who_disagrees(wrong, exact, "logits")
    assert set(wrong) == {"compiled", "eager"}
    with pytest.raises(ValueError, match="eager: our own numbers from logits disagree"):
        drop_who_disagrees({**ours, "eager": lambda: (exact[0], exact[1] + 0.01)}, exact, "logits")


def test_logits_are_the_same_for_everybody_and_of_every_sharpness() -> None:
    (a, ids), (b, _) = make_logits(32, 1000, seed=1), make_logits(32, 1000, seed=1)
    assert torch.equal(a, b)
    phi = 1.0 - oracle(a, ids)[1] / math.log(1000)
    assert phi.min() < 0.1 and phi.max() > 0.6
    assert math.isnan(largest_error(torch.tensor([0.0, torch.nan]), np.zeros(2)))


def test_the_loops_and_the_batch_see_the_same_completions() -> None:
    work = composite_work(33, np.array([2, 3, 32, 33, 17]), np.random.default_rng(0))
    assert {"ours", "loops"} <= set(work)
    for run in work.values():
        np.testing.assert_allclose(run(), work["ours"](), atol=1e-12)


def test_turns_are_shuffled_and_ratios_are_per_round() -> None:
    order: list[str] = []
    names = ("a", "b", "c")
    turns = {n: lambda n=n: order.append(n) or float(len(order)) for n in names}
    seconds = take_turns(turns, 20, np.random.default_rng(0))
    rounds = [tuple(order[i : i + 3]) for i in range(0, 60, 3)]
    assert all(sorted(turn) == ["a", "b", "c"] for turn in rounds) and len(set(rounds)) > 3
    busy = np.geomspace(1.0, 50.0, 20)  # the machine slows down, for everybody
    r = ratio(3.0 * busy, busy, np.random.default_rng(0))
    assert (r.value, r.low, r.high) == pytest.approx((3.0, 3.0, 3.0))
    assert set(seconds) == set(names)


def test_the_table_marks_what_is_short_and_what_is_missing() -> None:
    one = {"measure": "logits_ratio", "allocator": "pooled", "of": "trl", "over": "compiled"}
    good, bad = ({**one, "value": v, "low": v, "high": v} for v in (5.2, 4.8))
    assert not table.lines([good])[2].endswith("SHORT")
    assert table.lines([bad])[2].endswith("SHORT")
    assert "SHORT" not in table.lines([bad], judged=False)[2]
    nan = {"measure": "phi_error", "case": "masked", "contender": "compiled", "value": math.nan}
    assert "largest error of Phi, half of V masked: compiled" in table.short([nan])
    assert "not measured" in table.lines([])[2]
    assert len(table.short([])) == sum(t.missed(math.nan) for t in table.TARGETS)


def test_nothing_is_drawn_from_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nothing to draw"):
        growth.draw([], tmp_path)


def test_a_worker_gets_one_thread_and_one_allocator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_ARENA_MAX", "1")
    assert "MALLOC_ARENA_MAX" not in environment("default")
    assert environment("pooled")["MALLOC_MMAP_MAX_"] == "0"
    assert environment("default")["OMP_NUM_THREADS"] == "1"
