"""Stage `fetch`: what a study takes from the model hub, each repository at one commit."""

from collections.abc import Mapping
from typing import Any

FILES = "files"
"""The folder, in an artifact, of a data set's own files: apart from manifest and card, which are JSON too."""


def repository(kind: str, name: str) -> str:
    """The name of a repository's folder, as in the hub's own cache: `models--org--name`, `datasets--org--name`."""
    return f"{kind}s--{name.replace('/', '--')}"


def repositories(study: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """{folder name: type, id, revision} of the model and the data sets; ValueError for one of them at two commits."""
    model, found = study["model"], dict[str, dict[str, str]]()
    wanted = [("model", model["id"], model["revision"])] if model["kind"] == "hub" else []
    sources = (value for value in study["data"].values() if isinstance(value, dict) and "hub" in value)
    wanted += [("dataset", source["hub"], source["revision"]) for source in sources]
    for kind, name, revision in wanted:
        origin = {"type": kind, "id": name, "revision": revision}
        if found.setdefault(repository(kind, name), origin) != origin:
            raise ValueError(f"data: {name} is named at two commits; take all its splits from one revision")
    return found


def settings(study: Mapping[str, Any], repo: str) -> dict[str, Any]:
    """The part of a resolved study that decides what is fetched; KeyError for a repository that it does not use."""
    return {"repo": repositories(study)[repo]}
