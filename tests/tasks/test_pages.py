"""Clicks on pages: what is shown, the text of page and click, splits, copies, rewards, baselines, bad source rows."""

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coherence.config.data import PagesData
from coherence.evaluation.baselines import score_baselines
from coherence.tasks.pages.baseline import named_element
from coherence.tasks.pages.copies import copy, exchanged, names_target, shifted, swapped, vocabulary
from coherence.tasks.pages.page import Element, Page, read_click, seen, write_click, write_prompt
from coherence.tasks.pages.rewards import click_reward, distance_reward, format_reward, pixel_distance
from coherence.tasks.pages.rows import make_rows
from coherence.tasks.rows import Report, Row, check_splits

LABEL = st.from_regex(r"\S([^\n]{0,10}\S)?", fullmatch=True)
ANSWER = {"box": [10, 60, 30, 80], "point": [20, 70]}
OK, CANCEL = Element("OK", (10, 60, 30, 80)), Element("Cancel", (40, 60, 80, 80))
PAGE = Page('Click on the "ok" button.', (CANCEL, OK), 1)


def test_a_page_and_a_click_as_text() -> None:
    assert write_prompt(PAGE) == '- Cancel 60,70\n- OK 20,70\nClick on the "ok" button.\nA:'
    assert write_click("OK", (20, 70)) == ("click OK 20,70", ((6, 8), (9, 11), (12, 14)))


@given(LABEL, st.integers(0, 159), st.integers(50, 209))
def test_a_click_survives_its_text_form_and_spans_hold_the_content(label: str, x: int, y: int) -> None:
    text, spans = write_click(label, (x, y))
    assert read_click(text) == (x, y)
    assert [text[a:b] for a, b in spans] == [label, str(x), str(y)]


def test_only_what_is_visible_is_shown_and_repeats_once() -> None:
    above, beside = Element("Up", (0, 0, 20, 40)), Element("Side", (-400, 60, -380, 80))
    part, elsewhere = Element("Cancel", (50, 62, 78, 78)), Element("Cancel", (40, 100, 80, 120))
    page = seen("Click\n it", [above, CANCEL, beside, part, elsewhere], 3)
    assert page == Page("Click it", (CANCEL, elsewhere), 0), "the part stands for its frame"
    assert seen("Click it", [above, CANCEL], 0) is None


def test_labels_are_cut() -> None:
    assert Element("Tatra-Nationalpark", (0, 60, 9, 69)).label == "Tatra-Nation"
    assert Element("a234567890 bcd", (0, 60, 9, 69)).label == "a234567890 b"
    assert Element("a2345678901 bcd", (0, 60, 9, 69)).label == "a2345678901"


@pytest.mark.parametrize(
    ("text", "scores"),
    [
        ("click OK 20,70", (1, 1, 1)),
        ("click anything at all 20,70", (1, 1, 1)),
        ("click OK 30,80", (1, 1, math.exp(-math.sqrt(2)))),
        ("click OK 31,70", (1, 0, math.exp(-1.1))),
        ("click OK 20,70 ", (0, 0, 0)),
        ("click OK 20, 70", (0, 0, 0)),
        ("click 20,70", (0, 0, 0)),
        ("click OK 20,70\nclick OK 20,70", (0, 0, 0)),
        ("", (0, 0, 0)),
        ("click " * 20_000, (0, 0, 0)),
    ],
)
def test_known_scores(text: str, scores: tuple[float, ...]) -> None:
    found = tuple(reward(text, ANSWER) for reward in (format_reward, click_reward, distance_reward))
    assert found == pytest.approx(scores)


@given(st.text())
def test_rewards_are_bounded_on_any_text(text: str) -> None:
    for reward in (format_reward, click_reward, distance_reward):
        assert 0.0 <= reward(text, ANSWER) <= 1.0
    assert math.isnan(pixel_distance(text, ANSWER))


