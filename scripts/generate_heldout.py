"""Generate the held-out split from a checkpoint once, for all later scoring."""

from pathlib import Path

from coherence.cluster.slots import take_gpus
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
    told, cell, inputs = settings(study, arm, seed), {"arm": arm, "seed": seed}, {"model": model, "data": data}
    artifact = Artifact(out=out, stage="generate", cell=cell, script=Path(__file__), settings=told, inputs=inputs)
    if artifact.reuse():
        return
    take_gpus(told["compute"])
    from coherence.evaluation.generate import generate_split
    from coherence.streams import integer_seed

    with artifact.write() as folder:
        how = {key: study["evaluate"][key] for key in ("samples", "temperature", "max_new_tokens", "batch_size")}
        how |= {"seed": integer_seed(seed, "evaluate", arm), "images": image_root(study)}
        found = generate_split(model, data, "heldout", study["compute"]["device"], **how)
        found.assign(arm=arm, seed=seed).to_parquet(folder / "generations.parquet", index=False)


if __name__ == "__main__":
    run_cli(main)
