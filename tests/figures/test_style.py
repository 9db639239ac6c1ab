"""Labels that do not overlap, running medians, and looks that do not depend on the study."""

import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coherence.figures.style import arm_looks, arm_order, paper_style, running_median, spread


def test_spread_moves_only_what_overlaps() -> None:
    assert spread([0.0, 1.0, 5.0], gap=2.0) == pytest.approx([-0.5, 1.5, 5.0])
    assert spread([5.0, 0.0, 1.0], gap=2.0) == pytest.approx([5.0, -0.5, 1.5])
    assert spread([0.0, 3.0], gap=2.0) == [0.0, 3.0]


def test_spread_takes_a_gap_per_neighbour() -> None:
    assert spread([0.0, 1.0, 2.0], gap=[0.0, 1.0, 3.0]) == pytest.approx([-2 / 3, 1 / 3, 10 / 3], abs=1e-6)


def test_spread_stays_within_a_range() -> None:
    assert spread([0.0, 0.1, 5.0], gap=2.0, within=(0.0, 6.0)) == pytest.approx([0.0, 2.0, 5.0])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_spread_keeps_order_and_leaves_room(values: list[float]) -> None:
    placed = np.array(spread(values, gap=0.1))[np.argsort(values, kind="stable")]
    assert (np.diff(placed) >= 0.1 - 1e-6).all()


def test_running_median_keeps_the_ends_and_drops_a_spike() -> None:
    assert running_median([1, 9, 1, 1, 7], 3).tolist() == [1, 1, 1, 1, 7]
    assert running_median([3.0, 1.0], 1).tolist() == [3.0, 1.0]


def test_a_known_arm_looks_the_same_in_every_study() -> None:
    few, many = arm_looks(["carl", "task"]), arm_looks(["other", "task", "carl", "sft", "another"])
    assert few["carl"] == many["carl"] and few["task"] == many["task"]
    assert len(set(many.values())) == len(many)
    assert arm_order(["other", "task", "carl", "sft", "task"]) == ["sft", "task", "carl", "other"]


def test_a_persons_settings_have_no_say() -> None:
    with matplotlib.rc_context({"font.size": 31, "axes.facecolor": "red"}):
        with paper_style():
            assert matplotlib.rcParams["font.size"] == 8
            assert matplotlib.rcParams["axes.facecolor"] == "white"
        assert matplotlib.rcParams["font.size"] == 31
