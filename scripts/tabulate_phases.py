"""Table: the phases of supervised fine-tuning, beside the published ones."""

from pathlib import Path

from coherence.console import progress, run_cli
from coherence.figures.begin import begin, by_cell


def main(config: Path, sft: list[Path], out: Path) -> None:
    """Tabulate steps, loss, accuracy, entropy and Phi of each phase of the SFT runs.

    Args:
        config: results/X/study.json.
        sft: the SFT folders, one per seed.
        out: path without suffix; .md, .csv, .tex, .parquet and .caption.md are written.
    """
    artifact = begin("phase_table", __file__, config, out, by_cell(sft))
    if artifact.reuse():
        return
    from coherence.figures.phase_table import caption, phase_rows, table
    from coherence.figures.read import read_run
    from coherence.figures.save import save

    token_class = artifact.settings["gate"]["token_class"]
    runs = [read_run(folder) for folder in sft]
    rows = phase_rows(runs, token_class)
    save(artifact, rows, caption(rows, runs, token_class), table=table(rows))
    progress(f"{out}.md: {len(runs)} runs, {len(rows)} phases")


if __name__ == "__main__":
    run_cli(main)
