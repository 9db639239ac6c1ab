"""The base of every config model: frozen, no unknown key, and errors that name the key and its nearest neighbour."""

import difflib
import re
import types
from collections.abc import Iterator
from typing import Annotated, Any, Self, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError

HUB_NAME = r"^[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?$"
"""A model or data set of the hub: ORGANISATION/NAME, nothing that a shell or a path would read otherwise."""


def check_cell_name(name: str, section: str) -> None:
    """ValueError where a name of a section's cells cannot be a folder's."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_+.-]*", name):
        raise ValueError(f"{section}: name '{name}': letters, digits, + - _ . only")


class Strict(BaseModel):
    """A config section. Every field is stated in the file, so that one file is one study."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, protected_namespaces=())

    @classmethod
    def parse(cls, values: Any, where: str) -> Self:
        """Validate `values`; ValueError with one line (key, problem, nearest right key) otherwise."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise ValueError(f"{where}: {explain(error, cls)}") from None


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """The first problems of a pydantic error, each as `key: what is wrong`."""
    return "; ".join(_line(problem, model) for problem in error.errors()[:3])


def _line(problem: Any, model: type[BaseModel]) -> str:
    keys, beside = _walk(model, [str(part) for part in problem["loc"]])
    path = ".".join(keys) + ": " if keys else ""
    if problem["type"] == "extra_forbidden":
        near = difflib.get_close_matches(keys[-1], beside - {keys[-1]}, n=1)
        return f"{path}unknown key" + (f" (did you mean '{near[0]}'?)" if near else "")
    if problem["type"] == "missing":
        return f"{path}this key is missing"
    message = problem["msg"].removeprefix("Value error, ")
    shown = "" if isinstance(problem["input"], dict) else f" (got {problem['input']!r})"
    return f"{path}{message}{shown}"


def _walk(model: type[BaseModel], location: list[str]) -> tuple[list[str], set[str]]:
    """The keys as the file has them (pydantic puts a union's variant after its key), and what the last may be called.

    All variants of a union count, since the file may mean any.
    """
    keys: list[str] = []
    models, inner, beside = [model], list[type[BaseModel]](), set[str]()
    for part in location:
        if len(inner) > 1:
            inner = []
            continue
        keys.append(part)
        beside = {name for m in models for name in m.model_fields}
        inner = [found for m in models if part in m.model_fields for found in _models(m.model_fields[part].annotation)]
        models = inner or models
    return keys, beside


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in (Union, types.UnionType, Annotated, dict, list, tuple):
        for inner in get_args(annotation):
            yield from _models(inner)
