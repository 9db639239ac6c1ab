"""Figure and table: does Phi know when the answer is right, and is the gate's abstention of use?"""

from pathlib import Path

from coherence.console import progress, run_cli
from coherence.figures.begin import begin, by_cell


def main(config: Path, scores: Path, generations: list[Path], runs: list[Path], out: Path) -> None:
    """Draw and tabulate how well Phi and other scores separate right from wrong, and what thresholds on them promise.

    Args:
        config: results/X/study.json.
        scores: folder of the scored generations.
        generations: folders of the same generations.
        runs: SFT and GRPO folders (for how each run ended).
        out: path without suffix; .png, .svg, .pdf, .md, .csv, .tex, .parquet and .caption.md are written.
    """
    inputs = {"scores": scores, **by_cell(generations, "generate/"), **by_cell(runs)}
    artifact = begin("risk_coverage", __file__, config, out, inputs)
    if artifact.reuse():
        return
    import pandas as pd

    from coherence.figures.read import read_generations, read_outcome, status_of
    from coherence.figures.risk_coverage import confidences, summarise
    from coherence.figures.risk_coverage_figure import draw
    from coherence.figures.risk_coverage_words import caption, table
    from coherence.figures.save import save

    options, ended = artifact.settings["figure"], [read_outcome(folder) for folder in runs]
    items = confidences(pd.read_parquet(scores / "scores.parquet"), read_generations(generations), ended)
    data = summarise(items, options, status_of(ended))
    words = caption(data, items, ended, options, items["seed"].nunique())
    numbers = data[data["seed"].isna() & (data["quantity"] != "curve")].drop(columns=["seed", "status", "coverage"])
    save(artifact, data, words, draw(data, options["target_risk"]), table(data), numbers)
    progress(f"{out}.png: {len(items)} completions")


if __name__ == "__main__":
    run_cli(main)
