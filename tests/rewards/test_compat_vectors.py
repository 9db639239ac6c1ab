"""Every recorded number of the reference file, reproduced by `compat`. Legend: T tokens, V vocabulary."""

import hashlib
import json
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from coherence.core import compat, constants
from coherence.core.composite import discontinuity_score
from coherence.core.constant_checks import is_triadic

Array = npt.NDArray[Any]

HERE = Path(__file__).parent
RTOL, ATOL = 1e-9, 1e-12
JUMPS = [
    ([0.7, 0.1], 0.5),  # down from 0.7, which is not above it
    ([0.7 + 1e-9, 0.1], 0.2),
    ([0.5, 0.9], 0.3),  # up from 0.5, which is not below it
    ([0.5 - 1e-9, 0.9], 0.8),
    ([0.0, 0.03, 0.9], 0.8),  # a step of exactly 0.03 is no jump
    ([0.9, 0.9 - 0.031, 0.9], 0.25),
]


def _vectors(*functions: str) -> list[Any]:
    files = ("carl_vectors.json", "carl_vectors_more.json")
    found = [v for name in files for v in json.loads((HERE / name).read_text())["vectors"]]
    return [pytest.param(v, id=v["id"]) for v in found if v["function"] in functions]


def _number(value: Any) -> Any:
    if isinstance(value, list):
        return [_number(v) for v in value]
    return float(value) if isinstance(value, str) else value


def _array(spec: dict[str, Any]) -> Array:
    """An array from its description, checked against the recorded hash where there is one."""
    rng = np.random.default_rng(spec.get("seed"))
    build: dict[str, Callable[[], Any]] = {
        "literal": lambda: np.array(_number(spec["value"])),
        "full": lambda: np.full(spec["shape"], spec["fill"]),
        "standard_normal": lambda: rng.standard_normal(spec["shape"]) * spec["scale"],
        "random": lambda: rng.random(spec["shape"]),
        "integers": lambda: rng.integers(spec["low"], spec["high"], spec["shape"]),
        "mixed_sharpness": lambda: rng.standard_normal(spec["shape"]) * rng.uniform(0.2, 8.0, (spec["shape"][0], 1)),
        "onehot": lambda: _onehot(_array(spec["ids"]), spec["V"], spec["hi"], spec["lo"]),
    }
    array: Array = np.ascontiguousarray(build[spec["kind"]](), dtype=spec["dtype"])
    if "sha256_16" in spec:
        assert hashlib.sha256(array.tobytes()).hexdigest()[:16] == spec["sha256_16"]
    return array


def _onehot(ids_T: Array, width: int, hi: float, lo: float) -> Array:
    logits_TV = np.full((len(ids_T), width), lo)
    logits_TV[np.arange(len(ids_T)), ids_T] = hi
    return logits_TV


def _expect(vector: dict[str, Any], compute: Callable[[], Any]) -> None:
    """Computes and compares, entry by entry for a dict; or meets the exception that is recorded."""
    if "raises" in vector:
        with pytest.raises({"ValueError": ValueError, "IndexError": IndexError}[vector["raises"]]):
            compute()
        return
    expected, got = vector["expected"], compute()
    pairs = expected if isinstance(expected, dict) else {"": expected}
    for key, value in pairs.items():
        actual = got[key] if isinstance(expected, dict) else got
        np.testing.assert_allclose(actual, _number(value), RTOL, ATOL, err_msg=f"{vector['id']} {key}")


def _phi_summary(logits_TV: Array) -> dict[str, Any]:
    phi, probs, entropy = compat.compute_phi(logits_TV)
    summary = {"phi": phi, "entropy": entropy, "probs_row_sum": probs.sum(axis=-1)}
    if not phi.size:
        return summary
    with np.errstate(invalid="ignore"):
        means = {"phi_mean": phi.mean(), "phi_std": phi.std(), "entropy_mean": entropy.mean()}
    ends = {"phi_first": phi[0], "phi_last": phi[-1], "prob_max_mean": probs.max(axis=-1).mean()}
    return summary | means | ends


@pytest.mark.parametrize("vector", _vectors("compute_phi"))
def test_compute_phi(vector: dict[str, Any]) -> None:
    _expect(vector, lambda: _phi_summary(_array(vector["inputs"]["logits"])))


@pytest.mark.parametrize(
    "vector", _vectors("multiscale_coherence", "discontinuity_score", "cloud_quality", "carl_reward")
)
def test_terms_and_reward(vector: dict[str, Any]) -> None:
    def compute() -> Any:
        arguments = [_array(spec) for spec in vector["inputs"].values()]
        result = getattr(compat, vector["function"])(*arguments)
        return {"reward": result[0]} | result[1] if isinstance(result, tuple) else result

    _expect(vector, compute)


def test_float32_stays_float32() -> None:
    logits_TV = np.random.default_rng(0).standard_normal((4, 8)).astype(np.float32)
    assert {a.dtype for a in compat.compute_phi(logits_TV)} == {np.dtype(np.float32)}


