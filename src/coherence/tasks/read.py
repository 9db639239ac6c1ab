"""Read a data set's rows. Apart from `rows.py`, so that how rows are made is no part of what later stages are."""

import json
from pathlib import Path
from typing import Any

import pandas as pd


def read_rows(path: Path, split: str, root: Path | None = None) -> list[dict[str, Any]]:
    """Rows of one split of data.parquet, with `content` and `answer` decoded, and paths of images under `root`;
    ValueError if there is none."""
    if not path.is_file():
        raise ValueError(f"{path} is missing: is that the folder of a data set (scripts/prepare_data.py)?")
    table = pd.read_parquet(path)
    records = table[table["split"] == split].to_dict("records")
    if not records:
        raise ValueError(f"{path} has no rows of split '{split}'")
    if root is not None and "image_path" in table:
        records = [record | {"image_path": str(root / record["image_path"])} for record in records]
    return [
        {**{str(k): v for k, v in r.items()}, "content": json.loads(r["content"]), "answer": json.loads(r["answer"])}
        for r in records
    ]
