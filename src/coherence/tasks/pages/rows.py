"""Rows of clicks on pages, from demonstrations that one click solved, with columns named by the config."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from coherence.config.data import PagesData
from coherence.tasks.pages.copies import copy, vocabulary
from coherence.tasks.pages.page import Element, Page, outward, seen, write_click, write_prompt
from coherence.tasks.rows import Report, Row, drop_long
from coherence.tasks.source import normalised, records, text_of

Demonstration = tuple[int, str, Page]
"""Number in the source, task, page."""


def make_rows(
    config: PagesData,
    sources: dict[str, Path],
    render: Callable[[str], str],
    count_tokens: Callable[[Row], int],
    rng: np.random.Generator,
    report: Report,
) -> list[Row]:
    """All rows of all splits that fit. What shares an instruction shares a split; copies are of trained rows only."""
    found = list(_read(config, sources, report))
    split_of = _split(found, config, rng)
    made = [_row(str(number), split_of, task, page, render) for number, task, page in found]
    rows = drop_long(made, count_tokens, config.max_tokens, report)
    sft = [row for row in rows if row.split == "sft"]
    pages = {str(number): page for number, _, page in found}
    words = vocabulary([pages[row.id] for row in sft])
    copies = [
        _row(f"{row.id}+{number}", split_of, row.family, copy(pages[row.id], words, rng), render)
        for row in sft
        for number in range(1, config.copies + 1)
    ]
    allowed = [row for row in copies if row.split == "sft"]
    report.dropped["sft: copy asks what another split asks"] += len(copies) - len(allowed)
    fitting = drop_long(allowed, count_tokens, config.max_tokens, Report())
    report.dropped[f"sft: copy over {config.max_tokens} tokens"] += len(allowed) - len(fitting)
    return [*rows, *(replace(row, split="grpo") for row in sft), *fitting]


def _split(found: Sequence[Demonstration], config: PagesData, rng: np.random.Generator) -> dict[str, str]:
    """The split of each instruction, drawn within each task, so that every kind of page that is asked was trained on.

    An instruction of several tasks counts for the first; a task of very few instructions is only trained on.
    """
    task_of: dict[str, str] = {}
    for _, task, page in found:
        task_of.setdefault(normalised(page.instruction), task)
    splits = dict.fromkeys(task_of, "sft")
    for task in sorted(set(task_of.values())):
        units = sorted(unit for unit in task_of if task_of[unit] == task)
        order = [units[i] for i in rng.permutation(len(units))]
        test, validation = (round(share * len(units)) for share in (config.test_share, config.validation_share))
        splits |= dict.fromkeys(order[:test], "heldout") | dict.fromkeys(order[test : test + validation], "validation")
    return splits


def _row(name: str, split_of: Mapping[str, str], task: str, page: Page, render: Callable[[str], str]) -> Row:
    """The row of a page, in the split of its instruction; one that no demonstration has is trained on."""
    target, unit = page.elements[page.target], normalised(page.instruction)
    completion, content = write_click(target.label, target.centre)
    return Row(
        id=name,
        split=split_of.get(unit, "sft"),
        family=task,
        unit=unit,
        prompt=render(write_prompt(page)),
        completion=completion,
        content=content,
        answer={
            "box": list(target.box),
            "point": list(target.centre),
            "elements": [[element.label, *element.centre] for element in page.elements],
        },
    )


def _read(config: PagesData, sources: dict[str, Path], report: Report) -> Iterator[Demonstration]:
    columns = config.columns
    for number, place, record in records(config.source, sources):
        instruction, task = (text_of(record, column, place) for column in (columns.instruction, columns.task))
        elements = _elements(record.get(columns.elements), f"{place}, column '{columns.elements}'")
        click = _numbers(record.get(columns.click), 2, f"{place}, column '{columns.click}'")
        target = record.get(columns.target)
        if target is None:
            report.dropped["no target"] += 1
            continue
        if not isinstance(target, int) or not 0 <= target < len(elements):
            raise ValueError(f"{place}, column '{columns.target}': not the number of an element (got {target!r})")
        left, top, right, bottom = elements[target].box
        page = seen(instruction, elements, target)
        if not (left <= click[0] <= right and top <= click[1] <= bottom):
            report.dropped["click outside its target"] += 1
        elif page is None:
            report.dropped["target out of sight"] += 1
        else:
            yield number, task, page


def _elements(value: Any, place: str) -> list[Element]:
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise ValueError(f"{place}: a list of objects is expected")
    return [_element(item, f"{place}, element {number}") for number, item in enumerate(value)]


def _element(item: dict[str, Any], place: str) -> Element:
    """Its words are its text, else its class, else its tag."""
    said = [" ".join(str(item.get(key) or "").split()) for key in ("text", "class", "tag")]
    if not any(said):
        raise ValueError(f"{place}: it has neither text nor class nor tag")
    words = next(filter(None, said))
    left, top, width, height = _numbers(item.get("box"), 4, f"{place}, 'box'")
    return Element(words, outward(left, top, width, height))


def _numbers(value: Any, length: int, place: str) -> Sequence[float]:
    if not isinstance(value, list) or len(value) != length:
        raise ValueError(f"{place}: {length} numbers are expected (got {value!r})")
    if not all(isinstance(part, int | float) and math.isfinite(part) for part in value):
        raise ValueError(f"{place}: {length} numbers are expected (got {value!r})")
    return value
