"""The maths task: final answers, numbers compared here, the rest by math-verify, and answers that would hang it."""

import json
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coherence.config.data import MathsData
from coherence.tasks.maths import verify
from coherence.tasks.maths.answers import final_answer, read_number
from coherence.tasks.maths.rewards import correct_reward, format_reward
from coherence.tasks.maths.rows import make_rows
from coherence.tasks.rows import Report, check_splits

ANSWER = {"final": "1,080"}


@pytest.mark.parametrize(
    ("completion", "found"),
    [
        ("#### 72", "72"),
        ("48 + 24 = 72\n#### 72", "72"),
        ("#### $1,080 ", "1,080"),
        ("#### \N{MINUS SIGN}3", "-3"),
        ("72", None),
        ("####72", None),
        ("so #### 72", None),
        ("#### 72\n#### 72", None),
        ("#### 72\nand more", None),
        ("#### 72\N{HORIZONTAL ELLIPSIS}", None),
        ("#### <|im_start|>72", None),
        ("#### ", None),
        ("#### " + "7" * 300, None),
    ],
)
def test_the_final_answer_is_the_last_line_alone(completion: str, found: str | None) -> None:
    assert final_answer(completion) == found
    assert format_reward(completion, ANSWER) == float(found is not None)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1,080", 1080),
        ("1080.00", 1080),
        ("-3", -3),
        ("5/8", Fraction(5, 8)),
        (".5", Fraction(1, 2)),
        ("50%", 50),
        ("12 m", None),
        ("12 clips per day", 12),
        ("12 a day", None),
        ("2 million", None),
        ("3 dozen", None),
        ("10,80", None),
        ("5/0", None),
        ("1e5", None),
        ("16-4", None),
        ("2x", None),
        ("\N{ARABIC-INDIC DIGIT FIVE}", None),
        ("9" * 200, None),
        ("", None),
    ],
)
def test_plain_numbers_are_read_and_nothing_else_is(text: str, value: Fraction | int | None) -> None:
    assert read_number(text) == value


@given(st.fractions(), st.booleans())
def test_a_written_number_is_read_back(value: Fraction, comma: bool) -> None:
    top = f"{value.numerator:,}" if comma else str(value.numerator)
    if len(top) < 30 and len(str(value.denominator)) < 30:
        assert read_number(f"{top}/{value.denominator}") == value


@given(st.text())
def test_any_text_is_a_number_or_none(text: str) -> None:
    assert read_number(text) is None or any(c in text for c in "0123456789")


@pytest.mark.parametrize(
    ("answer", "score"),
    [
        ("1080", 1.0),
        ("$1,080.00", 1.0),
        ("1080 dollars", 1.0),
        ("\\frac{2160}{2}", 1.0),
        ("\\boxed{1080}", 1.0),
        ("2^3 \\cdot 135", 1.0),
        ("1081", 0.0),
        ("108", 0.0),
        ("1080 or 1081", 0.0),
        ("[INST]1080", 0.0),
        ("(((((((", 0.0),
        ("__import__('os').abort()", 0.0),
    ],
)
def test_known_answers(answer: str, score: float) -> None:
    assert correct_reward(f"#### {answer}", ANSWER) == score


def test_an_answer_that_cannot_be_checked_is_nan_and_the_next_one_is_judged() -> None:
    verify.equal.cache_clear()
    assert math.isnan(correct_reward("#### 9^{9^{9^{9}}}", ANSWER))
    assert verify.VERIFIER.process is None
    assert correct_reward("#### \\sqrt{1166400}", ANSWER) == 1.0


def test_one_worker_serves_many_answers_and_plain_numbers_none() -> None:
    verify.VERIFIER.close()
    assert correct_reward("#### 7", ANSWER) == 0.0 and verify.VERIFIER.process is None
    seen = set()
    for i in range(20):
        assert correct_reward(f"#### 1080 + {i} - {i}", ANSWER) == 1.0
        seen.add(verify.VERIFIER.process.pid)
    assert len(seen) == 1


def test_a_worker_that_does_not_start_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(verify.worker, "__file__", str(tmp_path / "none.py"))
    with pytest.raises(OSError, match="math-verify does not start"):
        verify.Verifier().ask("1", "x")


def config(**changes: object) -> MathsData:
    return MathsData(
        **{
            "task": "maths",
            "train": {"file": "train.jsonl"},
            "test": {"file": "test.jsonl"},
            "columns": {"question": "q", "answer": "a"},
            "answer_after": "####",
            "worked": True,
            "prompt": "Q: {question}\nA:",
            "validation_rows": 2,
            "max_tokens": 100,
            "grpo_max_completion_chars": 100,
            "seed": 0,
        }
        | changes
    )


def make(folder: Path, answers: list[str], **changes: object):
    sources = {}
    for name, some in (("train.jsonl", answers), ("test.jsonl", answers[:1])):
        sources[name] = folder / name
        lines = (json.dumps({"q": f"{name} {i}?", "a": answer}) for i, answer in enumerate(some))
        sources[name].write_text("\n".join(lines))
    report = Report()
    return make_rows(config(**changes), sources, str, np.random.default_rng(0), report), report


def test_rows_hold_the_working_and_mark_the_number_and_earn_every_reward(tmp_path: Path) -> None:
    answers = [f"{i} + 1 = <<{i}+1={i + 1}>>{i + 1}\n#### {i + 1:,}" for i in range(1000, 1010)]
    rows, _ = make(tmp_path, [*answers, "no mark 7", "#### seven"])
    check_splits(rows, ("sft", "grpo", "validation", "heldout"))
    row = next(row for row in rows if row.split == "heldout")
    assert row.completion == "1000 + 1 = 1001\n#### 1,001"
    assert [row.completion[a:b] for a, b in row.content] == ["1,001"]
    assert all(correct_reward(row.completion, row.answer) == 1.0 for row in rows)


def test_the_answer_alone_and_reasons_for_dropped_rows(tmp_path: Path) -> None:
    rows, report = make(tmp_path, [*(f"w\n#### {i}" for i in range(9)), "no mark 7", "#### "], worked=False)
    assert {row.completion for row in rows} <= {f"#### {i}" for i in range(9)}
    assert report.dropped["sft: no '####' in the answer"] == 1
    assert report.dropped["sft: the gold answer is not understood"] == 1


def test_working_without_a_mark_that_ends_it_is_refused() -> None:
    with pytest.raises(ValueError, match="worked needs answer_after"):
        config(answer_after=None)
