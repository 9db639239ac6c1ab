"""The figure of a run, and the page around it."""

import re
from pathlib import Path

import pytest
from watched import FIXTURES, noisy, read_one, watch

from coherence.figures.style import paper_style
from coherence.observing.findings import Finding, findings
from coherence.observing.page import draw, page, write
from coherence.observing.run import observe


def test_supervised_shows_phases_and_the_gate(tmp_path: Path) -> None:
    run = watch(tmp_path, 400, accuracy=[0.0] * 20 + [0.5] * 10 + [1.0] * 5, entropy=noisy(5, 1, 35))
    assert [phase.name for phase in run.phases][-1] == "converged"
    with paper_style():
        figure = draw(run)
    top, bottom = figure.axes
    assert [text.get_text() for text in top.texts if text.get_text()] == ["", *(p.name for p in run.phases)][1:]
    assert any(line.get_marker() == "v" and list(line.get_xdata()) == [33] for line in top.lines)
    assert "ln" in bottom.get_ylabel()


def test_rl_shows_the_curves_that_it_has() -> None:
    run = observe(read_one(FIXTURES / "grpo_trainer_state.json"))
    with paper_style():
        labels = [ax.get_ylabel() for ax in draw(run).axes]
    assert labels == ["score", "entropy (nats)", "groups alike (share)"]


@pytest.mark.parametrize("vocab_size", [None, 571])
def test_entropy_is_a_share_only_where_v_is_known(tmp_path: Path, vocab_size: int | None) -> None:
    with paper_style():
        (ax,) = draw(watch(tmp_path, vocab_size, entropy=[6.0, 5.0, 4.0])).axes
    assert (ax.get_ylim()[1] < 1.2) == (vocab_size is not None)


def test_a_page_needs_nothing_else_and_escapes_names(tmp_path: Path) -> None:
    run = watch(tmp_path / "<b>&", 571, accuracy=noisy(0, 1), entropy=noisy(3, 1))
    with paper_style():
        text = page(run, [Finding("n", "x < y.", "because")])
    assert text.count("<svg") == 1 and "<?xml" not in text and "viewport" in text
    assert not re.search(r'(src|href)="(?!#)', text)
    assert "&lt;b&gt;&amp;" in text and "<b>&" not in text and "x &lt; y." in text


@pytest.mark.parametrize(("suffix", "start"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".html", b"<!doctype html>")])
def test_files_are_the_same_when_written_again(tmp_path: Path, suffix: str, start: bytes) -> None:
    run = watch(tmp_path, 571, accuracy=noisy(0, 1), entropy=noisy(3, 1))
    outs = [tmp_path / f"{name}{suffix}" for name in "ab"]
    for out in outs:
        write(run, findings(run), out)
    assert outs[0].read_bytes().startswith(start) and outs[0].read_bytes() == outs[1].read_bytes()


def test_one_logged_step_can_be_drawn(tmp_path: Path) -> None:
    write(watch(tmp_path, 571, accuracy=[0.5], entropy=[1.0]), [], tmp_path / "one.png")
    assert (tmp_path / "one.png").stat().st_size > 1000


def test_nothing_to_draw_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nothing to draw"):
        write(watch(tmp_path, loss=[1.0, 2.0]), [], tmp_path / "x.png")
