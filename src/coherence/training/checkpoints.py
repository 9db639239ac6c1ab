"""Exact stop and resume: all that a trainer takes from one optimizer step into the next, as safetensors and JSON.

transformers' own checkpoints are pickles, and lack what callbacks and TRL remember. Its Trainer still does the rest: it
calls the four private methods overridden here where a state is to be saved or loaded. Weights that do not train
are not saved: a run loads them where it got them.
"""

import dataclasses
import json
import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from accelerate.utils import gather_object
from safetensors import SafetensorError
from safetensors.torch import load, save_file
from transformers import Trainer, TrainerCallback

from coherence.console import one_line, progress
from coherence.provenance.scratch import Scratch

INTERVAL_S = 60.0
SHARE = 0.02
"""Saving takes at most this share of the time: where a state is large, the interval grows."""
TENSOR = "<tensor>"
STOPS = (signal.SIGTERM, signal.SIGINT)


@runtime_checkable
class Stateful(Protocol):
    """What a callback or trainer has that remembers something: plain JSON values and tensors, in and out."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class SaveAndStop(TrainerCallback):  # type: ignore[misc]
    """Asks for a save after a step when it is time or a signal has come; after a signal the process ends there."""

    def __init__(self, scratch: Scratch) -> None:
        self.scratch = scratch
        self.signal: int | None = None
        self.due = time.monotonic() + INTERVAL_S

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.scratch.check()
        asked = gather_object([(self.signal, time.monotonic() >= self.due)])  # of all processes: one answer for all
        self.signal = next((number for number, _ in asked if number), None)
        control.should_save = self.signal is not None or asked[0][1]

    def save(self, step: int, state: dict[str, Any], trainer_state: Any) -> None:
        """Write the state of a step. What the disk refuses is said, and the run goes on."""
        began = time.monotonic()
        try:
            with self.scratch.step(step) as folder:
                write_state(folder, state)
                trainer_state.save_to_json(str(folder / "trainer_state.json"))
        except (OSError, SafetensorError) as error:
            progress(f"warning: the state of step {step} cannot be saved: {one_line(error)}")
        now = time.monotonic()
        self.due = now + max(INTERVAL_S, (now - began) / SHARE)

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        control.should_save = False  # Trainer would save again at the end of the epoch
        if self.signal is not None and not control.should_training_stop:
            name, last = signal.Signals(self.signal).name, self.scratch.last()
            kept = f"state: {self.scratch.shown(last)}" if last else "no state could be saved"
            progress(f"stopped by {name} after step {state.global_step}; {kept}; the same command goes on from there")
            raise SystemExit(128 + self.signal)


class Resumable(Trainer):  # type: ignore[misc]
    """A Trainer that can be stopped after any step, and goes on as if it had not been: the same bits on a CPU.

    Put it before TRL's trainer among the bases. Callbacks and trainers that are `Stateful` are saved and loaded too.
    Not for FSDP and DeepSpeed, whose processes hold parts of the weights.
    """

    saver: SaveAndStop | None = None
    _saved: dict[str, Any]

    def train_in(self, scratch: Scratch | None) -> None:
        """train(), from the last state in `scratch` where there is one; SystemExit after SIGTERM or SIGINT."""
        if scratch is None or self.is_fsdp_enabled or self.is_deepspeed_enabled:
            if scratch is not None and scratch.other is not None:
                raise ValueError("resume_from: a run whose processes hold parts of the weights saves no states")
            self.train()
            return
        start = scratch.start()
        self.saver = SaveAndStop(scratch)
        self.add_callback(self.saver)
        with stopping(self.saver):
            self.train(resume_from_checkpoint=str(start) if start else None)

    def _stateful(self) -> dict[str, Stateful]:
        found = {type(part).__name__: part for part in (self, *self.callback_handler.callbacks)}
        return {name: part for name, part in found.items() if isinstance(part, Stateful)}

    def _trained(self) -> dict[str, torch.nn.Parameter]:
        return {name: weight for name, weight in self.model.named_parameters() if weight.requires_grad}

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        assert self.saver is not None
        if self.control.should_training_stop:
            return  # the run is over; going on from here would train one step more
        own = {name: part.state_dict() for name, part in self._stateful().items()}
        processes = gather_object([{"random": random_state(), "parts": own}])
        if self.is_world_process_zero():
            state = {
                "weights": self._trained(),
                "optimizer": self.optimizer.state_dict()["state"],
                "tokens": self._total_train_tokens,
                "processes": processes,
            }
            self.saver.save(self.state.global_step, state, dataclasses.replace(self.state, log_history=[]))
        self.accelerator.wait_for_everyone()

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        self._saved = read_state(Path(resume_from_checkpoint))
        saved, trained = self._saved["weights"], self._trained()
        for name in sorted(saved.keys() | trained.keys()):
            if name not in saved or name not in trained or saved[name].shape != trained[name].shape:
                raise ValueError(f"{resume_from_checkpoint} is the state of a model of other shapes ({name} differs)")
        with torch.no_grad():
            for name, weight in trained.items():
                weight.copy_(saved[name])
        if len(self._saved["processes"]) != self.args.world_size:
            raise ValueError(
                f"{resume_from_checkpoint} is the state of {len(self._saved['processes'])} processes,"
                f" not of {self.args.world_size}"
            )
        self._total_train_tokens = self._saved["tokens"]
        own = self._saved["processes"][self.args.process_index]["parts"]
        for name, part in self._stateful().items():
            if name in own:
                part.load_state_dict(own[name])

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is None:
            return
        moments = {int(index): state for index, state in self._saved["optimizer"].items()}
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": moments})
        step, schedule = self.state.global_step, self.lr_scheduler
        rates = [base * factor(step) for base, factor in zip(schedule.base_lrs, schedule.lr_lambdas, strict=True)]
        schedule.last_epoch, schedule._step_count, schedule._last_lr = step, step + 1, rates
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate

    def _load_rng_state(self, checkpoint: str | None) -> None:
        if checkpoint is not None:
            set_random_state(self._saved["processes"][self.args.process_index]["random"])
            self._saved = {}  # this comes last, and once


@contextmanager
def stopping(saver: SaveAndStop) -> Iterator[None]:
    """SIGTERM and SIGINT in the block are noted, and end nothing by themselves."""

    def note(number: int, frame: Any) -> None:
        saver.signal = saver.signal or number

    before = {number: signal.signal(number, note) for number in STOPS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def write_state(folder: Path, state: dict[str, Any]) -> None:
    """state.json, and its tensors in state.safetensors; TypeError for what is neither JSON nor a tensor."""
    tensors: dict[str, torch.Tensor] = {}

    def put_aside(value: Any) -> dict[str, str]:
        if not isinstance(value, torch.Tensor):
            raise TypeError(f"a state holds JSON values and tensors, not {type(value).__name__}")
        name = str(len(tensors))
        tensors[name] = value.detach().to("cpu", copy=True).contiguous()  # a copy: tensors may share memory
        return {TENSOR: name}

    (folder / "state.json").write_text(json.dumps(state, default=put_aside), encoding="utf-8")
    save_file(tensors, folder / "state.safetensors")


def read_state(folder: Path) -> dict[str, Any]:
    """What write_state wrote; tuples have become lists, and keys texts."""
    tensors = load((folder / "state.safetensors").read_bytes())  # a map of the file would outlive it
    text = (folder / "state.json").read_text(encoding="utf-8")
    state = json.loads(text, object_hook=lambda value: tensors[value[TENSOR]] if TENSOR in value else value)
    return dict(state)


def random_state() -> dict[str, Any]:
    """Python's, NumPy's and torch's generators, and that of the process's GPU where there is one."""
    name, key, *rest = np.random.get_state(legacy=True)
    cuda = torch.cuda.get_rng_state() if torch.cuda.is_available() else None
    return {
        "python": random.getstate(),
        "numpy": [name, np.asarray(key).tolist(), *rest],
        "torch": torch.get_rng_state(),
        "cuda": cuda,
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Put the generators where random_state found them."""
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words), gauss))
    np.random.set_state(tuple(state["numpy"]))
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
