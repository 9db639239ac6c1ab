"""Score stored completions as the reference file did, beside the aligned scores."""

from pathlib import Path
from typing import Any

from coherence.cluster.slots import take_gpus
from coherence.config.evaluate import compat_settings
from coherence.config.resolved import image_root, read_resolved
from coherence.console import label, progress, run_cli
from coherence.provenance.artifact import Artifact


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
    take_gpus(settings["compute"])
    import pandas as pd

    from coherence.evaluation.conventions import rescore
    from coherence.models.load import load_model, quiet
    from coherence.models.vision import Shown, load_reader, show
    from coherence.tasks.images import open_rows
    from coherence.tasks.read import read_rows

    quiet()
    images = image_root(study)
    rows = {row["id"]: row for row in read_rows(data / "data.parquet", "heldout", images)}
    prompts = {name: row["prompt"] for name, row in rows.items()}
    known, tables = pd.read_parquet(scores / "scores.parquet"), []
    with artifact.write() as target:
        for model, folder in zip(models, generations, strict=True):
            stored = pd.read_parquet(folder / "generations.parquet")
            arm, seed = stored["arm"][0], stored["seed"][0]
            own = known[(known["arm"] == arm) & (known["seed"] == seed)]
            loaded = load_model(model, study["compute"]["device"], bool(images))
            tokenizer, processor = load_reader(model, bool(images))

            def shown(name: str, processor: Any = processor) -> Shown:
                return show(processor, [prompts[name]], open_rows([rows[name]]))

            tables.append(rescore(loaded, tokenizer, stored, own, prompts, shown if processor else None))
            del loaded  # before the next one is there
            carl = tables[-1][["carl_aligned", "carl_compat"]].mean()
            progress(f"{arm} seed{seed}: CARL {carl['carl_aligned']:.3f} aligned, {carl['carl_compat']:.3f} compat")
        pd.concat(tables, ignore_index=True).to_parquet(target / "compat.parquet", index=False)


if __name__ == "__main__":
    run_cli(main)
