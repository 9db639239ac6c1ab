"""Figure and table: what adaptation at inference changes, and what an agent behind the gate earns."""

from pathlib import Path

from coherence.console import progress, run_cli
from coherence.figures.begin import begin, by_cell


def main(config: Path, adapt: list[Path], runs: list[Path], out: Path) -> None:
    """Draw and tabulate the methods that adapt to held-out prompts beside their controls, and an agent that may
    abstain.

    Args:
        config: results/X/study.json.
        adapt: folders of the answers, one per seed.
        runs: SFT folders (for how each run ended).
        out: path without suffix; .png, .svg, .pdf, .md, .csv, .tex, .parquet and .caption.md are written.
    """
    artifact = begin("adaptation", __file__, config, out, {**by_cell(adapt), **by_cell(runs)})
    if artifact.reuse():
        return
    import pandas as pd

    from coherence.figures.adaptation import read_tables, summarise
    from coherence.figures.adaptation_figure import draw
    from coherence.figures.adaptation_words import caption, table
    from coherence.figures.read import read_outcome, status_of
    from coherence.figures.save import save

    ended = [read_outcome(folder) for folder in runs]
    answers = read_tables([pd.read_parquet(folder / "adapt.parquet") for folder in adapt])
    data = summarise(answers, artifact.settings["figure"], status_of(ended))
    words = caption(data, answers, ended, artifact.settings)
    numbers = data[data["seed"].isna()].drop(columns=["seed", "status", "position"])
    save(artifact, data, words, draw(data), table(data), numbers)
    progress(f"{out}.png: {len(answers)} answers")


if __name__ == "__main__":
    run_cli(main)
