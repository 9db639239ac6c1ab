"""A study that has the section adapt has its stage and its figure too; others have neither."""

from workflow.working_copy import Clone

SECTIONS = """\
adapt: {prompts: 4, batch_size: 2, slot: {steps: 2, learning_rate: 2.0e-3}, micro: {learning_rate: 1.0e-4}}
figures: {adaptation: {resamples: 100, level: 0.95, target_risk: 0.1, wrong_cost: 1.0}}
"""


def test_the_section_adds_its_stage_and_its_figure(clone: Clone) -> None:
    assert clone.snakemake("figs/tiny/adaptation.png").returncode != 0, "the study has no such figure"
    clone.edit("config/tiny.yaml", lambda text: text + SECTIONS)
    assert clone.planned() == {"adapt": 1, "adaptation": 1, "report": 1}
    done = clone.snakemake("all")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "LoRA, true answers" in (clone.root / "figs/tiny/adaptation.md").read_text()
    assert "Adaptation at inference" in (clone.root / "figs/tiny/report.html").read_text()
    clone.edit("config/tiny.yaml", lambda text: text.replace("learning_rate: 1.0e-4", "learning_rate: 1.0e-3"))
    assert clone.planned() == {"adapt": 1, "adaptation": 1, "report": 1}
