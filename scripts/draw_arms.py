"""Figure and table: the arms on the held-out split."""

from pathlib import Path

from coherence.console import progress, run_cli
from coherence.figures.begin import begin, by_cell


def main(config: Path, scores: Path, runs: list[Path], out: Path) -> None:
    """Draw and tabulate strict accuracy, paired differences, coherence and diversity of the arms.

    Args:
        config: results/X/study.json.
        scores: folder of the scored generations.
        runs: SFT and GRPO folders (for how each run ended).
        out: path without suffix; .png, .svg, .pdf, .md, .csv, .tex, .parquet and .caption.md are written.
    """
    artifact = begin("arms", __file__, config, out, {"scores": scores, **by_cell(runs)})
    if artifact.reuse():
        return
    import pandas as pd

    from coherence.figures.arms import Bootstrap, complete_scores, summarise, wide
    from coherence.figures.arms_figure import draw
    from coherence.figures.arms_words import caption, table
    from coherence.figures.read import read_outcome, status_of, tallies
    from coherence.figures.save import save

    options = artifact.settings["figure"]
    reference = options["reference"]
    ended = [read_outcome(folder) for folder in runs]
    kept = complete_scores(pd.read_parquet(scores / "scores.parquet"), ended)
    status = status_of(ended)
    data = summarise(kept.table, reference, Bootstrap(options["resamples"], options["level"]), status)
    words = caption(data, kept, ended, options)
    save(artifact, data, words, draw(data, reference), table(data, tallies(status), reference), wide(data))
    progress(f"{out}.png: {kept.table['id'].nunique()} held-out items, {kept.left_out} left out")


if __name__ == "__main__":
    run_cli(main)
