"""Rows of the maths task: a word problem, its working, and the final answer as the last line."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from coherence.config.data import MathsData, Source
from coherence.tasks.maths.answers import MARK
from coherence.tasks.maths.rewards import correct_reward
from coherence.tasks.rows import Report, Row
from coherence.tasks.source import normalised, records, text_of
from coherence.tasks.splits import split_rows

CALCULATOR = re.compile(r"<<[^<>\n]*>>")
"""GSM8K's notes for a calculator, `<<48/2=24>>`: taken out of the working."""


def make_rows(
    config: MathsData,
    sources: dict[str, Path],
    render: Callable[[str], str],
    rng: np.random.Generator,
    report: Report,
) -> list[Row]:
    """All rows of all splits. One whose gold completion would not earn its reward is dropped and counted."""
    test = list(_read(config, config.test, sources, render, "heldout", report))
    train = list(_read(config, config.train, sources, render, "sft", report))
    return split_rows(config, train, test, rng, report)


def _read(
    config: MathsData,
    source: Source,
    sources: dict[str, Path],
    render: Callable[[str], str],
    split: str,
    report: Report,
) -> Iterator[Row]:
    for number, place, record in records(source, sources):
        question, told = (text_of(record, column, place) for column in (config.columns.question, config.columns.answer))
        working, mark, final = told.rpartition(config.answer_after) if config.answer_after else ("", "", told)
        if config.answer_after and not mark:
            report.dropped[f"{split}: no '{config.answer_after}' in the answer"] += 1
            continue
        completion = f"{CALCULATOR.sub('', working).strip()}\n" if config.worked else ""
        completion += f"{MARK} {final.strip()}"
        answer = {"final": final.strip()}
        if correct_reward(completion, answer) != 1.0:
            report.dropped[f"{split}: the gold answer is not understood"] += 1
            continue
        yield Row(
            id=str(number),
            split=split,
            family="maths",
            unit=normalised(question),
            prompt=render(config.prompt.replace("{question}", question)),
            completion=completion,
            content=((len(completion) - len(answer["final"]), len(completion)),),
            answer=answer,
        )
