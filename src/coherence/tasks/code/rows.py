"""Rows of the code task: a request with its first test, and a Python function that passes all of them."""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from coherence.config.data import CodeData, Source
from coherence.tasks.code.guest import canonical
from coherence.tasks.code.rewards import defined_names, passed_reward
from coherence.tasks.judge import judge
from coherence.tasks.rows import Report, Row
from coherence.tasks.source import normalised, records, text_of
from coherence.tasks.splits import split_rows


def make_rows(
    config: CodeData,
    sources: dict[str, Path],
    render: Callable[[str], str],
    rng: np.random.Generator,
    report: Report,
) -> list[Row]:
    """All rows of all splits. One whose gold code does not pass its own tests is dropped and counted.

    ValueError where there is no sandbox to run them in.
    """
    test = _passing(list(_read(config, config.test, sources, render, "heldout", report)), report)
    train = _passing(list(_read(config, config.train, sources, render, "sft", report)), report)
    return split_rows(config, train, test, rng, report)


def _passing(rows: list[Row], report: Report) -> list[Row]:
    passed = judge(passed_reward, [row.completion for row in rows], [row.answer for row in rows])
    for row, score in zip(rows, passed, strict=True):
        report.dropped[f"{row.split}: the gold code fails its own tests"] += score != 1.0
    return [row for row, score in zip(rows, passed, strict=True) if score == 1.0]


def _read(
    config: CodeData,
    source: Source,
    sources: dict[str, Path],
    render: Callable[[str], str],
    split: str,
    report: Report,
) -> Iterator[Row]:
    columns = config.columns
    for number, place, record in records(source, sources):
        request, code = (text_of(record, column, place) for column in (columns.text, columns.code))
        code = "\n".join(line.rstrip() for line in code.strip().splitlines())
        setup = text_of(record, columns.setup, place).replace("\r", "") if columns.setup else ""
        tests = _tests(record, columns.tests, place)
        pairs = [pair for pair in map(_split_test, tests) if pair]
        if not tests or len(pairs) < len(tests):
            report.dropped[f"{split}: a test is not `assert call == literal`"] += 1
            continue
        if defined_names(setup) is None:
            report.dropped[f"{split}: the setup is no Python"] += 1
            continue
        calls, expected = map(list, zip(*pairs, strict=True))
        yield Row(
            id=str(number),
            split=split,
            family="code",
            unit=normalised(request),
            prompt=render(config.prompt.replace("{text}", request.strip()).replace("{test}", tests[0].strip())),
            completion=code,
            content=((0, len(code)),),
            answer={"names": _called(code, [setup, *calls]), "setup": setup, "calls": calls, "expected": expected},
        )


def _tests(record: dict[str, Any], column: str, place: str) -> list[str]:
    tests = record.get(column)
    if not isinstance(tests, list) or not all(isinstance(test, str) for test in tests):
        raise ValueError(f"{place}: column '{column}' must be a list of tests, each a text")
    return tests


def _split_test(test: str) -> tuple[str, str] | None:
    """`assert call == literal` as (call, literal); None for other tests: what they expect would have to go inside."""
    try:
        parsed = ast.parse(test.strip()).body
        compared = parsed[0].test if len(parsed) == 1 and isinstance(parsed[0], ast.Assert) else None
        if not isinstance(compared, ast.Compare) or [type(op) for op in compared.ops] != [ast.Eq]:
            return None
        literal = ast.unparse(compared.comparators[0])
        canonical(ast.literal_eval(literal))
    except (SyntaxError, ValueError, TypeError, OverflowError, AttributeError):
        return None
    return ast.unparse(compared.left), literal


def _called(code: str, texts: list[str]) -> list[str]:
    """The names that the code defines and the texts use."""
    used = {node.id for part in texts for node in ast.walk(ast.parse(part)) if isinstance(node, ast.Name)}
    return sorted((defined_names(code) or frozenset()) & used)
