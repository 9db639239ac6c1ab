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

from coherence.core import compat, compat_cascade, compat_rewards, compat_traces, constants
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
    files = ("carl_vectors.json", "carl_vectors_more.json", "carl_vectors_030.json")
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


@pytest.mark.parametrize("vector", _vectors("CoherenceTrace.kuramoto_R"))
def test_kuramoto(vector: dict[str, Any]) -> None:
    _expect(vector, lambda: compat_traces.kuramoto(np.array(vector["inputs"]["phi"])))


@pytest.mark.parametrize("vector", _vectors("CoherenceTrace"))
def test_trace(vector: dict[str, Any]) -> None:
    phi, expected = np.array(vector["inputs"]["phi"]), dict(vector["expected"])
    assert compat_traces.sparkline(phi) == expected.pop("spark")
    assert compat_traces.defect_map(phi) == expected.pop("map")
    assert compat_traces.jump_positions(phi) == (expected["cryst_pos"], expected["melt_pos"])
    assert [len(found) for found in compat_traces.jump_positions(phi)] == [expected["n_cryst"], expected["n_melt"]]
    scales = {int(j): value for j, value in expected.pop("scales").items()}
    assert compat_traces.scale_coherence(phi) == pytest.approx(scales, rel=RTOL)
    got = {
        **compat_traces.trace_scores(phi, np.full(len(phi), vector["inputs"]["selected_prob"])),
        "R_at_0_2_4": compat_traces.kuramoto(phi[[0, 2, 4]]),
        "sharp_0_3": compat_traces.transition_sharpness(phi, [0, 3]),
        "segments_0_3": compat_traces.segment_means(phi, [0, 3]),
    }
    for key in expected.keys() & got.keys():
        np.testing.assert_allclose(got[key], expected[key], RTOL, err_msg=key)
    assert expected.keys() - got.keys() == {"n_cryst", "n_melt", "cryst_pos", "melt_pos"}


@pytest.mark.parametrize("vector", _vectors("CoherenceTrace.from_entropy"))
def test_trace_from_entropies(vector: dict[str, Any]) -> None:
    inputs = dict(vector["inputs"])
    previous = inputs.pop("prev_phi", None)
    phi, prob = compat_traces.from_entropy(*inputs.values())
    got = {"phi": phi, "delta_phi": compat.steps(phi, previous), **compat_traces.trace_scores(phi, prob, previous)}
    _expect(vector, lambda: got)


@pytest.mark.parametrize("vector", _vectors("CoherenceTrace.multiscale_coherence"))
def test_multiscale_of_a_single_token(vector: dict[str, Any]) -> None:
    phi = np.array(vector["inputs"]["phi"])
    _expect(vector, lambda: compat_traces.trace_scores(phi, phi)["multiscale"])
    assert compat.multiscale_coherence(phi) == 0.5


@pytest.mark.parametrize("vector", _vectors("CascadeRewardManager.get_stage_weight"))
def test_cascade_weights(vector: dict[str, Any]) -> None:
    inputs = vector["inputs"]
    shape = inputs["carl_start"], inputs["warmup"]
    _expect(vector, lambda: [compat_cascade.stage_weight(step, *shape, inputs["stages"]) for step in inputs["steps"]])
    falls = [compat_cascade.stage_weight(step, *shape, "AB") for step in (4, 5, 14)]
    assert falls == [1.0, 0.1, 1.0], "the ramp takes the task rewards along"


@pytest.mark.parametrize("vector", _vectors("CascadeRewardManager.record_metric"))
def test_self_calibrating_gate(vector: dict[str, Any]) -> None:
    assert compat_cascade.gate_fires_at(vector["inputs"]["metric"]) == vector["expected"]


def test_self_calibrating_gate_is_a_timer() -> None:
    assert compat_cascade.gate_fires_at([0.5] * 9) == 5
    assert compat_cascade.gate_fires_at(list(np.linspace(1, 0, 50))) is None


