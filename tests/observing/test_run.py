"""Curves, V, gate and phases of a log."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from watched import FIXTURES, GATE, noisy, read_one, watch, write_log, write_trackio

from coherence.core.phases import find_phases
from coherence.observing.run import as_json, observe

ACCURACY = [0.0] * 10 + list(np.linspace(0, 1, 20)) + [1.0] * 10
ENTROPY = list(np.linspace(2, 5, 10)) + list(np.linspace(5, 0.3, 30))


def test_trl_supervised_by_its_own_keys() -> None:
    run = observe(read_one(FIXTURES / "sft_trainer_state.json"), 576)
    assert run.kind == "supervised" and run.status == "finished"
    assert (run.curves["accuracy"].key, run.curves["entropy"].key) == ("mean_token_accuracy", "entropy")
    assert len(run.curves["accuracy"].value) == 20, "evaluations and the summary are no training values"
    share = run.curves["entropy"].value / math.log(576)
    assert run.curves["Phi"].value == pytest.approx(1 - share)


def test_trl_grpo_has_rewards_and_neither_gate_nor_phases() -> None:
    run = observe(read_one(FIXTURES / "grpo_trainer_state.json"))
    assert run.kind == "rewarded" and run.gate is None and not run.phases
    assert {"entropy", "reward", "zero-variance groups", "clipped completions"} == set(run.curves)


def test_the_gate_skips_entries_without_its_key(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    entries = [{"step": s, "loss": 1.0, **({"accuracy": 1.0} if s % 2 else {})} for s in range(1, 8)]
    path.write_text("\n".join(map(json.dumps, entries)))
    gate = observe(read_one(path)).gate
    assert gate is not None and gate.fired_step == 5 and gate.recent == [1.0] * 4


def test_an_evaluation_cannot_fire_the_gate(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    entries = [e for s in range(1, 9) for e in ({"step": s, "accuracy": 0.5}, {"step": s, "eval_accuracy": 1.0})]
    path.write_text("\n".join(map(json.dumps, entries)))
    gate = observe(read_one(path)).gate
    assert gate is not None and not gate.fired


def test_the_gate_is_that_of_the_runs_study(tmp_path: Path) -> None:
    (tmp_path / "study.json").write_text(json.dumps({"sft": {"gate": GATE}}))
    run = watch(tmp_path / "sft/seed0", content__accuracy=[0.5, 0.95, 0.2, 0.95], mean_token_accuracy=[1, 1, 1, 1])
    assert run.gate is not None and run.gate.fired_step == 4
    assert run.curves["accuracy"].key == "content/accuracy"


def test_phases_are_those_of_the_core_rule(tmp_path: Path) -> None:
    run = watch(tmp_path, 400, accuracy=ACCURACY, entropy=ENTROPY)
    assert run.gate is not None
    steps = range(1, len(ACCURACY) + 1)
    assert run.phases == find_phases(steps, ACCURACY, ENTROPY, math.log(400), run.gate.fired_step)
    assert [phase.name for phase in run.phases][:2] == ["baseline", "melting"]


def test_phases_use_the_steps_at_which_both_are_logged(tmp_path: Path) -> None:
    accuracy = [math.nan if i % 3 == 1 else value for i, value in enumerate(ACCURACY)]
    run = watch(tmp_path, 400, accuracy=accuracy, entropy=ENTROPY)
    assert run.phases[-1].last_step == 40 and run.phases[0].first_step == 1


@pytest.mark.parametrize(
    ("curves", "vocab_size", "why"),
    [
        ({"accuracy": [0.0, 0.5, 0.9], "entropy": [2.0, 1, 1]}, None, "--vocab-size"),
        ({"accuracy": [0.0, 0.5, 0.9]}, 10, "no entropy"),
        ({"entropy": [2.0, 1, 1]}, 10, "no accuracy"),
        ({"accuracy": [0.1, 0.11, 0.1], "entropy": [2.0, 1, 1]}, 10, "has not climbed"),
    ],
)
def test_no_phases_says_why(tmp_path: Path, curves: dict[str, list[float]], vocab_size: int | None, why: str) -> None:
    run = watch(tmp_path, vocab_size, **curves)
    assert not run.phases and why in run.no_phases


def _beside(folder: Path, name: str, told: object) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps(told))


TOKENIZER = {
    "model": {"vocab": {"a": 0, "b": 1, "c": 2}},
    "added_tokens": [{"id": 2, "content": "c"}, {"id": 3, "content": "d"}],
}
UNIGRAM = {"model": {"vocab": [["a", -1.0], ["b", -2.0]]}, "added_tokens": []}


@pytest.mark.parametrize(
    ("name", "told", "size"),
    [
        ("outcome.json", {"status": "ok", "vocab_size": 571}, 571),
        ("config.json", {"vocab_size": 576}, 576),
        ("config.json", {"text_config": {"vocab_size": 99}}, 99),
        ("checkpoint-9/config.json", {"vocab_size": 576}, 576),
        ("tokenizer.json", TOKENIZER, 4),
        ("tokenizer.json", UNIGRAM, 2),
        ("config.json", {"hidden_size": 8}, None),
        ("config.json", ["vocab_size"], None),
        ("config.json", {"vocab_size": "many", "text_config": "here"}, None),
        ("config.json", {"text_config": "here"}, None),
        ("tokenizer.json", {"model": "gpt2", "added_tokens": ["a", {"id": 6}]}, 7),
        ("tokenizer.json", {"model": "gpt2", "added_tokens": 3}, None),
        ("tokenizer.json", {"model": {"vocab": 3}, "added_tokens": None}, None),
    ],
)
def test_vocabulary_beside_the_log(tmp_path: Path, name: str, told: object, size: int | None) -> None:
    _beside(tmp_path, name, told)
    vocab = watch(tmp_path, entropy=[0.5, 0.4]).vocab
    assert (vocab.size if vocab else None) == size


def test_the_given_vocabulary_comes_first(tmp_path: Path) -> None:
    _beside(tmp_path, "config.json", {"vocab_size": 576})
    vocab = watch(tmp_path, 1000, entropy=[0.5]).vocab
    assert vocab is not None and vocab == (1000, "--vocab-size")


def test_vocabulary_from_logged_phi_and_from_the_tracker(tmp_path: Path) -> None:
    entropy = [0.0, 2.5, 1.0]
    phi = [1 - value / math.log(571) for value in entropy]
    vocab = watch(tmp_path, all__entropy=entropy, all__phi=phi).vocab
    assert vocab is not None and vocab.size == 571
    tracked = read_one(write_trackio(tmp_path / "p.db", {"a": [{"entropy": 1.0}]}, {"vocab_size": 32000}))
    vocab = observe(tracked).vocab
    assert vocab is not None and vocab.size == 32000
    listed = read_one(write_trackio(tmp_path / "q.db", {"a": [{"entropy": 1.0}]}, ["a", "list"]))
    assert observe(listed).vocab is None


@pytest.mark.parametrize(("entropy", "phi"), [(30.1, 0.0), (1.0, 1.0), (1.0, 1.1)])
def test_no_vocabulary_from_a_phi_that_does_not_fit(tmp_path: Path, entropy: float, phi: float) -> None:
    assert watch(tmp_path, all__entropy=[entropy], all__phi=[phi]).vocab is None


@pytest.mark.parametrize(("climb", "found"), [(0.049, False), (0.051, True)])
def test_phases_from_the_least_climb_on(tmp_path: Path, climb: float, found: bool) -> None:
    accuracy = [0.0] * 10 + list(np.linspace(0, climb, 30))
    assert bool(watch(tmp_path, 400, accuracy=accuracy, entropy=ENTROPY).phases) == found


def test_json_is_strict_json(tmp_path: Path) -> None:
    accuracy = [*noisy(0, 1), math.nan]
    path = write_log(tmp_path / "metrics.jsonl", accuracy=accuracy, entropy=[*noisy(3, 1), math.nan])
    told = as_json(observe(read_one(path), 50))
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert told["curves"]["accuracy"]["values"] == 60 and told["last_step"] == 61


def test_a_foreign_study_json_is_not_ours(tmp_path: Path) -> None:
    for told in ({"sft": {"gate": {"threshold": 0.5}}}, {"sft": "x"}, {}):
        (tmp_path / "study.json").write_text(json.dumps(told))
        gate = watch(tmp_path, accuracy=[0.6] * 5).gate
        assert gate is not None and gate.threshold == 0.99 and not gate.fired


def test_a_gate_that_looks_at_the_validation_split_is_fed_by_it_alone(tmp_path: Path) -> None:
    (tmp_path / "study.json").write_text(json.dumps({"sft": {"gate": GATE | {"split": "validation"}}}))
    write_log(tmp_path / "sft/seed0/validation.jsonl", content__accuracy=[0.95, 0.1, 0.95])
    run = watch(tmp_path / "sft/seed0", content__accuracy=[1.0] * 6)
    assert run.gate is not None and run.gate.fired_step == 3
