"""The records as a table: what was measured, what is to be reached, and what falls short of it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Record = dict[str, Any]
Value = tuple[str, float]
"""What a cell shows, and the number that it is judged by."""

ABSENT: Value = ("not measured", math.nan)


@dataclass(frozen=True)
class Target:
    """One line: what, which records, what is to be reached. `at_least` or `at_most`; neither means for information."""

    what: str
    find: Record
    form: str = "{value:.2f}x"
    at_least: float | None = None
    at_most: float | None = None
    key: str = "value"

    @property
    def reach(self) -> str:
        """The target as it is printed."""
        if self.at_least is not None:
            return f">= {self.at_least:g}"
        return "" if self.at_most is None else f"<= {self.at_most:g}"

    def missed(self, number: float) -> bool:
        """Whether there is a target and the number is not within it; NaN never is."""
        if self.at_least is not None:
            return not number >= self.at_least
        return self.at_most is not None and not number <= self.at_most


def _speed(what: str, measure: str, of: str, over: str, **target: float) -> Target:
    return Target(what, {"measure": f"{measure}_ratio", "of": of, "over": over}, **target)  # type: ignore[arg-type]


def _pair(of: str, case: str) -> Record:
    return {"measure": "composite_ratio", "of": of, "case": case}


def _composite(what: str, of: str, case: str, **target: float) -> Target:
    return Target(what, _pair(of, case), **target)  # type: ignore[arg-type]


def _step(what: str, way: str, **target: float) -> Target:
    return Target(what, {"measure": "grpo_ratio", "of": way}, **target)  # type: ignore[arg-type]


def _error(what: str, case: str, contender: str, **target: float) -> Target:
    find = {"measure": "phi_error", "case": case, "contender": contender}
    return Target(what, find, "{value:.1e}", **target)  # type: ignore[arg-type]


def _memory(what: str, contender: str, **target: float) -> Target:
    find = {"measure": "memory", "contender": contender}
    return Target(what, find, "{value:.3f}", **target)  # type: ignore[arg-type]


def _flips(what: str, contender: str, **target: float) -> Target:
    find = {"measure": "events_flipped", "contender": contender}
    return Target(what, find, "{value} of {of}", **target)  # type: ignore[arg-type]


PEERS = {"trl": "TRL's CPU pair", "reference": "reference formula", "carl-studio": "carl-studio"}


def _errors(case: str, told: str) -> tuple[Target, ...]:
    return (
        _error(f"largest error of Phi, {told}: compiled", case, "compiled", at_most=2e-7),
        _error("  eager", case, "eager", at_most=2e-7),
        *(_error(f"  {name}", case, peer) for peer, name in PEERS.items()),
    )


TARGETS = (
    _speed("entropy + logp from logits: TRL's CPU pair / compiled", "logits", "trl", "compiled", at_least=5.0),
    _speed("  reference formula / compiled", "logits", "reference", "compiled", at_least=3.5),
    _speed("  carl-studio / compiled", "logits", "carl-studio", "compiled", at_least=3.5),
    _speed("  TRL's CPU pair / eager", "logits", "trl", "eager"),
    _speed("  reference formula / eager", "logits", "reference", "eager"),
    _speed("from hidden states: TRL's fused head / compiled", "hidden", "trl", "compiled", at_least=1.0),
    _speed("  compiled / matrix product alone", "hidden", "compiled", "gemm", at_most=1.06),
    _speed("  TRL's fused head / eager", "hidden", "trl", "eager", at_least=1.0),
    _speed("  eager / matrix product alone", "hidden", "eager", "gemm"),
    _memory("extra memory / logits: compiled", "compiled", at_most=0.02),
    _memory("  eager", "eager", at_most=0.02),
    *(_memory(f"  {name}", peer) for peer, name in PEERS.items()),
    *_errors("float32", "float32 logits"),
    *_errors("bfloat16", "bfloat16 logits"),
    *_errors("masked", "half of V masked"),
    _flips("threshold events flipped, bfloat16: compiled", "compiled", at_most=0),
    _flips("  eager", "eager", at_most=0),
    *(_flips(f"  {name}", peer) for peer, name in PEERS.items()),
    _composite("composite of [64, 512]: loops over completions / ours", "loops", "full", at_least=25.0),
    _composite("  carl-studio's traces / ours", "carl-studio", "full"),
    _composite("  loops / ours, lengths 2..512", "loops", "ragged"),
    _composite("  carl-studio's traces / ours, lengths 2..512", "carl-studio", "ragged"),
    Target("  largest difference from the loops", _pair("loops", "ragged"), "{off:.1e}", at_most=1e-12, key="off"),
    _step("GRPO step, CARL / task only: TRL already scores", "TRL already scores", at_most=1.05),
    _step("  recorder at generation", "recorder", at_most=1.03),
    _step("  one batched pass", "one batched pass", at_most=1.15),
    _step("  one forward per completion (the reference's way)", "one forward per completion"),
)
WIDTHS = (56, 26, 26, 10)


def lines(records: Sequence[Record], judged: bool = True) -> list[str]:
    """The table as it is printed; SHORT marks a headline number that misses its target (a quick run is not judged)."""
    head = ("", "pooled allocator", "default allocator", "reach")
    out = [_row(*head), "-" * (sum(WIDTHS) + 6)]
    for target in TARGETS:
        shown, number = _cell(target, records, "pooled")
        beside = _cell(target, records, "default")[0] if target.form.endswith("x") else ""
        mark = " SHORT" if judged and target.missed(number) else ""
        out.append(_row(target.what, shown, "" if beside == ABSENT[0] else beside, target.reach) + mark)
    return out


def short(records: Sequence[Record]) -> list[str]:
    """Names of the rows whose headline number misses its target."""
    return [t.what.strip() for t in TARGETS if t.missed(_cell(t, records, "pooled")[1])]


def _row(*cells: str) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, WIDTHS, strict=True)).rstrip()


def _cell(target: Target, records: Sequence[Record], allocator: str) -> Value:
    found = [r for r in records if _matches(target.find, r) and r.get("allocator", allocator) == allocator]
    if not found:
        return ABSENT
    record = found[0]
    number = float(record[target.key])
    if math.isnan(number):
        return ("NaN", number)
    text = target.form.format(**record)
    interval = f" [{record['low']:.2f}, {record['high']:.2f}]" if "low" in record and target.key == "value" else ""
    return (text + interval, number)


def _matches(find: Record, record: Record) -> bool:
    return all(key in record and record[key] == value for key, value in find.items())


def markdown(records: Sequence[Record]) -> str:
    """The rows that have a target as a Markdown table, headline numbers only; SHORT as in `lines`."""
    rows = ["| what | measured | target | |", "| --- | ---: | ---: | --- |"]
    for target in (target for target in TARGETS if target.reach):
        shown, number = _cell(target, records, "pooled")
        name = target.what.strip() if target.what == target.what.strip() else f"&emsp;{target.what.strip()}"
        rows.append(f"| {name} | {shown} | {target.reach} | {'SHORT' if target.missed(number) else ''} |")
    return "\n".join(rows)