def test_a_moved_page_stays_in_sight_and_keeps_its_distances() -> None:
    rng = np.random.default_rng(0)
    moves = set()
    for _ in range(200):
        page = shifted(PAGE, rng)
        assert all(element.visible for element in page.elements)
        (ax, ay), (bx, by) = (element.centre for element in page.elements)
        assert (ax - bx, ay - by) == (40, 0)
        moves.add((bx - 20, by - 70))
    assert {x for x, _ in moves} == set(range(-12, 13)) == {y for _, y in moves}


def test_words_are_swapped_alike_on_the_page_and_in_the_instruction() -> None:
    page = swapped(PAGE, ["cancel", "ok", "rose", "TULIP".lower()], np.random.default_rng(3))
    target = page.elements[1].words
    assert target.isupper() and target != page.elements[0].words.upper()
    assert page.instruction == f'Click on the "{target.lower()}" button.'
    assert page.elements[0].words.istitle()


def test_the_target_goes_with_its_words_and_takes_every_place() -> None:
    rng = np.random.default_rng(0)
    pages = [exchanged(PAGE, rng) for _ in range(50)]
    assert {page.target for page in pages} == {0, 1}
    assert all(page.elements[page.target].words == "OK" for page in pages)
    assert all(page.elements[page.target].box == PAGE.elements[page.target].box for page in pages)


def test_only_a_page_that_names_its_target_alone_gets_other_words() -> None:
    assert names_target(PAGE)
    assert not names_target(Page("Click on the book.", (CANCEL, OK), 1)), "a part of a word is no name"
    assert not names_target(Page("Click ok", (OK, OK), 1))
    other = Page("Pick the second.", (CANCEL, OK), 1)
    assert [e.words for e in copy(other, ["a", "b"], np.random.default_rng(0)).elements] == ["Cancel", "OK"]
    assert vocabulary([PAGE]) == ["cancel", "ok"]


def config(**changes: object) -> PagesData:
    return PagesData(
        **{
            "task": "pages",
            "source": {"file": "pages.jsonl"},
            "columns": {"instruction": "say", "elements": "parts", "click": "at", "target": "hit", "task": "kind"},
            "test_share": 0.25,
            "validation_share": 0.25,
            "copies": 3,
            "max_tokens": 200,
            "seed": 0,
        }
        | changes
    )


def record(number: int, **changes: object) -> dict[str, Any]:
    """A page with a button for each of three words, one of them named."""
    words = [f"{a}{b}" for a in ("alder", "birch", "cedar") for b in "xyz"]
    chosen = [words[(number + step) % 9] for step in (0, 1, 4)]
    parts = [{"tag": "button", "text": word, "box": [10, 60 + 30 * i, 40.5, 20]} for i, word in enumerate(chosen)]
    made = {"say": f"Press {chosen[number % 3]}", "parts": parts, "at": [20, 70 + 30 * (number % 3)]}
    return {**made, "hit": number % 3, "kind": "press", **changes}


def make(folder: Path, source: list[object], **changes: object) -> tuple[list[Row], Report]:
    lines = [line if isinstance(line, str) else json.dumps(line) for line in source]
    (folder / "pages.jsonl").write_text("\n".join(lines))
    report, sources = Report(), {"pages.jsonl": folder / "pages.jsonl"}
    rng = np.random.default_rng(0)
    return make_rows(config(**changes), sources, str, lambda row: len(row.prompt), rng, report), report


def test_splits_share_no_instruction_and_copies_are_of_trained_rows(tmp_path: Path) -> None:
    rows, report = make(tmp_path, [record(i) for i in range(60)])
    check_splits(rows, ("sft", "grpo", "validation", "heldout"))
    sizes = Counter(row.split for row in rows)
    originals = [row for row in rows if row.split == "sft" and "+" not in row.id]
    assert sizes["grpo"] == len(originals) and sizes["heldout"] + sizes["validation"] + len(originals) == 60
    copies = sizes["sft"] - len(originals)
    assert copies + report.dropped["sft: copy asks what another split asks"] == 3 * len(originals)
    kept_out = {row.unit for row in rows if row.split in ("validation", "heldout")}
    assert kept_out and not kept_out & {row.unit for row in rows if row.split in ("sft", "grpo")}
    assert rows == make(tmp_path, [record(i) for i in range(60)])[0], "the same rows every time"


