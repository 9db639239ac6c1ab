"""phi, reward, gate-check and constants: numbers, and answers to mistakes. Legend: T tokens, V vocabulary."""

import json
import math
import pickle
import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rewards.test_compat_vectors import _array, _expect, _number, _vectors

from coherence.core import compat
from coherence.core.coherence_gate import coherence_gate
from coherence.core.composite import carl_composite
from coherence.core.order_parameter import completion_logits, token_statistics

T, V = 12, 30
Call = Callable[..., Any]
IDS = np.random.default_rng(1).integers(0, V, T)


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    def to_file(name: str, array: Any) -> Path:
        np.save(tmp_path / name, array)
        return tmp_path / name

    return to_file


def logits() -> np.ndarray:
    return 3 * np.random.default_rng(0).standard_normal((T, V))


def asked(front: Call, save: Call, command: str, mode: str, logits_TV: Any, ids: Any = None) -> dict[str, Any]:
    files = ["--logits-file", save("logits.npy", logits_TV)]
    files += [] if ids is None else ["--token-ids-file", save("ids.npy", ids)]
    answer = front(command, *files, "--mode", mode, "--json")
    assert (answer.code, answer.err) == (0, "")
    return answer.json()


def known(vector: dict[str, Any]) -> dict[str, Any]:
    """The recorded numbers that the command gives; null for what is not finite."""
    names = ("reward", "multiscale", "cloud_quality", "discontinuity", "phi_mean", "phi_std", "entropy_mean")
    return {name: _number(vector["expected"][name]) for name in names if name in vector["expected"]}


def agree(told: dict[str, Any], vector: dict[str, Any]) -> None:
    finite = {key: value for key, value in known(vector).items() if math.isfinite(value)}
    assert {key for key in known(vector) if told[key] is None} == known(vector).keys() - finite.keys()
    _expect(vector | {"expected": finite}, lambda: told)


@pytest.mark.parametrize("vector", _vectors("carl_reward"))
def test_compat_rewards_are_the_references(vector: dict[str, Any], front: Call, save: Call) -> None:
    logits_TV, ids = (_array(spec) for spec in vector["inputs"].values())
    told = asked(front, save, "reward", "compat", logits_TV, ids)
    agree(told, vector)
    assert (told["n_tokens"], told["vocab_size"]) == logits_TV.shape


@pytest.mark.parametrize(
    "vector", [v for v in _vectors("compute_phi") if "phi_mean" in v.values[0].get("expected", {})]
)
def test_compat_phi_is_the_references(vector: dict[str, Any], front: Call, save: Call) -> None:
    agree(asked(front, save, "phi", "compat", _array(vector["inputs"]["logits"])), vector)


def test_aligned_numbers_are_those_of_the_library(front: Call, save: Call) -> None:
    tokens = token_statistics(logits(), IDS)
    carl = carl_composite(tokens.logp[None], tokens.phi[None], [T])
    told = asked(front, save, "reward", "aligned", logits(), IDS)
    for name in ("reward", "multiscale", "cloud_quality", "discontinuity", "phi_mean", "phi_std"):
        assert told[name] == pytest.approx(getattr(carl, name)[0], abs=1e-12)
    assert told["entropy_mean"] == pytest.approx(tokens.entropy.mean(), abs=1e-12)
    assert (told["n_tokens"], told["vocab_size"], told["invalid_rows"]) == (T, V, 0)
    phi = asked(front, save, "phi", "aligned", logits().astype(np.float32))
    assert phi == {key: pytest.approx(told[key], abs=1e-6) for key in phi}


def test_rows_and_ids_that_the_help_asks_for_score_a_model_that_knows_the_next_token(front: Call, save: Call) -> None:
    sequence, prompt = np.random.default_rng(2).permutation(V)[:T], 4
    whole_TV = np.where(np.arange(V) == np.append(sequence[1:], 0)[:, None], 20.0, 0.0)
    aligned = asked(front, save, "reward", "aligned", whole_TV[prompt - 1 : -1], sequence[prompt:])
    assert aligned["cloud_quality"] > 0.999
    assert np.array_equal(whole_TV[prompt - 1 : -1], completion_logits(whole_TV, prompt))
    assert asked(front, save, "reward", "aligned", whole_TV, sequence)["cloud_quality"] < 0.001


