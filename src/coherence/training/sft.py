"""SFT that stops when it crystallizes: a windowed gate on one token class's accuracy."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerBase,
    ProcessorMixin,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from coherence.config.compute import Compute
from coherence.config.lora import Lora
from coherence.config.sft import SftConfig
from coherence.core.gate import WindowedGate
from coherence.core.resonance import envelope_steps
from coherence.models.load import completion_ids, prompt_length
from coherence.provenance.scratch import Scratch
from coherence.training.arguments import common_arguments, parts_of
from coherence.training.processes import diverged, save_trained
from coherence.training.resonance import Resonance
from coherence.training.supervised import Validation, encode_rows, make_trainer


class Cooldown:
    """Learning-rate factor: linear warm-up, constant, then to zero over `length` steps once the gate has fired.

    Without a fired gate the last `length` steps before `max_steps` cool down, so that a run always ends annealed.
    """

    def __init__(self, warmup: int, length: int, max_steps: int) -> None:
        self.warmup, self.length, self.max_steps = warmup, length, max_steps
        self.start = max_steps - length

    def fire(self, step: int) -> None:
        """The gate fired at this step: cool down from here, or go on with a cooldown that had begun."""
        self.start = min(self.start, step)

    @property
    def last_step(self) -> int:
        return self.start + self.length

    def factor(self, step: int) -> float:
        warm = min(1.0, (step + 1) / (self.warmup + 1))
        cold = 1.0 if step < self.start else max(0.0, (self.start + self.length - step) / max(self.length, 1))
        return warm * cold if self.length else warm


class GateCallback(TrainerCallback):  # type: ignore[misc]
    """Feeds the gate with one token class's accuracy; ends the run `cooldown` steps after it fires, if it may."""

    def __init__(self, gate: WindowedGate, key: str, cooldown: Cooldown, stops: bool) -> None:
        self.gate, self.key, self.cooldown, self.stops = gate, key, cooldown, stops

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        fires = self.key in (logs or {}) and self.gate.update(state.global_step, logs[self.key])  # type: ignore[index]
        if not self.stops:
            return
        if fires:
            self.cooldown.fire(state.global_step)
        if self.gate.fired_step is not None and state.global_step >= self.cooldown.last_step:
            control.should_training_stop = True

    def state_dict(self) -> dict[str, Any]:
        return {"recent": self.gate.recent, "fired_step": self.gate.fired_step, "cooldown": self.cooldown.start}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.gate.recent, self.gate.fired_step = state["recent"], state["fired_step"]
        self.cooldown.start = state["cooldown"]


def resonance_of(
    config: SftConfig,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[dict[str, Any]],
    cooldown: Cooldown,
) -> Resonance:
    """The resonance factor over the study's own schedule; its envelope from the model's width unless it is given."""
    lengths = [prompt_length(tokenizer, row) + len(completion_ids(tokenizer, row["completion"])[0]) for row in rows]
    tokens = config.batch_size * sum(lengths) / len(lengths)
    width = model.config.get_text_config().hidden_size
    return Resonance(cooldown.factor, config.resonance_steps or envelope_steps(width, tokens))


def train(
    config: SftConfig,
    compute: Compute,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[dict[str, Any]],
    folder: Path,
    seed: int,
    validation: Sequence[dict[str, Any]] = (),
    processor: ProcessorMixin | None = None,
    lora: Lora | None = None,
    scratch: Scratch | None = None,
    stop_at_gate: bool = True,
    save_model: bool = True,
) -> dict[str, Any]:
    """Fine-tune `model` in place, write metrics.jsonl and the model into `folder`, return the outcome.

    `validation` rows, where the config asks to look at them, give validation.jsonl. Images need the processor. With
    `scratch` the run can be stopped and goes on from there.

    `status` is `ok` if the gate fired, else `not_crystallized`; the saved model is the one at the last step run.
    Without `stop_at_gate` the gate is noted, and the run goes on to max_steps.
    """
    gate = WindowedGate(config.gate.threshold, config.gate.window, config.gate.count)
    cooldown = Cooldown(config.warmup_steps, config.cooldown_steps, config.max_steps)
    arguments = {
        **common_arguments(config.learning_rate, config.adam_beta2, compute, folder, seed),
        "weight_decay": config.weight_decay,
        "max_grad_norm": config.max_grad_norm,
        **parts_of(config.batch_size, compute),
        "max_steps": config.max_steps,
    }
    key = f"{config.gate.token_class}/accuracy"
    callback = GateCallback(gate, key if config.gate.split == "sft" else f"validation/{key}", cooldown, stop_at_gate)
    resonance = resonance_of(config, model, tokenizer, rows, cooldown) if config.resonance else None
    schedule = resonance.factor if resonance else cooldown.factor
    trainer = make_trainer(
        model, tokenizer, rows, arguments, schedule, folder, [callback], config.bucket, processor, lora
    )
    if resonance:
        trainer.resonate(resonance)
    if config.validate_every is not None:
        looked_at = encode_rows(tokenizer, validation, processor)
        trainer.add_callback(Validation(trainer, looked_at, config.validate_every))
    trainer.train_in(scratch)
    is_diverged = diverged(trainer)
    if save_model:
        save_trained(trainer, processor or tokenizer, folder)
    outcome = {
        "status": "ok" if gate.fired_step is not None else "not_crystallized",
        "gate_step": gate.fired_step,
        "steps": trainer.state.global_step,
        "diverged": is_diverged,
        "vocab_size": len(tokenizer),
    }
    (folder / "outcome.json").write_text(json.dumps(outcome, indent=1) + "\n", encoding="utf-8")
    return outcome
