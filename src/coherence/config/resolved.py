"""The resolved study (study.json) as scripts read it, and the places of its local files."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

WEIGHTS = ".safetensors"
MODEL_FILES = (".json", ".jinja", ".model", ".txt", WEIGHTS)


def read_resolved(path: Path) -> dict[str, Any]:
    """The values of a study.json; ValueError where it is not JSON."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not valid JSON ({error.msg}, line {error.lineno})") from None
    return dict(values)


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
    files = {file.name: file for file in sorted(folder.iterdir()) if file.suffix in MODEL_FILES}
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
