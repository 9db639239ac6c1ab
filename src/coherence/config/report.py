"""Stage `report`: the whole study, since the report shows every setting."""

from collections.abc import Mapping
from typing import Any


def settings(study: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The study's name and all its values but the place of its files, which differs from machine to machine."""
    return {"name": name, "study": {key: value for key, value in study.items() if key != "data_root"}}
