"""Generate the held-out split from a checkpoint once, for all later scoring."""

from pathlib import Path

from coherence.config.evaluate import settings
from coherence.config.resolved import image_root, read_resolved
from coherence.console import label, run_cli
from coherence.provenance.artifact import Artifact


def main(config: Path, arm: str, seed: int, model: Path, data: Path, out: Path) -> None:
    """Greedy and sampled completions of every held-out prompt, with each token's logp, entropy and Phi.

    Args:
        config: results/X/study.json.
        arm: the arm that the checkpoint belongs to; `sft` for the start.
        seed: the checkpoint's seed.
        model: folder of the checkpoint.
        data: the data set's folder.
        out: folder of the artifact.
    """
    label(f"generate {arm} seed{seed}")
    study = read_resolved(config, seed, arm)
    artifact = Artifact(
        out=out,
        stage="generate",
        cell={"arm": arm, "seed": seed},
        script=Path(__file__),
        settings=settings(study, arm, seed),
        inputs={"model": model, "data": data},
    )
    if artifact.reuse():
        return
    from coherence.evaluation.generate import generate_split
    from coherence.streams import integer_seed

    with artifact.write() as folder:
        section = study["evaluate"]
        generations = generate_split(
            model,
            data,
            "heldout",
            study["compute"]["device"],
            images=image_root(study),
            samples=section["samples"],
            temperature=section["temperature"],
            max_new_tokens=section["max_new_tokens"],
            batch_size=section["batch_size"],
            seed=integer_seed(seed, "evaluate", arm),
        )
        generations = generations.assign(arm=arm, seed=seed)
        generations.to_parquet(folder / "generations.parquet", index=False)


if __name__ == "__main__":
    run_cli(main)
