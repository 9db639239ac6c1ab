"""Table: right answers by kind of prompt and by field, of baselines and arms."""

from pathlib import Path

from coherence.console import progress, run_cli
from coherence.figures.begin import begin, by_cell


def main(config: Path, data: Path, scores: Path, baselines: Path, runs: list[Path], out: Path) -> None:
    """Tabulate the share of right held-out answers by family and field: baselines, SFT start, arms.

    Args:
        config: results/X/study.json.
        data: the data set's folder.
        scores: folder of the scored generations.
        baselines: folder of the scored baselines.
        runs: SFT and GRPO folders (for how each run ended).
        out: path without suffix; .md, .csv, .tex, .parquet and .caption.md are written.
    """
    inputs = {"data": data, "scores": scores, "baselines": baselines, **by_cell(runs)}
    artifact = begin("families", __file__, config, out, inputs)
    if artifact.reuse():
        return
    import pandas as pd

    from coherence.figures.arms import Bootstrap
    from coherence.figures.families import caption, combined, summarise, tabulated
    from coherence.figures.read import read_outcome
    from coherence.figures.save import save
    from coherence.tasks.read import read_rows

    task, options = artifact.settings["task"], artifact.settings["figure"]
    rows = {row["id"]: row for row in read_rows(data / "data.parquet", "heldout")}
    bootstrap = Bootstrap(options["resamples"], options["level"])
    plain = pd.read_parquet(baselines / "baselines.parquet")
    ended = [read_outcome(folder) for folder in runs]
    table = combined(task, pd.read_parquet(scores / "scores.parquet"), plain, rows, ended)
    found = summarise(table, bootstrap)
    save(artifact, found, caption(found, task, ended, bootstrap), table=tabulated(found))
    progress(f"{out}.md: {len(rows)} held-out prompts, {found['method'].nunique()} methods")


if __name__ == "__main__":
    run_cli(main)
