"""The resolved study (study.json) as scripts read it, and the places of its local files."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

WEIGHTS = ".safetensors"
MODEL_FILES = (".json", ".jinja", ".model", ".txt", WEIGHTS)
SECTIONS = {"seeds", "compute", "model", "data", "lora", "sft", "grpo", "evaluate", "figures"}
WRITE_IT = "`python scripts/write_study.py --configfile config/X.yaml --out results/X/study.json` writes one"


def read_resolved(path: Path, seed: int | None = None, arm: str = "sft") -> dict[str, Any]:
    """The values of a study.json; ValueError where it is none, or has no such seed or arm (`sft`: the start of all)."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        values = None
    if not isinstance(values, dict) or not values.keys() >= SECTIONS:
        raise ValueError(f"--config {path} is no resolved study: {WRITE_IT}")
    if seed is not None and seed not in values["seeds"]:
        raise ValueError(f"no seed {seed} in this study (has: {', '.join(map(str, values['seeds']))})")
    if arm != "sft" and arm not in values["grpo"]["arms"]:
        raise ValueError(f"no arm '{arm}' in this study (has: {', '.join(sorted(values['grpo']['arms']))})")
    return values


def local_path(study: Mapping[str, Any], relative: str) -> Path:
    """A path under data_root (CARL_DATA_ROOT goes before the config's); ValueError where there is nothing."""
    root = os.environ.get("CARL_DATA_ROOT") or study.get("data_root")
    if not root:
        raise ValueError(f"'{relative}' is relative to data_root: set CARL_DATA_ROOT, or data_root in the config")
    path = Path(root) / relative
    if not path.exists():
        raise ValueError(f"{path} does not exist (data_root is {root})")
    return path


def model_files(study: Mapping[str, Any]) -> dict[str, Path]:
    """What the base model is made from, by name: a local model's files, or the manifest of another study's checkpoint.

    ValueError without safetensors weights, or where that checkpoint is not built.
    """
    if study["model"]["kind"] == "run":
        return {"checkpoint": _checkpoint(study["model"])}
    if study["model"]["kind"] != "local":
        return {}
    folder = local_path(study, study["model"]["path"])
    files = {file.name: file for file in sorted(folder.glob("*")) if file.suffix in MODEL_FILES}
    if not any(name.endswith(WEIGHTS) for name in files):
        raise ValueError(f"model.path: {folder} holds no {WEIGHTS} file (other weight formats are not read)")
    return files


def _checkpoint(model: Mapping[str, Any]) -> Path:
    manifest = Path("results", model["study"], model["checkpoint"], "manifest.json")
    if not manifest.is_file():
        command = f"snakemake --cores 2 {manifest} --configfile config/{model['study']}.yaml"
        raise ValueError(f"model: {manifest} is missing: build it first, `{command}`")
    return manifest


def data_files(study: Mapping[str, Any]) -> dict[str, Path]:
    """The source files that the task's rows come from, by their names in the config."""
    sources = (value for value in study["data"].values() if isinstance(value, dict) and "file" in value)
    return {source["file"]: local_path(study, source["file"]) for source in sources}
