"""Copies of a trained page that ask the same with other words at other places, so that reading is what can be learnt.

A page that names its target is made anew: the target's words change places with those of another element, and then
all words of the page and the instruction are swapped for others. On other pages words may mean something.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from coherence.tasks.pages.page import BOTTOM, TOP, WIDTH, Page

SHIFT = 12
"""Pixels by which a page moves at most, in x and in y."""
WORD = re.compile(r"[^\W\d_]{2,}")


def vocabulary(pages: Sequence[Page]) -> list[str]:
    """The words of the elements, in lower case."""
    return sorted({word.lower() for page in pages for element in page.elements for word in WORD.findall(element.words)})


def copy(page: Page, words: Sequence[str], rng: np.random.Generator) -> Page:
    """One copy; `words` are those to draw from."""
    page = shifted(page, rng)
    return swapped(exchanged(page, rng), words, rng) if names_target(page) else page


def names_target(page: Page) -> bool:
    """Whether the instruction holds all words of the target, and no other element has the same."""
    words = page.elements[page.target].words.lower()
    alone = [element.words.lower() for element in page.elements].count(words) == 1
    return alone and bool(re.search(rf"(?<!\w){re.escape(words)}(?!\w)", page.instruction.lower()))


def shifted(page: Page, rng: np.random.Generator) -> Page:
    """All elements moved alike, none of them off the page."""
    xs, ys = zip(*(element.centre for element in page.elements), strict=True)
    x = rng.integers(max(-SHIFT, -min(xs)), min(SHIFT, WIDTH - 1 - max(xs)) + 1)
    y = rng.integers(max(-SHIFT, TOP - min(ys)), min(SHIFT, BOTTOM - 1 - max(ys)) + 1)
    return replace(page, elements=tuple(element.moved(int(x), int(y)) for element in page.elements))


def exchanged(page: Page, rng: np.random.Generator) -> Page:
    """The target's words change places with another element's (or stay), and the target goes with them."""
    elements, old, new = list(page.elements), page.target, int(rng.integers(len(page.elements)))
    elements[old] = replace(page.elements[old], words=page.elements[new].words)
    elements[new] = replace(page.elements[new], words=page.elements[old].words)
    return replace(page, elements=tuple(elements), target=new)


def swapped(page: Page, words: Sequence[str], rng: np.random.Generator) -> Page:
    """Every word of the elements becomes another, the same one wherever it stands, in the instruction too."""
    old = vocabulary([page])
    new = rng.choice(len(words), size=len(old), replace=False)
    table = {word: words[i] for word, i in zip(old, new, strict=True)}

    def swap(text: str) -> str:
        return WORD.sub(lambda match: _in_case(match[0], table.get(match[0].lower())), text)

    elements = tuple(replace(element, words=swap(element.words)) for element in page.elements)
    return replace(page, instruction=swap(page.instruction), elements=elements)


def _in_case(old: str, new: str | None) -> str:
    """The new word, if there is one, in upper and lower case as the old one."""
    if new is None:
        return old
    return new.upper() if old.isupper() else new.title() if old[0].isupper() else new
