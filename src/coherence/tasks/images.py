"""Images by their paths: opened when they are needed, and held against the bytes that the data set was made from."""

import hashlib
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image


def open_image(path: Path, sha256: str | None = None) -> Image.Image:
    """The image in RGB; ValueError where there is none, it is broken, or its bytes are not those of `sha256`."""
    try:
        content = path.read_bytes()
        image = Image.open(io.BytesIO(content)).convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path}: no image can be read from it ({error})") from None
    if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
        raise ValueError(f"{path} is not the image that the data set was made with: make the data set again")
    return image


def open_rows(rows: Iterable[Mapping[str, Any]]) -> list[Image.Image]:
    """The images of some rows of a data set; ValueError for one that has changed."""
    return [open_image(Path(row["image_path"]), row["image_sha256"]) for row in rows]
