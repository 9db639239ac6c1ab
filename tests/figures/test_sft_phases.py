"""SFT curves: phases on the steps, bands over seeds, runs that end early or never crystallize."""

import pytest
from made import GATE, MELTING_RUN, metrics, sft_run

from coherence.figures.phase_table import PAPER_PHASES, phase_rows, table
from coherence.figures.read import Run
from coherence.figures.sft_phases import Band, bands, caption, class_curve, curves, draw, draw_accuracy
from coherence.figures.style import new_figure, paper_style


def test_every_step_has_its_phase() -> None:
    data = curves([sft_run(0)], "content")
    rows = data[data["token_class"] == "all"]
    phases = ["baseline"] * 2 + ["melting"] + ["transition"] * 3 + ["crystallization"] * 3 + ["converged"]
    assert rows["phase"].tolist() == phases
    assert rows["entropy_share"].tolist() == [share for share, _, _ in MELTING_RUN]
    assert set(data["token_class"]) == {"all", "format", "content"} and len(data) == 30


def test_bands_are_medians_over_runs() -> None:
    late = [MELTING_RUN[0]] * 4 + MELTING_RUN
    data = curves([sft_run(0), sft_run(1), sft_run(2, 14, late)], "content")
    assert bands(data) == [
        Band("baseline", 1, 2),
        Band("melting", 3, 3),
        Band("transition", 4, 6),
        Band("crystallization", 7, 9),
        Band("converged", 10, 10),
    ]


def test_bold_line_ends_where_less_than_half_of_the_runs_go_on() -> None:
    longer = [*MELTING_RUN, MELTING_RUN[-1], MELTING_RUN[-1]]
    data = curves([sft_run(0), sft_run(1), sft_run(2, 12, longer)], "content")
    assert class_curve(data, "content", "accuracy", 1).index.max() == 10


def test_a_run_that_never_crystallized_is_dashed_and_named() -> None:
    runs = [sft_run(0), sft_run(1, gate_step=None)]
    data = curves(runs, "content")
    with paper_style():
        lines = draw_accuracy(new_figure(2, 2).subplots(), data, 3).get_lines()
    assert [line.get_linestyle() for line in lines].count("--") == 2, "one dashed line per token class"
    text = caption(data, runs, 3, GATE)
    assert "Dashed: SFT start seed 1 (not crystallized)." in text
    assert "In 1 of 2 runs it never fired." in text and "2 of 2 runs melt" in text


def test_a_class_without_tokens_is_left_out() -> None:
    run = Run("sft", 0, sft_run(0).outcome, metrics(MELTING_RUN).filter(regex="^(?!format)"))
    data = curves([run], "content")
    assert set(data["token_class"]) == {"all", "content"}
    assert len(draw(data, 3, GATE).axes) == 2


def test_no_run_refuses() -> None:
    with pytest.raises(ValueError, match="none of 0 runs logged a step"):
        curves([], "content")
    with pytest.raises(ValueError, match="none of 0 runs logged a step"):
        phase_rows([], "content")


def test_phase_rows_hold_first_and_last_values() -> None:
    rows = phase_rows([sft_run(0), sft_run(1)], "content")
    melting = rows[(rows["source"] == "study") & (rows["phase"] == "transition")].iloc[0]
    assert (melting["first_step"], melting["last_step"]) == (4, 6)
    assert (melting["content_accuracy_first"], melting["content_accuracy_last"]) == (0.0, 0.6)
    assert melting["phi_last"] == pytest.approx(0.7)
    paper = rows[rows["source"] == "paper"]
    assert paper["phase"].tolist() == [phase.phase for phase in PAPER_PHASES] and paper["seed"].isna().all()
    assert paper["entropy_share_last"].tolist()[1] == pytest.approx(0.779, abs=5e-4)


def test_phase_table_says_in_how_many_seeds_a_phase_is() -> None:
    flat = [(0.1, form, content) for _, form, content in MELTING_RUN]
    rows = table(phase_rows([sft_run(0), sft_run(1, curve=flat)], "content")).rows
    assert ["melting", "mean, 1 of 2 seeds"] in [row[:2] for row in rows]
    assert ["baseline", "mean, 2 seeds"] in [row[:2] for row in rows]
    never = table(phase_rows([sft_run(0, None)], "content")).rows
    assert ["converged", "in no seed", *["-"] * 7] in [list(row) for row in never]
