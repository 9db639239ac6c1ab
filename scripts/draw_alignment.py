"""Figure and table: the reference file's scoring beside the aligned one."""

from pathlib import Path

from coherence.config.figures import settings
from coherence.config.resolved import read_resolved
from coherence.console import label, progress, run_cli
from coherence.provenance.artifact import Artifact


def main(config: Path, compat: Path, out: Path) -> None:
    """Draw and tabulate what both ways of scoring say of the same completions, and of known cases.

    Args:
        config: results/X/study.json.
        compat: folder of the completions scored by the reference file's conventions.
        out: path without suffix; .png, .svg, .md, .csv, .tex, .parquet and .caption.md are written.
    """
    label("alignment")
    artifact = Artifact(
        out=out,
        stage="figures",
        cell={"name": "alignment"},
        script=Path(__file__),
        settings=settings(read_resolved(config), "alignment"),
        inputs={"compat": compat},
        stem=True,
    )
    if artifact.reuse():
        return
    import pandas as pd

    from coherence.figures.alignment import alignment, means
    from coherence.figures.alignment_figure import TITLE, draw
    from coherence.figures.alignment_words import caption, table
    from coherence.figures.arms import Bootstrap
    from coherence.figures.save import save_caption, save_data, save_figure, save_table
    from coherence.figures.style import paper_style

    options = artifact.settings["figure"]
    completions = pd.read_parquet(compat / "compat.parquet")
    data, averages = alignment(completions, Bootstrap(**options)), means(completions)
    with artifact.write() as folder, paper_style():
        save_figure(draw(data), folder, artifact, TITLE)
        save_table(table(averages, data), averages, folder, artifact)
        save_data(data, folder, artifact)
        save_caption(caption(completions, averages, data, options), folder, artifact)
    progress(f"{out}.png: {len(completions)} completions")


if __name__ == "__main__":
    run_cli(main)
