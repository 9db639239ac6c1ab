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


def _ratio(
    what: str, measure: str, of: str, at_least: float | None = None, at_most: float | None = None, **find: str
) -> Target:
    return Target(what, {"measure": f"{measure}_ratio", "of": of, **find}, at_least=at_least, at_most=at_most)


PEERS = {"trl": "TRL's CPU pair", "reference": "reference formula", "carl-studio": "carl-studio"}


def _everybody(what: str, form: str, at_most: float, **find: str) -> list[Target]:
    """A line for each contender; ours have a target."""
    names = {"compiled": f"{what}: compiled", "eager": "  eager"} | {peer: f"  {name}" for peer, name in PEERS.items()}
    most = {"compiled": at_most, "eager": at_most}
    return [Target(told, {**find, "contender": who}, form, at_most=most.get(who)) for who, told in names.items()]


TARGETS = (
    _ratio("entropy + logp from logits: TRL's CPU pair / compiled", "logits", "trl", over="compiled", at_least=5.0),
    _ratio("  reference formula / compiled", "logits", "reference", over="compiled", at_least=3.5),
    _ratio("  carl-studio / compiled", "logits", "carl-studio", over="compiled", at_least=3.5),
    _ratio("  TRL's CPU pair / eager", "logits", "trl", over="eager"),
    _ratio("  reference formula / eager", "logits", "reference", over="eager"),
    _ratio("from hidden states: TRL's fused head / compiled", "hidden", "trl", over="compiled", at_least=1.0),
    _ratio("  compiled / matrix product alone", "hidden", "compiled", over="gemm", at_most=1.06),
    _ratio("  TRL's fused head / eager", "hidden", "trl", over="eager", at_least=1.0),
    _ratio("  eager / matrix product alone", "hidden", "eager", over="gemm"),
    *_everybody("extra memory / logits", "{value:.3f}", 0.02, measure="memory"),
    *_everybody("largest error of Phi, float32 logits", "{value:.1e}", 2e-7, measure="phi_error", case="float32"),
    *_everybody("largest error of Phi, bfloat16 logits", "{value:.1e}", 2e-7, measure="phi_error", case="bfloat16"),
    *_everybody("largest error of Phi, half of V masked", "{value:.1e}", 2e-7, measure="phi_error", case="masked"),
    *_everybody("threshold events flipped, bfloat16", "{value} of {of}", 0, measure="events_flipped"),
    _ratio("composite of [64, 512]: loops over completions / ours", "composite", "loops", case="full", at_least=25.0),
    _ratio("  carl-studio's traces / ours", "composite", "carl-studio", case="full"),
    _ratio("  loops / ours, lengths 2..512", "composite", "loops", case="ragged"),
    _ratio("  carl-studio's traces / ours, lengths 2..512", "composite", "carl-studio", case="ragged"),
    Target(
        "  largest difference from the loops",
        {"measure": "composite_ratio", "of": "loops", "case": "ragged"},
        "{off:.1e}",
        at_most=1e-12,
        key="off",
    ),
    _ratio("GRPO step, CARL / task only: TRL already scores", "grpo", "TRL already scores", at_most=1.05),
    _ratio("  recorder at generation", "grpo", "recorder", at_most=1.03),
    _ratio("  one batched pass", "grpo", "one batched pass", at_most=1.15),
    _ratio("  one forward per completion (the reference's way)", "grpo", "one forward per completion"),
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
