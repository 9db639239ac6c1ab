"""Make the base model that a study starts from, or take a pretrained one."""

from pathlib import Path
from typing import Any

from coherence.cluster.slots import take_gpus
from coherence.config import base as base_config
from coherence.config import curves
from coherence.config.compute import in_one_process
from coherence.config.resolved import image_root, model_files, read_resolved
from coherence.console import label, progress, run_cli
from coherence.provenance.scratch import Scratch
from coherence.provenance.store import SharedArtifact


def main(config: Path, out: Path, name: str | None = None) -> None:
    """Write the base model and its tokenizer into a folder: pre-trained here, or copied.

    Args:
        config: results/X/study.json.
        out: folder of the artifact.
        name: one of the curves' bases (curves.bases) instead of the study's own.
    """
    label(f"base {name or ''}".strip())
    study = read_resolved(config)
    if name is None:
        stage, cell, settings, sources = "base", {}, base_config.settings(study), model_files(study, config.parent)
    elif name in (study.get("curves") or {"bases": {}})["bases"]:
        stage, cell, settings, sources = "bases", {"base": name}, curves.base_settings(study, name), {}
    else:
        raise ValueError(f"--name: no base '{name}' among curves.bases of this study")
    artifact = SharedArtifact(out=out, stage=stage, cell=cell, script=Path(__file__), settings=settings, inputs=sources)
    if artifact.reuse():
        return
    take_gpus(in_one_process(study))
    from coherence.models.load import quiet

    quiet()
    with artifact.write_resumable() as (folder, scratch):
        if settings["model"]["kind"] == "embedded":
            make_embedded(settings["model"], in_one_process(study), folder, scratch)
        else:
            artifact.outcome |= take_pretrained(study["model"], sources, folder, bool(image_root(study)))


def make_embedded(section: dict[str, Any], compute: dict[str, Any], folder: Path, scratch: Scratch) -> None:
    """Corpus, tokenizer, random weights, pre-training."""
    from coherence.config.base import EmbeddedModel
    from coherence.config.compute import Compute
    from coherence.models.embedded import make_llama, make_tokenizer
    from coherence.models.load import check_device, save_model
    from coherence.streams import generator, integer_seed
    from coherence.training.pretrain import pretrain

    config, where = EmbeddedModel.parse(section, "model"), Compute.parse(compute, "compute")
    check_device(where.device)
    tokenizer = make_tokenizer(config, generator(config.seed, "base", "tokenizer"))
    model = make_llama(config, tokenizer, integer_seed(config.seed, "base", "weights"))
    progress(f"{model.num_parameters():,} parameters, {len(tokenizer)} tokens, prior: {config.prior}")
    if config.prior != "none":
        rng, order = generator(config.seed, "base", "corpus"), integer_seed(config.seed, "base", "order")
        pretrain(config, where, model.to(where.device), tokenizer, folder, rng, order, scratch)
    save_model(model, tokenizer, folder)


def take_pretrained(
    section: dict[str, Any], sources: dict[str, Path], folder: Path, images: bool = False
) -> dict[str, Any]:
    """A pretrained model with its tokenizer (for a task with images its processor), saved as every later stage wants
    them: one head row per token."""
    from coherence.models.load import load_pretrained, save_model
    from coherence.models.vision import load_processor

    where = next(iter(sources.values())).parent
    model, tokenizer, rows = load_pretrained(where, "cpu", images)
    origin = " ".join(value for key, value in section.items() if key != "kind")
    progress(f"{model.num_parameters():,} parameters, {len(tokenizer)} tokens, from {origin}")
    save_model(model, load_processor(where) if images else tokenizer, folder)
    return {"head_rows": rows, "vocab_size": len(tokenizer)}


if __name__ == "__main__":
    run_cli(main)
