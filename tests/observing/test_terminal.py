"""Sparklines and lines that fit the terminal that they are for."""

import re
from pathlib import Path

import numpy as np
import pytest
from watched import FIXTURES, noisy, read_one, watch

from coherence.observing.findings import Finding, findings
from coherence.observing.run import Curve, observe
from coherence.observing.terminal import ASCII, BLOCKS, Screen, full, gate_text, one_line, sparkline


def _curve(values: list[float]) -> Curve:
    return Curve("x", np.arange(len(values)), np.array(values, dtype=float))


def test_a_rising_curve_climbs_through_all_blocks() -> None:
    drawn = sparkline(_curve(list(np.linspace(0, 1, 800))), 80, 0, 1)
    assert len(drawn) == 80 and list(drawn) == sorted(drawn, key=BLOCKS.index) and set(drawn) == set(BLOCKS)


def test_few_values_are_not_stretched_and_a_flat_curve_stays_low() -> None:
    assert sparkline(_curve([0, 1]), 40, 0, 1) == BLOCKS[0] + BLOCKS[-1]
    assert sparkline(_curve([3, 3, 3]), 40, 3, 3) == BLOCKS[0] * 3


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
@pytest.mark.parametrize("fixture", ["sft_trainer_state.json", "grpo_trainer_state.json"])
def test_lines_keep_to_the_width(fixture: str, width: int) -> None:
    run = observe(read_one(FIXTURES / fixture), 576)
    lines = full(run, findings(run), Screen(width, colour=False, blocks=True))
    assert max(len(line) for line in lines if str(FIXTURES) not in line) <= width
    text = " ".join(" ".join(lines).split())
    assert all(curve.key in text for curve in run.curves.values()), "it says which keys it read"


def test_without_blocks_there_is_only_ascii(tmp_path: Path) -> None:
    run = watch(tmp_path, 50, accuracy=noisy(0, 1), entropy=noisy(3, 1))
    screen = Screen(100, colour=False, blocks=False)
    text = "\n".join([*full(run, findings(run), screen), *screen.spell([one_line(run, [], screen)])])
    assert text.isascii() and ASCII[-1] in text and "->" in text and "?" not in text


def test_colour_only_where_there_is_colour(tmp_path: Path) -> None:
    run, wrong = watch(tmp_path, entropy=[1.0, 0.0]), [Finding("n", "S.", "e")]
    plain, coloured = (full(run, wrong, Screen(100, colour, blocks=True)) for colour in (False, True))
    assert "\x1b" not in "".join(plain) and "\x1b[31m" in "".join(coloured)
    assert [re.sub(r"\x1b\[\d*m", "", line) for line in coloured] == plain


@pytest.mark.parametrize("colour", [False, True])
def test_control_characters_of_a_log_do_not_reach_the_screen(tmp_path: Path, colour: bool) -> None:
    run = watch(tmp_path / "a\x1b[2Jb\x07", **{"lo\x1b]0;ss\x9b\x1b[31m": [1.0, 1.0]})
    screen = Screen(100, colour, blocks=True)
    wrong = findings(run)
    lines = [*full(run, wrong, screen), *screen.spell([one_line(run, wrong, screen)])]
    text = re.sub(r"\x1b\[(0|2|31|32)m", "", "".join(lines)) if colour else "".join(lines)
    assert text.isprintable() and "lo]0;ss" in text and "a[2Jb" in text


def test_the_gate_in_words(tmp_path: Path) -> None:
    assert "2 of 5 so far" in gate_text(watch(tmp_path / "a", accuracy=[0.1, 0.1, 0.1, 0.1, 1.0, 0.5, 1.0]))
    assert "fired at step 4" in gate_text(watch(tmp_path / "b", accuracy=[0.5, 1, 1, 1]))
    assert "no accuracy" in gate_text(watch(tmp_path / "c", entropy=[1.0]))
    assert "none" in gate_text(watch(tmp_path / "d", reward=[1.0]))
