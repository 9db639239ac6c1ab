"""Figure and table: the reference file's scoring beside the aligned one."""

from pathlib import Path

from coherence.console import progress, run_cli
from coherence.figures.begin import begin, by_cell


def main(config: Path, compat: Path, runs: list[Path], out: Path) -> None:
    """Draw and tabulate what both ways of scoring say of the same completions, and of known cases.

    Args:
        config: results/X/study.json.
        compat: folder of the completions scored by the reference file's conventions.
        runs: SFT and GRPO folders (for how each run ended).
        out: path without suffix; .png, .svg, .pdf, .md, .csv, .tex, .parquet and .caption.md are written.
    """
    artifact = begin("alignment", __file__, config, out, {"compat": compat, **by_cell(runs)})
    if artifact.reuse():
        return
    import pandas as pd

    from coherence.figures.alignment import alignment, means
    from coherence.figures.alignment_figure import draw
    from coherence.figures.alignment_words import caption, table
    from coherence.figures.arms import Bootstrap
    from coherence.figures.read import read_outcome, status_of
    from coherence.figures.save import save

    options = artifact.settings["figure"]
    completions = pd.read_parquet(compat / "compat.parquet")
    ended = [read_outcome(folder) for folder in runs]
    data, averages = alignment(completions, Bootstrap(**options), status_of(ended)), means(completions)
    words = caption(completions, averages, data, ended, options)
    save(artifact, data, words, draw(data), table(averages, data), averages)
    progress(f"{out}.png: {len(completions)} completions")


if __name__ == "__main__":
    run_cli(main)
