"""Figure and table: the arms on the held-out split."""

from pathlib import Path

from coherence.config.figures import settings
from coherence.config.resolved import read_resolved
from coherence.console import label, progress, run_cli
from coherence.figures.read import by_cell, read_run
from coherence.provenance.artifact import Artifact


def main(config: Path, scores: Path, runs: list[Path], out: Path) -> None:
    """Draw and tabulate strict accuracy, paired differences, coherence and diversity of the arms.

    Args:
        config: results/X/study.json.
        scores: folder of the scored generations.
        runs: SFT and GRPO folders (for how each run ended).
        out: path without suffix; .png, .svg, .md, .csv, .tex, .parquet and .caption.md are written.
    """
    label("arms")
    study = read_resolved(config)
    artifact = Artifact(
        out=out,
        stage="figures",
        cell={"name": "arms"},
        script=Path(__file__),
        settings=settings(study, "arms"),
        inputs={"scores": scores, **by_cell(runs)},
        stem=True,
    )
    if artifact.reuse():
        return
    import pandas as pd

    from coherence.figures.arms import Bootstrap, complete_scores, statuses, summarise, wide
    from coherence.figures.arms_figure import TITLE, draw
    from coherence.figures.arms_words import caption, table
    from coherence.figures.save import save_caption, save_data, save_figure, save_table
    from coherence.figures.style import paper_style

    options = artifact.settings["figure"]
    kept = complete_scores(pd.read_parquet(scores / "scores.parquet"))
    data = summarise(kept.table, options["reference"], Bootstrap(options["resamples"], options["level"]))
    ended = statuses([(run.arm, run.status) for run in map(read_run, runs)])
    with artifact.write() as folder, paper_style():
        save_figure(draw(data, options["reference"]), folder, artifact, TITLE)
        save_table(table(data, ended, options["reference"]), wide(data), folder, artifact)
        save_data(data, folder, artifact)
        save_caption(caption(data, kept, ended, options), folder, artifact)
    progress(f"{out}.png: {kept.table['id'].nunique()} held-out items, {kept.left_out} left out")


if __name__ == "__main__":
    run_cli(main)
