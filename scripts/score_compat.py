"""Score stored completions as the reference file did, beside the aligned scores."""

from pathlib import Path

from coherence.config.evaluate import compat_settings
from coherence.config.resolved import read_resolved
from coherence.console import label, progress, run_cli
from coherence.provenance.artifact import Artifact
from coherence.slots import take_gpus


def main(config: Path, data: Path, scores: Path, models: list[Path], generations: list[Path], out: Path) -> None:
    """Score every greedy held-out completion by the reference file's conventions, with its own checkpoint.

    Args:
        config: results/X/study.json.
        data: the data set's folder.
        scores: folder of the aligned scores of the same generations.
        models: folders of the checkpoints.
        generations: folders of their stored generations, in the same order.
        out: folder of the artifact.
    """
    label("compat")
    if [folder.parts[-2:] for folder in models] != [folder.parts[-2:] for folder in generations]:
        raise ValueError("--models and --generations name the same checkpoints, in the same order")
    study = read_resolved(config)
    settings, kinds = compat_settings(study), {"model": models, "generate": generations}
    inputs = {f"{k}/{path.parent.name}/{path.name}": path for k, paths in kinds.items() for path in paths}
    inputs |= {"data": data, "scores": scores}
    artifact = Artifact(out=out, stage="compat", cell={}, script=Path(__file__), settings=settings, inputs=inputs)
    if artifact.reuse():
        return
    take_gpus(study["compute"])
    import pandas as pd

    from coherence.evaluation.conventions import rescore
    from coherence.models.load import load_model, load_tokenizer, quiet
    from coherence.tasks.read import read_rows

    quiet()
    prompts = {row["id"]: row["prompt"] for row in read_rows(data / "data.parquet", "heldout")}
    known, tables = pd.read_parquet(scores / "scores.parquet"), []
    with artifact.write() as target:
        for model, folder in zip(models, generations, strict=True):
            stored = pd.read_parquet(folder / "generations.parquet")
            arm, seed = stored["arm"][0], stored["seed"][0]
            own = known[(known["arm"] == arm) & (known["seed"] == seed)]
            loaded = load_model(model, study["compute"]["device"])
            tables.append(rescore(loaded, load_tokenizer(model), stored, own, prompts))
            carl = tables[-1][["carl_aligned", "carl_compat"]].mean()
            progress(f"{arm} seed{seed}: CARL {carl['carl_aligned']:.3f} aligned, {carl['carl_compat']:.3f} compat")
        pd.concat(tables, ignore_index=True).to_parquet(target / "compat.parquet", index=False)


if __name__ == "__main__":
    run_cli(main)
