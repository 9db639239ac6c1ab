"""Answer held-out prompts with a checkpoint that adapts to them, by every method and its control."""

from pathlib import Path

from coherence.cluster.slots import take_gpus
from coherence.config.adapt import settings
from coherence.config.resolved import read_resolved
from coherence.console import label, progress, run_cli
from coherence.provenance.artifact import Artifact


def main(config: Path, seed: int, sft: Path, data: Path, out: Path) -> None:
    """Answer a stream of held-out prompts from the SFT start: plainly, with a vector found for each prompt (SLOT), and
    with adapters that take one step after each answer. One row per method and prompt.

    Args:
        config: results/X/study.json.
        seed: one of the study's seeds.
        sft: folder of the SFT run with the same seed.
        data: the data set's folder.
        out: folder of the artifact.
    """
    label(f"adapt seed{seed}")
    study = read_resolved(config, seed)
    told, inputs = settings(study, seed), {"sft": sft, "data": data}
    artifact = Artifact(
        out=out, stage="adapt", cell={"seed": seed}, script=Path(__file__), settings=told, inputs=inputs
    )
    if artifact.reuse():
        return
    take_gpus(told["compute"])
    from coherence.config.adapt import AdaptConfig
    from coherence.evaluation.adapt import adapt
    from coherence.models.load import load_model, load_tokenizer, quiet
    from coherence.tasks.read import read_rows

    quiet()
    section, rows = AdaptConfig.parse(told["adapt"], "adapt"), read_rows(data / "data.parquet", "heldout")
    model, tokenizer = load_model(sft, told["compute"]["device"]), load_tokenizer(sft)
    with artifact.write() as folder:
        table = adapt(model, tokenizer, rows, section, told["task"], told["max_new_tokens"], seed).assign(seed=seed)
        table.to_parquet(folder / "adapt.parquet", index=False)
    for method, part in table.groupby("method", sort=False):
        progress(f"{method}: strict accuracy {part['strict'].mean():.3f}, NLL {part['nll_answering'].mean():.3f}")


if __name__ == "__main__":
    run_cli(main)