def test_every_gold_completion_earns_every_reward_copies_too(tmp_path: Path) -> None:
    for row in make(tmp_path, [record(i) for i in range(30)])[0]:
        assert [reward(row.completion, row.answer) for reward in (format_reward, click_reward, distance_reward)] == [
            1
        ] * 3
        label, x, y = (row.completion[a:b] for a, b in row.content)
        assert f"- {label} {x},{y}\n" in row.prompt and [label, int(x), int(y)] in row.answer["elements"]
        assert row.unit == f"press {label}"


def test_what_cannot_be_used_is_counted_by_reason(tmp_path: Path) -> None:
    far = [{"tag": "a", "text": "far", "box": [900, 60, 10, 10]}]
    long = [{"tag": "a", "text": f"part {i}", "box": [10, 60 + i, 1, 1]} for i in range(90)]
    odd = [
        record(0, hit=None),
        record(0, at=[150, 70]),
        record(0, parts=far, at=[905, 65], hit=0),
        record(0, say="Press a long one", parts=long, at=[10, 60], hit=0),
    ]
    _, report = make(tmp_path, [*odd, *(record(i) for i in range(60))])
    assert (report.dropped["no target"], report.dropped["click outside its target"]) == (1, 1)
    assert report.dropped["target out of sight"] == 1
    assert sum(n for reason, n in report.dropped.items() if reason.endswith(": over 200 tokens")) == 1


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("{not json", "pages.jsonl, line 2: not valid JSON"),
        (record(0, say=None), "pages.jsonl, line 2: column 'say' is missing or not text"),
        (record(0, parts="x"), "pages.jsonl, line 2, column 'parts': a list of objects is expected"),
        (record(0, parts=[{"tag": "a", "box": [1, 2, 3]}]), "element 0, 'box': 4 numbers are expected"),
        (record(0, parts=[{"box": [1, 2, 3, 4]}]), "element 0: it has neither text nor class nor tag"),
        (record(0, hit=7), "column 'hit': not the number of an element (got 7)"),
        (record(0, at=[1, math.nan]), "column 'at': 2 numbers are expected"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, bad: object, said: str) -> None:
    with pytest.raises(ValueError) as error:
        make(tmp_path, [record(0), bad])
    assert said in str(error.value) and "line 2" in str(error.value) and "\n" not in str(error.value)


def test_shares_must_leave_something() -> None:
    with pytest.raises(ValueError, match="leave nothing to train on"):
        config(test_share=0.6, validation_share=0.4)


def test_baselines_on_a_page_whose_answer_is_plain() -> None:
    elements = [["Cancel", 60, 70], ["OK", 20, 70], ["Book", 20, 100], ["Help", 60, 100]]
    row = {
        "id": "1",
        "family": "press",
        "unit": 'click "ok"',
        "prompt": "- OK\nclick ok",
        "completion": "click OK 20,70",
    }
    row["answer"] = ANSWER | {"elements": elements}
    scores = score_baselines("pages", [row], [row]).set_index("baseline")
    assert scores["strict"].to_dict() == {"majority": 1, "nearest": 1, "any": 0.25, "first": 0, "string_match": 1}
    assert scores.loc["any", "completion"] is None and scores.loc["first", "completion"] == "click Cancel 60,70"


def test_the_longest_whole_label_is_the_one_that_is_named() -> None:
    assert named_element(["red", "dark red", "red"], "the dark red one") == 1
    assert named_element(["blue", "ed", "red", "red"], "the red one") == 2
    assert named_element(["blue", "!"], "what is this!") == 0
