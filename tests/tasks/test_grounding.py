"""The embedded task: the split, the rows, the strict rewards."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coherence.config.data import GroundingData
from coherence.tasks.grounding.layout import call, make_layout
from coherence.tasks.grounding.rewards import click_reward, distance_reward, format_reward, pixel_distance
from coherence.tasks.grounding.rows import make_rows
from coherence.tasks.rows import Report, Row, check_splits, drop_long

CONFIG = GroundingData(task="grounding", panels=12, widgets=12, heldout_per_line=3, box_radius=3, max_tokens=96, seed=0)
ANSWER = {"box": [10, 20, 16, 26], "point": [13, 23]}


def rows() -> list[Row]:
    return list(make_rows(CONFIG, lambda text: f"<{text}>", np.random.default_rng(0)))


def test_the_held_out_split_is_balanced_over_rows_and_columns() -> None:
    layout = make_layout(12, 12, 3, np.random.default_rng(3))
    assert len(layout.heldout) == 36
    for axis in (0, 1):
        assert set(Counter(cell[axis] for cell in layout.heldout).values()) == {3}


def test_boxes_never_overlap() -> None:
    layout = make_layout(12, 12, 3, np.random.default_rng(5))
    for centres in (layout.x, layout.y):
        values = sorted(centres.values())
        assert min(np.diff(values)) > 2 * CONFIG.box_radius - 1
        assert values[0] >= 0 and values[-1] < 100


def test_no_cell_is_both_trained_and_held_out_and_halves_weigh_the_same() -> None:
    made = rows()
    check_splits(made, ("sft", "grpo", "heldout"))
    sizes = Counter((row.split, row.family) for row in made)
    assert sizes["grpo", "clean"] == sizes["grpo", "shifted"]
    assert sizes["sft", "clean"] == 108 * 3
    assert sizes["heldout", "clean"] == sizes["heldout", "shifted"] == 36 * 3


def test_every_gold_completion_earns_every_reward() -> None:
    for row in rows():
        assert format_reward(row.completion, row.answer) == 1.0
        assert click_reward(row.completion, row.answer) == 1.0
        assert distance_reward(row.completion, row.answer) == 1.0
        assert [row.completion[a:b] for a, b in row.content] == [str(v) for v in row.answer["point"]]


def test_a_leaked_unit_is_refused() -> None:
    made = rows()
    heldout = next(row for row in made if row.split == "heldout")
    leaked = Row(**{**heldout.__dict__, "split": "grpo"})
    with pytest.raises(ValueError, match="both trained on and held out"):
        check_splits([*made, leaked], ())


def test_long_rows_are_dropped_and_counted_not_cut() -> None:
    report = Report()
    kept = drop_long(rows()[:10], lambda row: 50 if row.split == "sft" else 200, 96, report)
    assert all(row.split == "sft" for row in kept)
    assert sum(report.dropped.values()) == 10 - len(kept) > 0
    assert report.longest_tokens == 50


@pytest.mark.parametrize(
    ("text", "hit"),
    [
        ("click(13, 23)", 1.0),
        ("click(10, 26)", 1.0),
        ("click(9, 23)", 0.0),
        ("click(13,23)", 0.0),
        (" click(13, 23)", 0.0),
        ("click(13, 23) ", 0.0),
        ("click(13, 23)click(13, 23)", 0.0),
        ("click(-13, 23)", 0.0),
        ("click(13.0, 23)", 0.0),
        ("click(" + "1" * 400 + ", 23)", 0.0),
        ("", 0.0),
        ("(" * 10_000, 0.0),
    ],
)
def test_click_is_strict(text: str, hit: float) -> None:
    assert click_reward(text, ANSWER) == hit


@given(st.text())
def test_rewards_are_bounded_on_any_text(text: str) -> None:
    for reward in (format_reward, click_reward, distance_reward):
        assert 0.0 <= reward(text, ANSWER) <= 1.0
    assert math.isnan(pixel_distance(text, ANSWER)) or pixel_distance(text, ANSWER) >= 0


@given(st.integers(0, 999), st.integers(0, 999))
def test_content_spans_cover_exactly_the_numbers(x: int, y: int) -> None:
    text, spans = call(x, y)
    assert [text[a:b] for a, b in spans] == [str(x), str(y)]
