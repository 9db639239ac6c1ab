"""The code task: what a test is taken apart into, what earns which reward, and what is dropped."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coherence.config.data import CodeData
from coherence.tasks.code import rewards
from coherence.tasks.code.guest import canonical
from coherence.tasks.code.rewards import format_reward, passed_reward, share_reward
from coherence.tasks.code.rows import make_rows
from coherence.tasks.rows import Report, check_splits

ANSWER = {"names": ["add"], "setup": "", "calls": ["add(1, 2)", "add(0, 0)"], "expected": ["3", "0"]}
NUMBER = st.booleans() | st.integers(-3, 3) | st.floats() | st.complex_numbers()
LITERAL = st.recursive(
    st.none() | NUMBER | st.text(max_size=2) | st.binary(max_size=1) | st.sets(st.integers(0, 1)),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.lists(inner, max_size=2).map(tuple)
        | st.dictionaries(st.text(max_size=1) | st.integers(0, 1), inner, max_size=2)
    ),
    max_leaves=4,
)


def canonical_or_none(value: object) -> str | None:
    try:
        return canonical(value)
    except (ValueError, OverflowError):  # no number, or none that a literal could equal
        return None


@given(LITERAL, LITERAL)
def test_one_text_for_equal_values_and_for_no_others(a: object, b: object) -> None:
    texts = canonical_or_none(a), canonical_or_none(b)
    if None not in texts:
        assert (texts[0] == texts[1]) == (a == b)


@pytest.mark.parametrize("pair", [(1, 1.0), (True, 1), ({1, 2}, {2, 1}), ({"a": 1, "b": 2}, {"b": 2, "a": 1})])
def test_equal_values_have_one_text(pair: tuple[object, object]) -> None:
    assert canonical(pair[0]) == canonical(pair[1])


@pytest.mark.parametrize(
    "pair", [([1], (1,)), ("1", 1), ({}, set()), (b"a", "a"), ([[1], 2], [[1, 2]]), ("a,b", ["a", "b"])]
)
def test_different_values_have_two(pair: tuple[object, object]) -> None:
    assert canonical(pair[0]) != canonical(pair[1])


@pytest.mark.parametrize(
    ("completion", "scores"),
    [
        ("def add(a, b):\n    return a + b", (1, 1, 1)),
        ("```python\ndef add(a, b):\n    return a + b\n```", (1, 1, 1)),
        ("add = lambda a, b: a + b", (1, 1, 1)),
        ("def add(a, b):\n    return a - b", (1, 0, 0.5)),
        ("def add(a, b):\n    return str(a + b)", (1, 0, 0)),
        ("def plus(a, b):\n    return a + b", (0, 0, 0)),
        ("Sure!\ndef add(a, b):\n    return a + b", (0, 0, 0)),
        ("def add(a, b):\n    return a + b\N{HORIZONTAL ELLIPSIS}", (0, 0, 0)),
        ("def add(a, b):\n    return 3\nraise ValueError", (1, 0, 0)),
        ("", (0, 0, 0)),
        ("\0", (0, 0, 0)),
        ("\ud800", (0, 0, 0)),
    ],
)
def test_known_scores(completion: str, scores: tuple[float, ...]) -> None:
    assert tuple(reward(completion, ANSWER) for reward in (format_reward, passed_reward, share_reward)) == scores


@pytest.mark.parametrize("piece", ["(", "-", "x.", "not ", "lambda:", "[", "f(", "1+", "~"])
def test_deep_nesting_is_no_python_and_ends_nothing(piece: str) -> None:
    assert format_reward(piece * 9_000, ANSWER) == 0.0


def test_a_sandbox_that_did_not_come_up_is_nan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rewards, "run_calls", lambda *job: None)
    for reward in (passed_reward, share_reward):
        assert math.isnan(reward("def add(a, b):\n    return a + b", ANSWER))


def record(number: int, **changes: object) -> dict[str, object]:
    code = f"def f{number}(x):\r\n    return x + {number}\r\n"
    tests = [f"assert f{number}(1) == {number + 1}", f"assert (f{number}(-1)) == {number - 1}"]
    return {"text": f"Add {number}.", "code": code, "tests": tests, "setup": ""} | changes


def make(folder: Path, *extra: dict[str, object]):
    path = folder / "tasks.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in [*map(record, range(6)), *extra]))
    config = CodeData.parse(
        {
            "task": "code",
            "train": {"file": path.name, "lines": [3, 99]},
            "test": {"file": path.name, "lines": [1, 2]},
            "columns": {"text": "text", "code": "code", "tests": "tests", "setup": "setup"},
            "prompt": "{text}\n{test}\n",
            "validation_rows": 1,
            "max_tokens": 100,
            "grpo_max_completion_chars": 100,
            "seed": 0,
        },
        "data",
    )
    report = Report()
    return make_rows(config, {path.name: path}, str, np.random.default_rng(0), report), report


def test_rows_come_from_their_lines_and_earn_every_reward(tmp_path: Path) -> None:
    rows, _ = make(tmp_path)
    check_splits(rows, ("sft", "grpo", "validation", "heldout"))
    heldout = [row for row in rows if row.split == "heldout"]
    assert [row.id for row in heldout] == ["1", "2"]
    assert heldout[1].prompt == "Add 1.\nassert f1(1) == 2\n"
    assert heldout[1].completion == "def f1(x):\n    return x + 1"
    assert heldout[1].answer == {"names": ["f1"], "setup": "", "calls": ["f1(1)", "f1(-1)"], "expected": ["2", "0"]}
    assert all(passed_reward(row.completion, row.answer) == 1.0 for row in rows)


def test_reasons_for_dropped_rows(tmp_path: Path) -> None:
    wrong = record(7, tests=["assert f7(1) == 9"])
    broken = record(9, setup="root = (")
    strange = [
        ["assert f8(1)"],
        ["assert f8(1) == f8(1)"],
        ["x = 1"],
        ["assert f8(1) =="],
        ["assert f8(1) == 1e999"],
        [],
    ]
    _, report = make(tmp_path, wrong, broken, *(record(8, tests=tests) for tests in strange))
    assert report.dropped["sft: the gold code fails its own tests"] == 1
    assert report.dropped["sft: the setup is no Python"] == 1
    assert report.dropped["sft: a test is not `assert call == literal`"] == len(strange)


def test_tests_that_are_no_list_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"tasks\.jsonl, line 7: column 'tests' must be a list"):
        make(tmp_path, record(7, tests="assert f7(1) == 8"))
