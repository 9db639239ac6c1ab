"""The base of every config model: frozen, no unknown key, and errors that name the key and its nearest neighbour."""

import difflib
import types
from collections.abc import Iterator
from typing import Annotated, Any, Self, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError


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
    keys = [str(part) for part in problem["loc"]]
    path = ".".join(keys) or "the file"
    if problem["type"] == "extra_forbidden":
        near = difflib.get_close_matches(keys[-1], set(_field_names(model, keys[:-1])), n=1)
        return f"{path}: unknown key" + (f" (did you mean '{near[0]}'?)" if near else "")
    if problem["type"] == "missing":
        return f"{path}: this key is missing"
    message = problem["msg"].removeprefix("Value error, ")
    shown = "" if isinstance(problem["input"], dict) else f" (got {problem['input']!r})"
    return f"{path}: {message}{shown}"


def _field_names(model: type[BaseModel], keys: list[str]) -> Iterator[str]:
    """Field names of the section that `keys` leads to; all variants of a union, since the file may mean any."""
    models = [model]
    for key in keys:
        fields = [m.model_fields[key].annotation for m in models if key in m.model_fields]
        models = [inner for field in fields for inner in _models(field)] or models
    for found in models:
        yield from found.model_fields


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in (Union, types.UnionType, Annotated, dict, list, tuple):
        for inner in get_args(annotation):
            yield from _models(inner)
