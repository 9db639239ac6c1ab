"""Figure: the phases of supervised fine-tuning."""

from pathlib import Path

from coherence.config.figures import settings
from coherence.config.resolved import read_resolved
from coherence.console import label, progress, run_cli
from coherence.figures.read import by_cell, read_run
from coherence.provenance.artifact import Artifact


def main(config: Path, sft: list[Path], out: Path) -> None:
    """Draw accuracy and entropy share of the SFT runs over steps, with the phases found in them.

    Args:
        config: results/X/study.json.
        sft: the SFT folders, one per seed.
        out: path of the figure without suffix; .png, .svg, .parquet and .caption.md are written.
    """
    label("sft_phases")
    study = read_resolved(config)
    artifact = Artifact(
        out=out,
        stage="figures",
        cell={"name": "sft_phases"},
        script=Path(__file__),
        settings=settings(study, "sft_phases"),
        inputs=by_cell(sft),
        stem=True,
    )
    if artifact.reuse():
        return
    from coherence.figures.save import save_caption, save_data, save_figure
    from coherence.figures.sft_phases import TITLE, caption, curves, draw
    from coherence.figures.style import paper_style

    smooth, gate = artifact.settings["figure"]["smooth"], artifact.settings["gate"]
    runs = [read_run(folder) for folder in sft]
    data = curves(runs, gate["token_class"])
    with artifact.write() as folder, paper_style():
        save_figure(draw(data, smooth, gate), folder, artifact, TITLE)
        save_data(data, folder, artifact)
        save_caption(caption(data, runs, smooth, gate), folder, artifact)
    progress(f"{out}.png: {len(runs)} runs")


if __name__ == "__main__":
    run_cli(main)
