"""Supervised fine-tuning that stops when it crystallizes."""

from pathlib import Path

from coherence.cluster.slots import take_gpus
from coherence.config.resolved import image_root, read_resolved
from coherence.config.sft import settings
from coherence.console import label, progress, run_cli
from coherence.provenance.store import SharedArtifact


def main(config: Path, seed: int, base: Path, data: Path, out: Path) -> None:
    """Fine-tune the base model on the `sft` split with one seed; stop when the windowed gate fires.

    Writes the model, metrics.jsonl (one line per step) and outcome.json. A run whose gate never fires ends as
    `not_crystallized`: that is a result, not an error.

    Args:
        config: results/X/study.json.
        seed: one of the study's seeds.
        base: the base model's folder.
        data: the data set's folder.
        out: folder of the artifact.
    """
    label(f"sft seed{seed}")
    study = read_resolved(config, seed)
    artifact = SharedArtifact(
        out=out,
        stage="sft",
        cell={"seed": seed},
        script=Path(__file__),
        settings=settings(study, seed),
        inputs={"base": base, "data": data},
    )
    if artifact.reuse():
        return
    take_gpus(study["compute"])
    from coherence.config.compute import Compute
    from coherence.config.lora import Lora
    from coherence.config.sft import SftConfig
    from coherence.models.load import check_head, load_model, quiet
    from coherence.models.vision import load_reader
    from coherence.streams import integer_seed
    from coherence.tasks.read import read_rows
    from coherence.training.sft import train

    quiet()
    sft, compute = SftConfig.parse(study["sft"], "sft"), Compute.parse(study["compute"], "compute")
    lora, images = study["lora"] and Lora.parse(study["lora"], "lora"), image_root(study)
    tokenizer, processor = load_reader(base, bool(images))
    model = load_model(base, compute.loading_device, bool(images))
    check_head(model, tokenizer)
    table = data / "data.parquet"
    rows = read_rows(table, "sft", images)
    validation = [] if sft.validate_every is None else read_rows(table, "validation", images)
    progress(f"{len(rows)} rows, {model.num_parameters():,} parameters")
    with artifact.write_resumable(study.get("resume_from", {}).get(f"sft/seed{seed}")) as (folder, scratch):
        stream = integer_seed(seed, "sft")
        outcome = train(sft, compute, model, tokenizer, rows, folder, stream, validation, processor, lora, scratch)
        artifact.outcome |= outcome
        fired = f"gate fired at step {outcome['gate_step']}" if outcome["gate_step"] else "the gate never fired"
        progress(f"{outcome['status']}: {fired}, {outcome['steps']} steps run")


if __name__ == "__main__":
    run_cli(main)
