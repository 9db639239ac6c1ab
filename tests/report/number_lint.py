"""Finds measured numbers that a person has typed into a document."""

import json
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from repository import REPO

from coherence.report.blocks import without

FENCE = re.compile(r"^ *```.*?^ *```", re.DOTALL | re.MULTILINE)
CODE = re.compile(r"`[^`\n]*[A-Za-z/_][^`\n]*`")
"""Inline code; a bare number in backticks is still a number."""
COMMAND = re.compile(r"`(?:\.venv/bin/)?(?:make|pip|pytest|python|snakemake) ")
DECIMAL = re.compile(r"(?<!\w)\.\d|\d\.\d")
TENS = "twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|thousand"
WORD = rf"(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|{TENS})"
TIME = r"ms|s|seconds?|min|minutes?|hours?|h"
UNIT = rf"(?:[\s-]?(?:%|(?:percent|points?|x|times|fold|{TIME}|steps?|seeds?|prompts?|[kMG]i?B|nats?|bits?)\b))"
NUMBER = re.compile(
    rf"(?<![\w.,/])[-+]?(?:\d*\.\d+(?:e[-+]?\d+)?|\d+e[-+]?\d+|\d{{1,3}}(?:,\d{{3}})+|\d{{3,}}){UNIT}?(?![\w/])"
    rf"|(?<![\w.,])\d+{UNIT}"
    r"|\bsteps? \d+"
    rf"|(?<![\w.,/])(?:\d+|{WORD}) (?:out )?of (?:the |its |all )?(?:\d+|{WORD})(?!\w)"
    rf"|\b(?:{WORD}[\s-]?(?:percent|points|times|fold|{TIME})|an? (?:second|minute|hour))\b",
    re.IGNORECASE,
)
"""A decimal, a number of three digits or more, any number with a unit or a count, `step N`, `N of M`; in words those
that people use of measurements."""
CITED = re.compile(r"\[vectors?\s([^\]]+)\]")
VECTORS = ("carl_vectors.json", "carl_vectors_more.json", "carl_vectors_030.json")


class Typed(NamedTuple):
    """A number where none should be typed."""

    line: int
    number: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.number}"


def typed_numbers(text: str, allowed: Mapping[str, str]) -> list[Typed]:
    """Numbers outside generated blocks, fences and code that are neither allowed (text -> reason) nor in a recorded
    vector that their paragraph, list item or table row cites."""
    for words in allowed:
        text = text.replace(words, _blank(words))
    text = CITED.sub(lambda cite: cite[0].replace("`", " "), without(text))  # their names are looked up
    text = CODE.sub(_code, FENCE.sub(lambda match: _blank(match[0]), text))
    return [typed for start, part in passages(text) for typed in _in_passage(start, part)]


def _code(match: re.Match[str]) -> str:
    """Nothing of a name, a command or an expression; a text with a decimal is text, backticks or not."""
    said = DECIMAL.search(match[0]) and " " in match[0] and not COMMAND.match(match[0])
    return match[0].replace("`", " ") if said else _blank(match[0])


def passages(text: str) -> Iterator[tuple[int, str]]:
    """(first line, text) of each paragraph, list item and table row."""
    start, part = 1, list[str]()
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or re.match(r" *([-*|]|\d+\.) ?", line):
            yield start, "\n".join(part)
            start, part = number, []
        part.append(line)
    yield start, "\n".join(part)


def _in_passage(start: int, text: str) -> Iterator[Typed]:
    cited = [name for match in CITED.finditer(text) for name in re.findall(r"[\w-]+", match[1])]
    known = [value for name in cited for value in recorded(name)]
    for match in NUMBER.finditer(CITED.sub(lambda cite: _blank(cite[0]), text)):
        if not any(_is_rounded(match[0], value) for value in known):
            yield Typed(start + text[: match.start()].count("\n"), match[0].strip())


def _is_rounded(number: str, value: float) -> bool:
    try:
        shown = Decimal(number.replace(",", "").strip())
    except ArithmeticError:  # it has a unit
        return False
    exponent = shown.as_tuple().exponent
    return isinstance(exponent, int) and abs(float(shown) - value) <= 0.5000001 * 10.0**exponent


def recorded(name: str) -> list[float]:
    """All numbers of one recorded vector."""
    files = [json.loads((REPO / "tests/rewards" / file).read_text())["vectors"] for file in VECTORS]
    return [number for vectors in files for vector in vectors if vector["id"] == name for number in _numbers(vector)]


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _numbers(inner)
    elif isinstance(value, int | float):
        yield float(value)


def _blank(text: str) -> str:
    """As many lines, nothing in them."""
    return re.sub(r"[^\n]", " ", text)


def documents(root: Path = REPO) -> list[Path]:
    """README and docs; LOG.md is a dated record and may hold what was measured then."""
    return [root / "README.md", *sorted(path for path in (root / "docs").glob("*.md") if path.name != "LOG.md")]
