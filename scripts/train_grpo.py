"""GRPO from an SFT checkpoint, one reward arm and seed."""

import json
from pathlib import Path

from coherence.cluster.slots import take_gpus
from coherence.config.grpo import settings
from coherence.config.resolved import image_root, read_resolved
from coherence.console import label, progress, run_cli
from coherence.provenance.store import SharedArtifact


def main(config: Path, arm: str, seed: int, sft: Path, data: Path, out: Path) -> None:
    """Train the SFT checkpoint with group-relative policy optimization on the `grpo` split, paid by one arm's rewards.

    Writes the model, metrics.jsonl (one line per step), samples.parquet (completions with their token traces) and
    outcome.json.

    Args:
        config: results/X/study.json.
        arm: one of the study's arms (grpo.arms).
        seed: one of the study's seeds.
        sft: folder of the SFT run with the same seed.
        data: the data set's folder.
        out: folder of the artifact.
    """
    label(f"grpo {arm} seed{seed}")
    study = read_resolved(config, seed, arm)
    artifact = SharedArtifact(
        out=out,
        stage="grpo",
        cell={"arm": arm, "seed": seed},
        script=Path(__file__),
        settings=settings(study, arm, seed),
        inputs={"sft": sft, "data": data},
    )
    if artifact.reuse():
        return
    take_gpus(study["compute"])
    from coherence.config.compute import Compute
    from coherence.config.grpo import Arm, GrpoConfig
    from coherence.config.lora import Lora
    from coherence.models.load import check_context, load_model, prompt_length, quiet
    from coherence.models.vision import load_reader
    from coherence.streams import integer_seed
    from coherence.tasks.read import read_rows
    from coherence.training.grpo import train

    quiet()
    grpo, compute = GrpoConfig.parse(study["grpo"], "grpo"), Compute.parse(study["compute"], "compute")
    start = json.loads((sft / "outcome.json").read_text(encoding="utf-8"))["status"]
    if grpo.require_crystallized and start != "ok":
        raise ValueError(f"{sft} ended '{start}': GRPO starts from it only with grpo.require_crystallized: false")
    lora, images = study["lora"] and Lora.parse(study["lora"], "lora"), image_root(study)
    model, (tokenizer, processor) = (
        load_model(sft, compute.loading_device, bool(images)),
        load_reader(sft, bool(images)),
    )
    rows = read_rows(data / "data.parquet", "grpo", images)
    longest = max(prompt_length(tokenizer, row) for row in rows)
    check_context(model.config, longest + grpo.max_completion_length)
    with artifact.write_resumable(study.get("resume_from", {}).get(f"{arm}/seed{seed}")) as (folder, scratch):
        outcome = train(
            grpo,
            compute,
            Arm.parse(study["grpo"]["arms"][arm], f"grpo.arms.{arm}"),
            study["data"]["task"],
            model,
            None if lora else load_model(sft, compute.loading_device, bool(images)),
            tokenizer,
            rows,
            folder,
            integer_seed(seed, "grpo"),  # the arm is no part of it: arms of one seed share their random numbers
            started_from=start,
            processor=processor,
            lora=lora,
            scratch=scratch,
        )
        artifact.outcome |= outcome
        progress(f"{outcome['status']}: {outcome['steps']} steps, {outcome['unscored_completions']} unscored")


if __name__ == "__main__":
    run_cli(main)
