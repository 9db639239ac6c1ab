"""One line of metrics.jsonl per optimizer step: the record of a run, and the input of its figures."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from coherence.console import Ticker


class MetricsLog(TrainerCallback):  # type: ignore[misc]
    """Appends each training log (those with a `loss`) and shows progress; `validation/...` goes to validation.jsonl.

    NaN and infinity are written as null: a reader must not mistake them for numbers. Times are left out: the same run
    twice has the same bytes.
    """

    def __init__(self, path: Path, total: int, show: Callable[[dict[str, Any]], str]) -> None:
        self.path = path
        self.total = total
        self.show = show
        self.ticker = Ticker()

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if not logs:
            return
        seen = {key.removeprefix("validation/"): value for key, value in logs.items() if "validation/" in key}
        if seen:
            self._append(self.path.with_name("validation.jsonl"), state.global_step, seen)
        if "loss" in logs:
            self._append(self.path, state.global_step, {k: v for k, v in logs.items() if "time" not in k})
            self.ticker(state.global_step, self.total, self.show(logs))

    def state_dict(self) -> dict[str, str]:
        """What has been written so far; lines after a saved step are taken back with it."""
        paths = (self.path, self.path.with_name("validation.jsonl"))
        return {path.name: path.read_text(encoding="utf-8") for path in paths if path.is_file()}

    def load_state_dict(self, state: dict[str, str]) -> None:
        for name, text in state.items():
            self.path.with_name(name).write_text(text, encoding="utf-8")

    def _append(self, path: Path, step: int, values: dict[str, Any]) -> None:
        line = {"step": step} | {key: _finite(value) for key, value in values.items()}
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
