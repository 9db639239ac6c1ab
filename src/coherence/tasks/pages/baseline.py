"""Clicks without a model: the element that the instruction names."""

import re
from collections.abc import Sequence


def named_element(labels: Sequence[str], instruction: str) -> int:
    """The number of the longest label that stands in the instruction (whole words, upper and lower case alike), the
    first of equals; the first element where none does."""
    asked = f" {' '.join(_words(instruction))} "
    found = [(len(label), -i) for i, label in enumerate(labels) if f" {' '.join(_words(label))} " in asked]
    return -max(found)[1] if found else 0


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())
