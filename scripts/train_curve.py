"""Supervised fine-tuning that is not stopped by its gate: one curve to infer a transition from."""

import json
from pathlib import Path

from coherence.cluster.slots import take_gpus
from coherence.config.curves import settings, sft_of
from coherence.config.resolved import read_resolved
from coherence.console import label, progress, run_cli
from coherence.provenance.store import SharedArtifact


def main(config: Path, curve: str, seed: int, base: Path, data: Path, out: Path) -> None:
    """Fine-tune a base on the `sft` split for curves.steps steps, whatever its accuracy.

    Writes metrics.jsonl (one line per step) and outcome.json, in which the gate is noted; no model is kept.

    Args:
        config: results/X/study.json.
        curve: one of the study's curves (curves.runs).
        seed: one of the study's seeds.
        base: folder of the base that the curve starts from.
        data: the data set's folder.
        out: folder of the artifact.
    """
    label(f"curve {curve} seed{seed}")
    study = read_resolved(config, seed)
    if curve not in (study.get("curves") or {"runs": {}})["runs"]:
        raise ValueError(f"--curve: no curve '{curve}' in this study (curves.runs)")
    artifact = SharedArtifact(
        out=out,
        stage="curves",
        cell={"curve": curve, "seed": seed},
        script=Path(__file__),
        settings=settings(study, curve, seed),
        inputs={"base": base, "data": data},
    )
    if artifact.reuse():
        return
    take_gpus(study["compute"])
    from coherence.config.compute import Compute
    from coherence.config.sft import SftConfig
    from coherence.models.load import load_model, load_tokenizer, quiet
    from coherence.streams import integer_seed
    from coherence.tasks.read import read_rows
    from coherence.training.sft import train

    quiet()
    sft, compute = SftConfig.parse(sft_of(study, curve), f"curve {curve}"), Compute.parse(study["compute"], "compute")
    model, rows = load_model(base, compute.loading_device), read_rows(data / "data.parquet", "sft")
    with artifact.write_resumable() as (folder, scratch):
        stream = integer_seed(seed, "sft")  # the same for all curves of a seed: they see the same rows in turn
        outcome = train(
            sft, compute, model, load_tokenizer(base), rows, folder, stream,
            scratch=scratch, stop_at_gate=False, save_model=False,
        )  # fmt: skip
        outcome |= {"width": model.config.hidden_size, "learning_rate": sft.learning_rate}
        (folder / "outcome.json").write_text(json.dumps(outcome, indent=1) + "\n", encoding="utf-8")
        artifact.outcome |= outcome
        progress(f"{outcome['steps']} steps; the gate would have fired at {outcome['gate_step']}")


if __name__ == "__main__":
    run_cli(main)
