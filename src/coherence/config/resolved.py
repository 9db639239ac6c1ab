"""The resolved study (study.json) as scripts read it, and the places of its local files."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from coherence.config.hub import repositories, repository

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


def data_root(study: Mapping[str, Any]) -> Path | None:
    """Where local models and data lie: CARL_DATA_ROOT, else the config's data_root, if any."""
    root = os.environ.get("CARL_DATA_ROOT") or study.get("data_root")
    return Path(root) if root else None


def local_path(study: Mapping[str, Any], relative: str) -> Path:
    """A path under data_root; ValueError where there is nothing."""
    root = data_root(study)
    if not root:
        raise ValueError(f"'{relative}' is relative to data_root: set CARL_DATA_ROOT, or data_root in the config")
    path = root / relative
    if not path.exists():
        raise ValueError(f"{path} does not exist (data_root is {root})")
    return path


def image_root(study: Mapping[str, Any]) -> Path | None:
    """Where the paths of images begin, of a task that shows them, so that its model must have a vision tower; else
    None."""
    return local_path(study, ".") if "image" in (study["data"].get("columns") or {}) else None


def model_files(study: Mapping[str, Any], results: Path) -> dict[str, Path]:
    """What the base model is made from, by name: a local model's files, or the manifest of another study's checkpoint,
    or of what was fetched from the hub into the study's results.

    ValueError without safetensors weights, or where that checkpoint is not built.
    """
    if study["model"]["kind"] == "hub":
        return _fetched(results, repository("model", study["model"]["id"]))
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


def data_files(study: Mapping[str, Any], results: Path) -> dict[str, Path]:
    """What the task's rows come from: source files by their names in the config, the images that are there too, and by
    the repository's name the manifest of each data set that was fetched from the hub into the study's results."""
    sources = (value for value in study["data"].values() if isinstance(value, dict) and "file" in value)
    files = {source["file"]: local_path(study, source["file"]) for source in sources}
    if root := image_root(study):
        places = {name: root / name for file in files.values() for name in _images(study, file)}
        files |= {name: place for name, place in places.items() if place.is_file()}
    datasets = (name for name, origin in repositories(study).items() if origin["type"] == "dataset")
    return files | {name: path for dataset in datasets for name, path in _fetched(results, dataset).items()}


def _fetched(results: Path, name: str) -> dict[str, Path]:
    return {name: results / "fetch" / name / "manifest.json"}


def _images(study: Mapping[str, Any], file: Path) -> Iterator[str]:
    """The relative paths in the column of images; what is wrong with a line, the one who makes the rows says."""
    for line in file.read_bytes().splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        name = record.get(study["data"]["columns"]["image"]) if isinstance(record, dict) else None
        if isinstance(name, str) and not PurePosixPath(name).is_absolute():
            yield name
