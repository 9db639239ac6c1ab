"""A pretrained causal LM by its folder or hub id."""

import re
from pathlib import Path

from coherence.config.resolved import MODEL_FILES, WEIGHTS
from coherence.models.hub import download
from coherence.provenance.place import Place

HUB_ID = re.compile(r"\w[\w.-]*(/[\w.-]+)?")
NEEDED = f"config.json, *{WEIGHTS} and the tokenizer's files"


def model_folder(name: str) -> Path:
    """The folder `name` itself, or the cached files of the hub id `name` (branch main); ValueError for neither."""
    folder = Path(name)
    if not folder.is_dir():
        if not HUB_ID.fullmatch(name):
            raise ValueError(f"--model {name}: there is no such folder, and it is no hub id")
        try:
            folder, _ = download("model", name, "main")
        except (OSError, ValueError) as error:
            why = f"the hub does not give it ({str(error).splitlines()[0]})"
            raise ValueError(f"--model {name}: no such folder, and {why}: give a folder with {NEEDED}") from None
    if not (folder / "config.json").is_file() or not any(folder.glob(f"*{WEIGHTS}")):
        raise ValueError(f"--model {name}: {folder} is not a model folder ({NEEDED} are needed)")
    return folder


def model_inputs(folder: Path) -> dict[str, Path]:
    """What an artifact that starts from this model is made from: the artifact in the folder, or its single files."""
    if Place(folder).manifest.is_file():
        return {"model": folder}
    return {f"model/{file.name}": file for file in sorted(folder.iterdir()) if file.suffix in MODEL_FILES}
