"""Table: the phases of supervised fine-tuning, beside the published ones."""

from pathlib import Path

from coherence.config.figures import settings
from coherence.config.resolved import read_resolved
from coherence.console import label, progress, run_cli
from coherence.figures.read import by_cell, read_run
from coherence.provenance.artifact import Artifact


def main(config: Path, sft: list[Path], out: Path) -> None:
    """Tabulate steps, loss, accuracy, entropy and Phi of each phase of the SFT runs.

    Args:
        config: results/X/study.json.
        sft: the SFT folders, one per seed.
        out: path of the table without suffix; .md, .csv, .tex, .parquet and .caption.md are written.
    """
    label("phase_table")
    study = read_resolved(config)
    artifact = Artifact(
        out=out,
        stage="figures",
        cell={"name": "phase_table"},
        script=Path(__file__),
        settings=settings(study, "phase_table"),
        inputs=by_cell(sft),
        stem=True,
    )
    if artifact.reuse():
        return
    from coherence.figures.phase_table import caption, phase_rows, table
    from coherence.figures.save import save_caption, save_data, save_table

    token_class = artifact.settings["gate"]["token_class"]
    runs = [read_run(folder) for folder in sft]
    rows = phase_rows(runs, token_class)
    with artifact.write() as folder:
        save_table(table(rows), rows, folder, artifact)
        save_data(rows, folder, artifact)
        save_caption(caption(rows, runs, token_class), folder, artifact)
    progress(f"{out}.md: {len(runs)} runs, {len(rows)} phases")


if __name__ == "__main__":
    run_cli(main)
