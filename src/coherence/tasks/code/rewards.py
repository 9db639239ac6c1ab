"""Verifiable rewards of the code task. What runs code runs it in the sandbox, or not at all."""

import ast
import math
import re
from typing import Any

from coherence.tasks.code.guest import canonical
from coherence.tasks.code.sandbox import require_sandbox, run_calls

LONGEST = 20_000
"""Characters of a completion that is still looked at."""
FENCED = re.compile(r"\s*```(?:python)?\n(.*?)\n```\s*", re.DOTALL)


def format_reward(completion: str, answer: dict[str, Any]) -> float:
    """1 if the completion is Python, bare or in one fence, that defines what the tests call, else 0."""
    return float(_candidate(completion, answer) is not None)


def passed_reward(completion: str, answer: dict[str, Any]) -> float:
    """1 if every test passes, else 0; NaN where the sandbox did not come up. ValueError where there is none."""
    share = share_reward(completion, answer)
    return share if math.isnan(share) else float(share == 1.0)


def share_reward(completion: str, answer: dict[str, Any]) -> float:
    """Share of the tests that pass; NaN where the sandbox did not come up. ValueError where there is none."""
    require_sandbox()
    code = _candidate(completion, answer)
    if code is None:
        return 0.0
    values = run_calls(code, answer["setup"], answer["calls"])
    if values is None:
        return math.nan
    expected = [canonical(ast.literal_eval(literal)) for literal in answer["expected"]]
    return sum(value == right for value, right in zip(values, expected, strict=False)) / len(expected)


def defined_names(code: str) -> frozenset[str] | None:
    """Functions, classes and variables that a source text defines at its top; None where it is no Python."""
    if len(code) > LONGEST:
        return None
    try:
        body = ast.parse(code).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    names = {node.name for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    targets = (target for node in body if isinstance(node, ast.Assign) for target in node.targets)
    return frozenset(names | {target.id for target in targets if isinstance(target, ast.Name)})


def _candidate(completion: str, answer: dict[str, Any]) -> str | None:
    fenced = FENCED.fullmatch(completion)
    code = fenced[1] if fenced else completion
    names = defined_names(code)
    return code if names is not None and names.issuperset(answer["names"]) else None
