"""A study's report as one HTML file that needs nothing beside it: no script, no font, no address."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import yaml
from markupsafe import Markup

from coherence.figures.read import Ended
from coherence.report.exhibits import Exhibit
from coherence.report.outcomes import by_arm

HASHED_FILES = ("page.html.jinja", "page.css")
HERE = Path(__file__).parent
SHORT = 16
"""Hex digits of an identity that a page shows."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """What the template is given. `contents` is the sha256 of each input, `packages` the locked versions."""

    name: str
    study: Mapping[str, Any]
    runs: Sequence[Ended]
    left_out: Sequence[str]
    exhibits: Sequence[Exhibit]
    contents: Mapping[str, str]
    packages: Mapping[str, str]
    identity: str


def render(page: Page) -> str:
    """The whole file. Every text is escaped by the template; undefined names are errors."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(HASHED_FILES[0]).render(
        page=page,
        about=about(page.study),
        arms=by_arm(page.runs),
        settings={name: spelled(value) for name, value in page.study.items()},
        configfile=f"config/{page.name}.yaml",
        short=SHORT,
        css=Markup((HERE / HASHED_FILES[1]).read_text(encoding="utf-8")),
    )


def about(study: Mapping[str, Any]) -> str:
    """What the study is, in a few sentences; an embedded one is said to be small."""
    arms, seeds = sorted(study["grpo"]["arms"]), study["seeds"]
    model = study["model"]
    told = {
        "embedded": "a Llama of {layers} layers, {hidden_size} wide, that the pipeline pre-trains itself",
        "local": "{path}",
        "hub": "{id} from the hub",
        "run": "the checkpoint {checkpoint} of the study {study}",
    }
    what = told[model["kind"]].format(**model)
    first = f"The language model is {what}; the task is {study['data']['task']}."
    steps = (
        "Supervised fine-tuning runs until the crystallization gate fires; from there GRPO trains "
        f"{_counted(arms, 'arm')} with {_counted(seeds, 'seed')}."
    )
    small = "This is an embedded study: small on purpose, made by the pipeline itself from nothing. It shows mechanisms"
    return " ".join([first, steps, *[f"{small} and does not speak for large models."] * (model["kind"] == "embedded")])


def _counted(names: Sequence[Any], noun: str) -> str:
    return f"{len(names)} {noun}{'s' * (len(names) != 1)} ({', '.join(map(str, names))})"


def spelled(value: object) -> str:
    """A setting as the config file would have it."""
    return yaml.safe_dump(value, sort_keys=True, default_flow_style=None, allow_unicode=True, width=88).rstrip("\n")