@pytest.mark.parametrize("vector", _vectors("constants"))
def test_constants(vector: dict[str, Any]) -> None:
    _expect(vector, lambda: {name: float(getattr(constants, name)) for name in vector["expected"]})


@pytest.mark.parametrize("vector", _vectors("t_star"))
def test_t_star(vector: dict[str, Any]) -> None:
    widths = vector["inputs"]["d"]
    assert [compat.t_star(d) for d in widths] == vector["expected"]
    assert [math.floor(constants.t_star(d)) for d in widths if d > 0] == [
        t for d, t in zip(widths, vector["expected"], strict=True) if d > 0
    ]


@pytest.mark.parametrize("vector", _vectors("main"))
def test_printed_table(vector: dict[str, Any]) -> None:
    rows = re.findall(r"T\*\( *(\d+)\) = +(\d+) *(triadic)?", vector["expected"])
    assert len(rows) == 6
    for width, printed, triadic in rows:
        assert compat.t_star(int(width)) == int(printed)
        assert is_triadic(int(width)) == bool(triadic)


@pytest.mark.parametrize("vector", _vectors("coherence_gate"))
def test_coherence_gate(vector: dict[str, Any]) -> None:
    inputs = dict(vector["inputs"])
    values = inputs.pop("phi")
    got = [list(compat.coherence_gate(_number(phi), **inputs)) for phi in values]
    assert got == vector["expected"]


def _gate_record(gate: compat.PhaseTransitionGate) -> dict[str, Any]:
    names = ("triggered", "trigger_step", "peak_entropy", "peak_entropy_step", "recent")
    return {name: getattr(gate, name) for name in names}


@pytest.mark.parametrize("vector", _vectors("PhaseTransitionGate.check"))
def test_phase_transition_gate(vector: dict[str, Any]) -> None:
    inputs = vector["inputs"]
    gate = compat.PhaseTransitionGate(**inputs.get("kw", {}))
    values = _number(inputs["values"])
    entropies = _number(inputs.get("entropies", [0] * len(values)))
    fired = [gate.check(v, h, step) for step, (v, h) in enumerate(zip(values, entropies, strict=True))]
    _expect(vector, lambda: {"returns": fired, **_gate_record(gate)})


@pytest.mark.parametrize("vector", _vectors("PhaseTransitionGate.on_log"))
def test_phase_transition_gate_on_logs(vector: dict[str, Any]) -> None:
    gate = compat.PhaseTransitionGate()
    stopped = [gate.on_log(logs, step) for step, logs in enumerate(vector["inputs"]["logs"])]
    _expect(vector, lambda: {"stop_after_each": stopped, **_gate_record(gate)})


def _encode(text: str) -> list[int]:
    return [ord(character) for character in text]


def certain_of_next(ids: Sequence[int]) -> Array:
    """Logits [T, V] of a model that knows every next character; after the last one it expects character 0."""
    return _onehot(np.array([*ids[1:], 0]), 128, 0.0, -60.0)


@pytest.mark.parametrize("vector", _vectors("make_carl_reward_fn"))
def test_text_rewards(vector: dict[str, Any]) -> None:
    completions = vector["inputs"]["completions"]
    _expect(vector, lambda: compat.text_rewards(completions, _encode, certain_of_next))


def test_a_chat_is_scored_by_its_last_message() -> None:
    chat = [{"content": "aaaaaaaa"}, {"content": "abcdefgh"}]
    scores = compat.text_rewards([chat, "abcdefgh", "aaaaaaaa"], _encode, certain_of_next)
    assert scores[0] == scores[1] != scores[2]


def test_texts_are_cut_at_512_tokens_and_scored_from_5_characters() -> None:
    lengths: list[int] = []

    def forward(ids: Sequence[int]) -> Array:
        lengths.append(len(ids))
        return certain_of_next(ids)

    scores = compat.text_rewards(["abcd", " " * 6, "abcde", " abcd ", "x" * 513], _encode, forward)
    assert lengths == [5, 6, 512], "white space around a text counts among its characters"
    assert scores[:4] == [0.0, 0.0, 0.6, 0.6]


def test_a_log_without_entropy_leaves_the_peak() -> None:
    gate = compat.PhaseTransitionGate()
    gate.on_log({"mean_token_accuracy": 0.5})
    gate.check(0.5)
    assert (gate.peak_entropy, gate.peak_entropy_step) == (0.0, -1)


@pytest.mark.parametrize(("phi", "score"), JUMPS)
def test_jumps_at_the_edges(phi: list[float], score: float) -> None:
    assert compat.discontinuity_score(np.array(phi)) == pytest.approx(score)
    assert discontinuity_score([phi], [len(phi)])[0] == pytest.approx(score)


def test_no_vector_is_left_out() -> None:
    covered = {
        "constants", "t_star", "main", "compute_phi", "multiscale_coherence", "cloud_quality",
        "discontinuity_score", "carl_reward", "coherence_gate", "PhaseTransitionGate.check",
        "PhaseTransitionGate.on_log", "make_carl_reward_fn",
    }  # fmt: skip
    document = json.loads((HERE / "carl_vectors.json").read_text())
    assert {vector["function"] for vector in document["vectors"]} == covered
