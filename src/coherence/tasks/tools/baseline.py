"""Tool calls without a model: known values found in the request, word for word."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from coherence.tasks.tools.calls import Arguments, write_call


def fill_from_lexicon(answers: Sequence[Mapping[str, Any]], tools: Sequence[str], queries: Sequence[str]) -> list[str]:
    """A call of each query's tool with the values that training calls of that tool have for its arguments and that
    occur in the query (whole words, upper and lower case alike): the longest first, no word used twice."""
    seen: defaultdict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    for answer in answers:
        for key, values in answer["arguments"].items():
            seen[answer["name"]].update((value.lower(), key) for value in values)
    lexicons = {name: _by_value(counts) for name, counts in seen.items()}
    return [write_call(tool, _found(lexicons[tool], query))[0] for tool, query in zip(tools, queries, strict=True)]


def _by_value(counts: Counter[tuple[str, str]]) -> dict[str, str]:
    """Each value's most frequent argument."""
    best: dict[str, str] = {}
    for (value, key), _ in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        best.setdefault(value, key)
    return best


def _found(lexicon: Mapping[str, str], query: str) -> Arguments:
    """The arguments, in the order in which their values stand in the query."""
    words = query.split()
    spans = [(i, i + size) for size in range(len(words), 0, -1) for i in range(len(words) - size + 1)]
    taken: dict[int, tuple[str, str]] = {}
    used: set[int] = set()
    for i, j in spans:
        value = " ".join(words[i:j])
        if value.lower() in lexicon and used.isdisjoint(range(i, j)):
            used.update(range(i, j))
            taken[i] = lexicon[value.lower()], value
    arguments: Arguments = {}
    for _, (key, value) in sorted(taken.items()):
        arguments.setdefault(key, []).append(value)
    return arguments
