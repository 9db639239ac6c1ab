"""Figure: the coherence trap."""

from pathlib import Path

from coherence.console import progress, run_cli
from coherence.figures.begin import begin, by_cell


def main(config: Path, scores: Path, runs: list[Path], out: Path) -> None:
    """Draw Phi against accuracy along GRPO and on the held-out split, and how alike the completions become.

    Args:
        config: results/X/study.json.
        scores: folder of the scored generations.
        runs: SFT and GRPO folders.
        out: path without suffix; .png, .svg, .pdf, .parquet and .caption.md are written.
    """
    artifact = begin("coherence_trap", __file__, config, out, {"scores": scores, **by_cell(runs)})
    if artifact.reuse():
        return
    import pandas as pd

    from coherence.figures.arms import Bootstrap, complete_scores
    from coherence.figures.coherence_trap import caption, draw, trap
    from coherence.figures.read import read_run
    from coherence.figures.save import save

    settings = artifact.settings
    options, grpo_settings = settings["figure"], settings["grpo"]
    read = [read_run(folder) for folder in runs]
    kept = complete_scores(pd.read_parquet(scores / "scores.parquet"), read)
    data = trap(read, kept.table, settings["task"], Bootstrap(options["resamples"], options["level"]))
    save(artifact, data, caption(data, read, kept, settings), draw(data, options["smooth"], grpo_settings))
    progress(f"{out}.png: {len(read)} runs")


if __name__ == "__main__":
    run_cli(main)
