"""Rewards and grades of carl-studio 0.3.0, one completion at a time, to reproduce its numbers.

`tasks.tools.rewards` and `tasks.grounding.rewards` are the ones to use. Not mended here: a brace inside a string ends
a call, a tool name that is no text raises TypeError, deep nesting RecursionError, endless coordinates OverflowError.
"""

import json
import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from coherence.core.compat import DEFECT_THRESHOLD

REQUIRED = {
    "read_file": {"path"}, "write_file": {"path", "content"}, "list_directory": {"path"}, "web_search": {"query"},
    "execute_code": {"code"}, "search_codebase": {"pattern"}, "run_shell": {"command"}, "git_operation": {"operation"},
}  # fmt: skip
"""The arguments that each known tool needs."""
FENCED = re.compile(r"```.*?```", re.DOTALL)
FENCED_JSON = re.compile(r"```(?:json)?\s*(.*?)\s*```", re.DOTALL)
COORDINATES = re.compile(r"\(?\s*(\d+)\s*,\s*(\d+)\s*\)?")
SCREEN = 1000.0
"""Pixels at which partial credit ends."""
Box = Sequence[float]


def format_reward(text: str) -> float:
    """R1: 0.3 an object, 0.6 with a name, 0.8 with arguments, 1 with all those that a known tool needs."""
    call = _call(text)
    if call is None:
        return 0.3 if _json(_first_braces(text)) is not None else 0.0
    arguments = call.get("arguments")
    if not isinstance(arguments, dict):
        return 0.6
    return 1.0 if call["name"] in REQUIRED and REQUIRED[call["name"]] <= arguments.keys() else 0.8


def selection_reward(text: str, expected: Sequence[str]) -> float:
    """R2: 1 for an expected tool, 0.5 for any other that is known."""
    call = _call(text)
    if call is None or call["name"] not in REQUIRED:
        return 0.0
    return 1.0 if call["name"] in expected else 0.5


def chain_reward(text: str, expected: Sequence[str], length: int) -> float:
    """R3: only the first call is seen, so a chain of several earns 0.6 at best."""
    call = _call(text)
    if length == 0 or call is None:
        return float(length == 0 and call is None)
    if call["name"] in expected:
        return 1.0 if length == 1 else 0.6
    return 0.3 if any(name in text for name in expected) else 0.0


def density_reward(text: str) -> float:
    """R4: twice the share of characters in code blocks and braces, at most 1; below 30 characters always 1."""
    if len(text) < 30:
        return float(bool(text))
    outside = FENCED.sub("", text)
    structured = len(text) - len(outside) + sum(end - start for start, end in _braces(outside))
    return min(1.0, round(2.0 * structured / len(text), 4))


def conciseness_reward(text: str) -> float:
    """R5: 1 - characters / 512: to say nothing earns most."""
    return round(max(0.0, 1.0 - len(text) / 512), 4)


def _call(text: str) -> dict[str, Any] | None:
    fenced = FENCED_JSON.search(text)
    for found in (fenced[1] if fenced else "", _first_braces(text)):
        call = _json(found)
        if isinstance(call, dict) and "name" in call:
            arguments = call.get("arguments")
            return call | {"arguments": _json(arguments)} if isinstance(arguments, str) else call
    return None


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _first_braces(text: str) -> str:
    blocks = _braces(text)
    return text[slice(*blocks[0])] if blocks and blocks[0][0] == text.find("{") else ""


def _braces(text: str) -> list[tuple[int, int]]:
    """[start, end) of the outermost balanced braces; braces in strings count."""
    opened: list[int] = []
    blocks: list[tuple[int, int]] = []
    for position, character in enumerate(text):
        if character == "{":
            opened.append(position)
        elif character == "}" and opened:
            start = opened.pop()
            while blocks and blocks[-1][0] > start:
                blocks.pop()
            blocks.append((start, position + 1))
    return blocks


def coordinates(text: str) -> tuple[int, int] | None:
    """The first two whole numbers with a comma between: (-5, 10) is read as 5, 10 and 1,000 as 1, 0."""
    match = COORDINATES.search(text)
    return (int(match[1]), int(match[2])) if match else None


def coordinate_format_reward(text: str) -> float:
    """1 for coordinates with fewer than 10 other characters, 0.6 with more; bare commas and minus signs pass."""
    if coordinates(text) is None:
        return 0.0
    return 1.0 if len(COORDINATES.sub("", text).strip()) < 10 else 0.6


def click_reward(text: str, box: Box) -> float:
    """1 inside the box, else half of what the distance earns: a model that answers (492, 544) to all earns 0.23."""
    point, (left, top, right, bottom) = coordinates(text), box
    if point and left <= point[0] <= right and top <= point[1] <= bottom:
        return 1.0
    return round(0.5 * _nearness(point, box), 4)


def precision_reward(text: str, box: Box) -> float:
    """1 - distance to the box's centre / 1000 pixels."""
    return round(_nearness(coordinates(text), box), 4)


def _nearness(point: tuple[int, int] | None, box: Box) -> float:
    left, top, right, bottom = box
    return max(0.0, 1.0 - math.dist(point, ((left + right) / 2, (top + bottom) / 2)) / SCREEN) if point else 0.0


def logprob_bonus(logprobs: npt.ArrayLike, vocab_size: int) -> float:
    """Atropos adapter: 0.6 mean P Phi + 0.4 share of jumps that go up; Phi is taken from -ln P, which is no entropy."""
    logp = np.asarray(logprobs)
    if len(logp) < 2:
        return 0.0
    phi = 1.0 + np.clip(logp / math.log(vocab_size), -1.0, 0.0)
    steps = np.diff(phi)
    jumps = steps[np.abs(steps) > DEFECT_THRESHOLD]
    rising = float((jumps > 0).mean()) if jumps.size else 0.5
    return float(np.clip(0.6 * (np.exp(logp) * phi).mean() + 0.4 * rising, 0.0, 1.0))


def pressure_profile(phi_levels: npt.ArrayLike) -> tuple[str, float]:
    """What Phi does over prompts of rising difficulty, and a number that means something else in each case."""
    levels = np.asarray(phi_levels, dtype=float)
    if not levels.size or levels.max() < 1e-6:
        return "collapse", 1.0
    shares = levels / levels.max()
    drops, lost, spread = np.diff(shares), float(1.0 - shares[-1]), float(shares.var())
    if lost > 0.75:
        return "collapse", lost
    if np.abs(shares - 1.0).max() < 0.1:
        return "plateau", float(1.0 - shares.mean())
    if drops.min() < -0.3:
        return "cliff", float(-drops.min())
    if spread > 0.05 and (np.diff(np.sign(drops)) != 0).sum() >= 2:
        return "chaotic", spread
    return ("graceful" if lost <= 0.5 else "cliff"), lost
