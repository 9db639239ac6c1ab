"""What a few lines without a model score on the held-out rows: the ground that a trained model must leave."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd

from coherence.tasks.grounding.layout import call
from coherence.tasks.judge import judge
from coherence.tasks.pages.baseline import named_element
from coherence.tasks.pages.page import write_click
from coherence.tasks.rewards import STRICT, TASK_REWARDS
from coherence.tasks.tools.baseline import fill_from_lexicon

Rows = Sequence[Mapping[str, Any]]
Guess = list[str]
"""Completions of one row, all equally likely: more than one where a baseline draws lots."""


def majority(train: Rows, heldout: Rows) -> list[Guess]:
    """The completion that is most frequent in training, every time."""
    counts = Counter(row["completion"] for row in train)
    best = max(counts, key=lambda text: (counts[text], text))
    return [[best]] * len(heldout)


def nearest(train: Rows, heldout: Rows) -> list[Guess]:
    """The completion of the training row whose prompt is most similar: cosine of TF-IDF weighted words."""
    return [[train[i]["completion"]] for i in nearest_rows(train, heldout)]


def nearest_rows(train: Rows, heldout: Rows) -> list[int]:
    """For each held-out row the number of the training row with the most similar prompt; the first one of equals."""
    bags = [Counter(words(row["prompt"])) for row in train]
    known = Counter(word for bag in bags for word in bag)
    weight = {word: math.log(len(train) / n) for word, n in known.items() if n < len(train)}
    norms = [math.hypot(*(n * weight.get(word, 0.0) for word, n in bag.items())) or 1.0 for bag in bags]
    holders: defaultdict[str, list[int]] = defaultdict(list)
    for i, bag in enumerate(bags):
        for word in bag.keys() & weight.keys():
            holders[word].append(i)
    shares = {word: [bags[i][word] * weight[word] / norms[i] for i in rows] for word, rows in holders.items()}
    postings = {word: (np.array(holders[word]), np.array(shares[word]) * weight[word]) for word in holders}
    nearest = []
    for row in heldout:
        scores = np.zeros(len(train))
        for word, n in Counter(words(row["prompt"])).items():
            if word in postings:
                scores[postings[word][0]] += n * postings[word][1]
        nearest.append(int(scores.argmax()))
    return nearest


def words(text: str) -> list[str]:
    """Lower-case words, punctuation apart from them left out."""
    return "".join(c if c.isalnum() else " " for c in text.lower()).split()


def lexicon(train: Rows, heldout: Rows) -> list[Guess]:
    """Tool calls: the tool of the nearest request, with every known value of its arguments that the request holds."""
    tools = [train[i]["answer"]["name"] for i in nearest_rows(train, heldout)]
    calls = fill_from_lexicon([row["answer"] for row in train], tools, [row["prompt"] for row in heldout])
    return [[call] for call in calls]


def any_element(train: Rows, heldout: Rows) -> list[Guess]:
    """Pages: each of the elements that are shown, all equally likely."""
    return [[write_click(label, (x, y))[0] for label, x, y in row["answer"]["elements"]] for row in heldout]


def first_element(train: Rows, heldout: Rows) -> list[Guess]:
    """Pages: the first element that is shown."""
    return [clicks[:1] for clicks in any_element(train, heldout)]


def string_match(train: Rows, heldout: Rows) -> list[Guess]:
    """Pages: the element whose label stands in the instruction."""
    numbers = [named_element([e[0] for e in row["answer"]["elements"]], row["unit"]) for row in heldout]
    return [[clicks[i]] for i, clicks in zip(numbers, any_element(train, heldout), strict=True)]


def middle(train: Rows, heldout: Rows) -> list[Guess]:
    """Screens: the middle of the image."""
    return [[call(500, 500)[0]]] * len(heldout)


BASELINES: dict[str, dict[str, Callable[[Rows, Rows], list[Guess]]]] = {
    "grounding": {"majority": majority, "nearest": nearest},
    "tools": {"majority": majority, "nearest": nearest, "lexicon": lexicon},
    "maths": {"majority": majority, "nearest": nearest},
    "code": {"majority": majority, "nearest": nearest},
    "pages": {
        "majority": majority,
        "nearest": nearest,
        "any": any_element,
        "first": first_element,
        "string_match": string_match,
    },
    "screens": {"majority": majority, "nearest": nearest, "middle": middle},
}
"""Per task: name -> guesses of the held-out rows, from the training rows."""


def score_baselines(task: str, train: Rows, heldout: Rows) -> pd.DataFrame:
    """One row per baseline and held-out row: completion (none where lots are drawn), the task's rewards and `strict`,
    which are expectations over equally likely completions (so `strict` may be a fraction), family."""
    tables = []
    for name, guess in BASELINES[task].items():
        guesses = guess(train, heldout)
        table = pd.DataFrame({"baseline": name, "id": [row["id"] for row in heldout]})
        table["completion"] = [texts[0] if len(texts) == 1 else None for texts in guesses]
        table["family"] = [row["family"] for row in heldout]
        pairs = [(text, row["answer"]) for texts, row in zip(guesses, heldout, strict=True) for text in texts]
        for reward, function in TASK_REWARDS[task].items():
            scores = iter(judge(function, *map(list, zip(*pairs, strict=True))))
            table[reward] = [fmean(next(scores) for _ in texts) for texts in guesses]
        table["strict"] = table[STRICT[task]]
        tables.append(table)
    return pd.concat(tables, ignore_index=True)
