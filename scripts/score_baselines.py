"""Score what a few lines without a model answer on the held-out rows."""

from pathlib import Path

from coherence.config.evaluate import baseline_settings
from coherence.config.resolved import read_resolved
from coherence.console import label, progress, run_cli
from coherence.provenance.artifact import Artifact


def main(config: Path, data: Path, out: Path) -> None:
    """Score the task's baselines (the majority answer, the nearest training prompt's, known values found word for
    word) on the held-out split: one row per baseline and item.

    Args:
        config: results/X/study.json.
        data: the data set's folder.
        out: folder of the artifact.
    """
    label("baselines")
    study = read_resolved(config)
    settings, inputs = baseline_settings(study), {"data": data}
    artifact = Artifact(out=out, stage="baselines", cell={}, script=Path(__file__), settings=settings, inputs=inputs)
    if artifact.reuse():
        return
    from coherence.evaluation.baselines import score_baselines
    from coherence.tasks.read import read_rows

    table = data / "data.parquet"
    with artifact.write() as folder:
        scores = score_baselines(study["data"]["task"], read_rows(table, "sft"), read_rows(table, "heldout"))
        scores.to_parquet(folder / "baselines.parquet", index=False)
    for name, strict in scores.groupby("baseline")["strict"].mean().items():
        progress(f"{name}: strict accuracy {strict:.3f}")


if __name__ == "__main__":
    run_cli(main)