REWARDS: dict[str, Callable[..., Any]] = {
    "tool_call_format_reward": compat_rewards.format_reward,
    "neuralese_v2_reward": compat_rewards.density_reward,
    "conciseness_reward": compat_rewards.conciseness_reward,
    "chain_completion_reward": compat_rewards.chain_reward,
    "click_accuracy_reward": compat_rewards.click_reward,
    "precision_reward": compat_rewards.precision_reward,
}


@pytest.mark.parametrize("vector", _vectors(*REWARDS))
def test_rewards_of_completions(vector: dict[str, Any]) -> None:
    inputs = dict(vector["inputs"])
    completions, reward = inputs.pop("completions"), REWARDS[vector["function"]]
    _expect(vector, lambda: [reward(text, *inputs.values()) for text in completions])


@pytest.mark.parametrize("vector", _vectors("_parse_coordinates"))
def test_coordinates(vector: dict[str, Any]) -> None:
    found = [compat_rewards.coordinates(text) for text in vector["inputs"]["text"]]
    assert found == [pair and tuple(pair) for pair in vector["expected"]]


@pytest.mark.parametrize("vector", _vectors("CoherenceUnderPressureProbe._classify_profile"))
def test_pressure_profiles(vector: dict[str, Any]) -> None:
    name, value = compat_rewards.pressure_profile(vector["inputs"]["phi_levels"])
    assert (name, pytest.approx(value)) == tuple(vector["expected"])


@pytest.mark.parametrize("vector", _vectors("AtroposAdapter.compute_coherence_bonus"))
def test_bonus_from_logprobs(vector: dict[str, Any]) -> None:
    _expect(vector, lambda: compat_rewards.logprob_bonus(*vector["inputs"].values()))


READ = '{"name": "read_file", "arguments": {"path": "x"}}'


def test_rewards_beyond_the_recorded_ones() -> None:
    texts = [READ, f"```json\n{READ}\n```", READ.replace("read_file", "foo"), "{", '{"name": "a", "arguments": "{}"}']
    assert [compat_rewards.format_reward(text) for text in texts] == [1.0, 1.0, 0.8, 0.0, 0.8]
    assert [compat_rewards.selection_reward(text, ["read_file"]) for text in texts[:3]] == [1.0, 1.0, 0.0]
    assert compat_rewards.selection_reward(READ, ["write_file"]) == 0.5
    assert [compat_rewards.chain_reward(text, ["a"], 0) for text in ("none", READ)] == [1.0, 0.0]
    assert compat_rewards.chain_reward(f"a: {READ}", ["a:"], 1) == 0.3
    forms = ["none", "(1, 2)", "I would click at (1, 2)"]
    assert [compat_rewards.coordinate_format_reward(text) for text in forms] == [0.0, 1.0, 0.6]
    assert compat_rewards.density_reward("{ {a} {b{c}} }}" + "." * 25) == pytest.approx(0.7)
    assert [compat_rewards.pressure_profile(x)[0] for x in ([0.9, 0.1], [0, 0], [1, 0.75, 1, 0.75, 0.45], [])] == [
        "collapse", "collapse", "cliff", "collapse",
    ]  # fmt: skip


def test_no_vector_is_left_out() -> None:
    covered = {
        "constants", "t_star", "main", "compute_phi", "multiscale_coherence", "cloud_quality",
        "discontinuity_score", "carl_reward", "coherence_gate", "PhaseTransitionGate.check",
        "PhaseTransitionGate.on_log", "make_carl_reward_fn",
    }  # fmt: skip
    later = {
        *REWARDS, "CoherenceTrace", "CoherenceTrace.kuramoto_R", "CoherenceTrace.from_entropy",
        "CoherenceTrace.multiscale_coherence", "CascadeRewardManager.get_stage_weight", "_parse_coordinates",
        "CascadeRewardManager.record_metric", "CoherenceUnderPressureProbe._classify_profile",
        "AtroposAdapter.compute_coherence_bonus",
    }  # fmt: skip
    for name, functions in (("carl_vectors.json", covered), ("carl_vectors_030.json", later)):
        document = json.loads((HERE / name).read_text())
        assert {vector["function"] for vector in document["vectors"]} == functions