def test_an_invalid_row_is_counted_and_makes_the_aligned_reward_null(front: Call, save: Call) -> None:
    broken = logits()
    broken[3, 5], broken[7], broken[8, 0] = np.nan, -np.inf, np.inf
    told = asked(front, save, "reward", "aligned", broken, IDS)
    assert [told[name] for name in ("reward", "multiscale", "cloud_quality", "discontinuity")] == [None] * 4
    assert told["invalid_rows"] == 3
    rest = asked(front, save, "phi", "aligned", np.delete(logits(), [3, 7, 8], axis=0))
    assert asked(front, save, "phi", "aligned", broken) == {**rest, "n_tokens": T, "invalid_rows": 3}
    reference = asked(front, save, "reward", "compat", broken, IDS)
    assert (reference["reward"], reference["phi_mean"], reference["invalid_rows"]) == (None, None, 3)
    assert reference["discontinuity"] == pytest.approx(compat.carl_reward(broken, IDS)[1]["discontinuity"])


def test_a_row_that_rules_out_its_own_token_is_counted(front: Call, save: Call) -> None:
    masked = logits()
    masked[2, IDS[2]] = -np.inf
    told = asked(front, save, "reward", "aligned", masked, IDS)
    assert (told["reward"], told["invalid_rows"]) == (None, 1)
    assert asked(front, save, "phi", "aligned", masked)["invalid_rows"] == 0


def test_without_json_each_number_is_explained(front: Call, save: Call) -> None:
    files = "--logits-file", save("logits.npy", logits()), "--token-ids-file", save("ids.npy", IDS)
    told, answer = front("reward", *files, "--json").json(), front("reward", *files)
    for name, value in told.items():
        (line,) = [line for line in answer.out.splitlines() if line.startswith(f"{name} ")]
        shown, *meaning = line.removeprefix(name).split()
        assert float(shown) == pytest.approx(value, abs=1e-6) and len(meaning) > 2
    assert max(map(len, answer.out.splitlines())) <= 100
    abstained = front("gate-check", "--phi", "0.1").out.splitlines()
    assert [line.split()[1] for line in abstained if line.startswith(("act", "confidence"))] == ["no", "abstain"]


BAD_LOGITS = {
    "one axis": (np.zeros(4), r"real numbers \[tokens, vocabulary\], this is float64 \[4\]"),
    "three axes": (np.zeros((1, 4, 5)), "tokens, vocabulary"),
    "no vocabulary": (np.zeros((3, 0)), "tokens, vocabulary"),
    "one token": (np.zeros((3, 1)), "undefined for vocab_size 1"),
    "no row": (np.zeros((0, 5)), "no token to score"),
    "complex": (np.zeros((3, 4), complex), "complex128"),
    "text": (np.full((3, 4), "x"), "real numbers"),
    "whole numbers": (np.zeros((3, 4), int), "floating point, got int64"),
}


@pytest.mark.parametrize(("array", "why"), BAD_LOGITS.values(), ids=BAD_LOGITS)
def test_logits_that_cannot_be_scored(array: Any, why: str, mistake: Call, save: Call) -> None:
    assert_tells(mistake("phi", "--json", "--logits-file", save("bad.npy", array)), "bad.npy", why)


BAD_IDS = {
    "beyond V": (IDS + V, "aligned", rf"token_ids\[0\] = {IDS[0] + V} lies outside 0..29"),
    "beyond V, compat": (IDS + V, "compat", "out of bounds"),
    "negative": (IDS - V, "aligned", "lies outside"),
    "too few": (IDS[:5], "aligned", r"\(12, 30\), \(5,\)"),
    "too few, compat": (IDS[:5], "compat", "does not go with"),
    "too many": (np.append(IDS, 0), "aligned", "do not match"),
    "floats": (IDS.astype(float), "aligned", r"integers \[tokens\], this is float64"),
    "floats, compat": (IDS.astype(float), "compat", "float64"),
    "two axes": (IDS[None], "aligned", r"this is int64 \[1, 12\]"),
}


@pytest.mark.parametrize(("ids", "mode", "why"), BAD_IDS.values(), ids=BAD_IDS)
def test_ids_that_do_not_go_with_the_logits(ids: Any, mode: str, why: str, mistake: Call, save: Call) -> None:
    files = "--logits-file", save("logits.npy", logits()), "--token-ids-file", save("ids.npy", ids)
    assert_tells(mistake("reward", *files, "--mode", mode, "--json"), "ids.npy", why)


