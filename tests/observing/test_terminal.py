"""Sparklines and lines that fit the terminal that they are for."""

from pathlib import Path

import numpy as np
import pytest
from watched import FIXTURES, read_one, watch

from coherence.observing.findings import findings
from coherence.observing.run import Curve, observe
from coherence.observing.terminal import BLOCKS, full, gate_text, one_line, sparkline


def _curve(values: list[float]) -> Curve:
    return Curve("x", np.arange(len(values)), np.array(values, dtype=float))


def test_a_rising_curve_climbs_through_all_blocks() -> None:
    drawn = sparkline(_curve(list(np.linspace(0, 1, 800))), 80, 0, 1)
    assert len(drawn) == 80 and list(drawn) == sorted(drawn, key=BLOCKS.index) and set(drawn) == set(BLOCKS)


def test_few_values_are_not_stretched_and_a_flat_curve_stays_low() -> None:
    assert sparkline(_curve([0, 1]), 40, 0, 1) == BLOCKS[0] + BLOCKS[-1]
    assert sparkline(_curve([3, 3, 3]), 40, 3, 3) == BLOCKS[0] * 3


@pytest.mark.parametrize("width", [60, 80, 120, 200])
@pytest.mark.parametrize("fixture", ["sft_trainer_state.json", "grpo_trainer_state.json"])
def test_lines_keep_to_the_width(fixture: str, width: int) -> None:
    run = observe(read_one(FIXTURES / fixture), 576)
    lines = full(run, findings(run), width)
    assert max(len(line) for line in lines if str(FIXTURES) not in line) <= width
    text = " ".join(" ".join(lines).split())
    assert all(curve.key in text for curve in run.curves.values()), "it says which keys it read"


def test_control_characters_of_a_log_do_not_reach_the_screen(tmp_path: Path) -> None:
    run = watch(tmp_path / "a\x1b[2Jb\x07", **{"lo\x1b]0;ss\x9b\x1b[31m": [1.0, 1.0]})
    wrong = findings(run)
    text = "".join([*full(run, wrong, 100), one_line(run, wrong)])
    assert text.isprintable() and "lo]0;ss" in text and "a[2Jb" in text


def test_the_gate_in_words(tmp_path: Path) -> None:
    assert "2 of 5 so far" in gate_text(watch(tmp_path / "a", accuracy=[0.1, 0.1, 0.1, 0.1, 1.0, 0.5, 1.0]))
    assert "fired at step 4" in gate_text(watch(tmp_path / "b", accuracy=[0.5, 1, 1, 1]))
    assert "no accuracy" in gate_text(watch(tmp_path / "c", entropy=[1.0]))
    assert "none" in gate_text(watch(tmp_path / "d", reward=[1.0]))
