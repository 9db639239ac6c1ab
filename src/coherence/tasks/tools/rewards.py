"""Verifiable rewards of the tool-call task."""

from collections import Counter
from typing import Any

from coherence.tasks.tools.calls import Arguments, read_call


def format_reward(completion: str, answer: dict[str, Any]) -> float:
    """1 if the completion is exactly one well-formed call, else 0."""
    return float(read_call(completion) is not None)


def name_reward(completion: str, answer: dict[str, Any]) -> float:
    """1 if the call names the right tool, else 0."""
    call = read_call(completion)
    return float(call is not None and call[0] == answer["name"])


def exact_reward(completion: str, answer: dict[str, Any]) -> float:
    """1 if tool, keys and every value are right (order of keys free), else 0."""
    return float(read_call(completion) == (answer["name"], answer["arguments"]))


def argument_reward(completion: str, answer: dict[str, Any]) -> float:
    """F1 over (key, value) pairs; 1 when both have none; 0 where there is no call of the right tool."""
    call = read_call(completion)
    if call is None or call[0] != answer["name"]:
        return 0.0
    found, gold = _pairs(call[1]), _pairs(answer["arguments"])
    if not found and not gold:
        return 1.0
    return 2 * (found & gold).total() / (found.total() + gold.total())


def field_scores(completion: str, answer: dict[str, Any]) -> dict[str, float]:
    """For each argument of the right call, the share of its values that the completion's call has for it."""
    call = read_call(completion)
    said = call[1] if call is not None else {}
    counts = {key: (Counter(said.get(key, ())), Counter(values)) for key, values in answer["arguments"].items()}
    return {key: (found & gold).total() / gold.total() for key, (found, gold) in counts.items()}


def _pairs(arguments: Arguments) -> Counter[tuple[str, str]]:
    return Counter((key, value) for key, values in arguments.items() for value in values)