class Trap:
    """Unpickled, it leaves a file."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("sprung"),)


def test_nothing_is_unpickled(tmp_path: Path, mistake: Call, save: Call) -> None:
    objects = save("objects.npy", np.array([[Trap(), 1]], dtype=object))
    assert "not a .npy file of plain numbers" in mistake("phi", "--logits-file", objects)
    (tmp_path / "pickle.npy").write_bytes(pickle.dumps(Trap()))
    assert "not a .npy file of plain numbers" in mistake("phi", "--logits-file", "pickle.npy")
    assert not (tmp_path / "sprung").exists()


def test_files_that_are_no_arrays(tmp_path: Path, mistake: Call, save: Call) -> None:
    (tmp_path / "empty.npy").touch()
    (tmp_path / "text.npy").write_text("0.1 0.2\n" * 20)
    whole = save("cut.npy", logits()).read_bytes()
    (tmp_path / "cut.npy").write_bytes(whole[:-8])
    np.savez(tmp_path / "two.npz", a=logits())
    for name in ("empty.npy", "text.npy", "cut.npy", "two.npz"):
        assert_tells(mistake("phi", "--logits-file", name), name, "not a .npy file of plain numbers")
    for name, why in (("none.npy", "No such file"), (".", "directory")):
        assert_tells(mistake("phi", "--logits-file", name), name, why)


def assert_tells(line: str, *patterns: str) -> None:
    for pattern in patterns:
        assert re.search(pattern, line), line


@pytest.mark.parametrize("vector", _vectors("coherence_gate"))
def test_the_gate_is_the_references_up_to_one_half(vector: dict[str, Any]) -> None:
    inputs = dict(vector["inputs"])
    for phi, expected in zip(_number(inputs.pop("phi")), vector["expected"], strict=True):
        if inputs.get("threshold", 0) <= 0.5:
            assert list(coherence_gate(phi, **inputs)) == expected


def test_a_threshold_above_one_half_is_heeded(front: Call) -> None:
    assert compat.coherence_gate(0.55, 0.6) == (True, "medium")
    assert front("gate-check", "--phi", 0.55, "--threshold", 0.6, "--json").json() == {
        "act": False,
        "confidence": "abstain",
    }
    assert front("gate-check", "--phi", 0.85, "--json").json() == {"act": True, "confidence": "high"}
    assert coherence_gate(math.nan) == (False, "abstain")


@pytest.mark.parametrize("arguments", ["--phi nan", "--phi inf", "--phi 85", "--phi -0.1", "--phi 0.3 --threshold -1"])
def test_what_is_no_phi(arguments: str, mistake: Call) -> None:
    assert "must be a number in 0..1" in mistake("gate-check", *arguments.split())


def test_a_word_for_a_number_is_refused(front: Call) -> None:
    code, out, err = front("gate-check", "--phi", "much", "--json")
    assert (code, out) == (2, "") and "'much'" in err and "Traceback" not in err


def test_constants_come_with_verdicts(front: Call) -> None:
    told = front("constants", "--json").json()
    values = {name: float(Fraction(exact)) for name, exact in told["exact"].items()}
    assert {name: told[name] for name in values} == values
    assert (told["kappa"], told["sigma"], told["kappa_sigma"]) == (64 / 3, 3 / 16, 4.0)
    assert all(Fraction(value) == Fraction(64 * int(width), 3) for width, value in told["t_star"].items())
    verdicts = {check["name"]: check["verdict"] for check in told["checks"]}
    assert (verdicts["conservation"], verdicts["t_star_whole"]) == ("tautology", "fails")
    table = front("constants").out
    assert all(check["statement"].split()[0] in table for check in told["checks"])


def test_every_level_explains_itself(front: Call) -> None:
    top = front("--help")
    commands = ("constants", "phi", "reward", "gate-check", "train", "agent")
    assert top.code == 0 and all(command in top.out for command in commands)
    helps = {command: front(command, "--help").out for command in commands}
    assert all("--json" in helps[command] for command in commands if command != "train")
    for command in ("phi", "reward"):
        assert "logits[P-1:-1]" in helps[command] and "{aligned,compat}" in helps[command]
    assert "not part of this" in " ".join(helps["agent"].split()), "adapt is left out, and said to be"
    assert json.dumps(helps).count("Traceback") == 0
