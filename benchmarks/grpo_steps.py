"""CPU time of a GRPO step, with CARL and without, in each way to get its numbers: one process per way, taking turns.

A worker trains for as long as it is asked: it reads a line, runs one generation batch with its optimizer steps, and
answers with its CPU seconds. Every completion has the same length, so that all ways do the same work.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np

from benchmarks.machine import ROOT, environment
from benchmarks.measures import Record, ratio_records, time_records
from benchmarks.rounds import take_turns

STUDY = ROOT / "config" / "default.yaml"
"""Whose model is trained, with random weights: what a step costs does not depend on them."""
Device = Literal["cpu", "cuda"]
PROMPTS = 256
MANY = 10**6
"""Steps: a worker ends when nobody asks any more."""


@dataclass(frozen=True)
class Way:
    """How a trainer is set up. source: our mixin's, `reference`, or none; steps: per generation batch."""

    source: str = ""
    steps: int = 1
    against: str = ""


WAYS = {
    "task only": Way(),
    "task only, TRL scores": Way(steps=2),
    "TRL already scores": Way("scoring", steps=2, against="task only, TRL scores"),
    "recorder": Way("generation", against="task only"),
    "one batched pass": Way("extra pass", against="task only"),
    "one forward per completion": Way("reference", against="task only"),
}
"""TRL scores the batch by itself where more than one optimizer step is made of it. The last way is the reference's."""


def grpo_records(
    rounds: int,
    completion: int,
    batch: int,
    rng: np.random.Generator,
    device: Device = "cpu",
    ways: Iterable[str] = WAYS,
) -> list[Record]:
    """Time of a step in each way over that of the same trainer with the task's reward only."""
    with ExitStack() as stack:
        workers = {name: stack.enter_context(_worker(name, completion, batch, device)) for name in ways}
        for ask in [*workers.values()] * 2:  # a first batch compiles and fills caches
            ask()
        seconds = take_turns(workers, rounds, rng)
    shape = {"completions": batch, "tokens": completion, "device": device}
    records = time_records("grpo", "pooled", seconds, shape)
    for name, way in WAYS.items():
        if way.against and name in workers:
            pair = {name: seconds[name], way.against: seconds[way.against]}
            records += ratio_records("grpo", "pooled", pair, rng, (way.against,))
    return records


@contextmanager
def _worker(way: str, completion: int, batch: int, device: Device) -> Iterator[Callable[[], float]]:
    """A process that trains one batch per call; it ends when its input does."""
    command = [sys.executable, "-m", "benchmarks.grpo_steps", json.dumps([way, completion, batch, device])]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment("pooled")
    )
    assert process.stdin and process.stdout
    try:
        yield lambda: _ask(way, process.stdin, process.stdout)  # type: ignore[arg-type]
    finally:
        process.stdin.close()
        process.terminate()
        process.wait()


def _ask(way: str, questions: IO[str], answers: IO[str]) -> float:
    try:
        questions.write("\n")
        questions.flush()
        line = answers.readline()
    except BrokenPipeError:
        line = ""
    if not line:
        raise ValueError(f"the trainer '{way}' ended before it was asked to; what it said stands above")
    return float(line)


def work(way: str, completion: int, batch: int, device: Device) -> None:
    """The worker: train until nobody asks any more. Times go to what was stdout; what others print goes to stderr."""
    answers, sys.stdout = sys.stdout, sys.stderr
    with tempfile.TemporaryDirectory() as folder:
        trainer = _trainer(WAYS[way], completion, batch, device, Path(folder))
        trainer.add_callback(_turns(WAYS[way].steps, device, answers))
        trainer.train()


def _turns(steps: int, device: Device, answers: IO[str]) -> Any:
    """Callback: wait for a line before each generation batch, tell its seconds after; stop when there is none."""
    from transformers import TrainerCallback

    class Turns(TrainerCallback):  # type: ignore[misc]
        start = 0.0

        def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step % steps == 0:
                if state.global_step:
                    print(_clock(device) - self.start, file=answers, flush=True)
                if not sys.stdin.readline():
                    raise SystemExit(0)
                self.start = _clock(device)

    return Turns()


def _clock(device: Device) -> float:
    """CPU seconds of the process; on an accelerator, seconds until it is done."""
    if device == "cpu":
        return time.process_time()
    import torch

    torch.cuda.synchronize()
    return time.perf_counter()


def _trainer(way: Way, completion: int, batch: int, device: Device, folder: Path) -> Any:
    from datasets import Dataset
    from transformers import PrinterCallback
    from trl import GRPOConfig, GRPOTrainer

    from coherence.config.compute import Compute
    from coherence.training.arguments import common_arguments
    from coherence.training.trl_seam import TokenStatisticsMixin

    model, tokenizer, prompts = _material(device)
    arguments: Mapping[str, Any] = {
        **common_arguments(1e-4, 0.999, Compute(device=device, bf16=device != "cpu"), folder, seed=0),
        "max_steps": MANY,
        "per_device_train_batch_size": batch // way.steps,
        "steps_per_generation": way.steps,
        "num_generations": min(8, batch // way.steps),
        "max_completion_length": completion,
        "generation_kwargs": {"min_new_tokens": completion},
        "logging_strategy": "no",
    }
    trainer = (GRPOTrainer if way.source in ("", "reference") else TokenStatisticsMixin)(
        model=model,
        reward_funcs=[_task_reward, *_carl_rewards(way, model, tokenizer)],
        args=GRPOConfig(**arguments),
        train_dataset=Dataset.from_list([{"prompt": prompt} for prompt in prompts]),
        processing_class=tokenizer,
    )
    trainer.remove_callback(PrinterCallback)
    trainer.source = way.source
    return trainer


def _material(device: Device) -> tuple[Any, Any, list[str]]:
    """The default study's model and tokenizer, and prompts of its prose."""
    import yaml

    from coherence.config.base import EmbeddedModel
    from coherence.models.embedded import make_llama, make_tokenizer, prose_pairs
    from coherence.models.load import quiet

    quiet()
    config = EmbeddedModel.parse(yaml.safe_load(STUDY.read_text(encoding="utf-8"))["model"], "model")
    tokenizer = make_tokenizer(config, np.random.default_rng(0))
    prompts = [question[:120] for question, _ in prose_pairs(PROMPTS, np.random.default_rng(1))]
    return make_llama(config, tokenizer, seed=0).to(device), tokenizer, prompts


def _task_reward(completions: list[str], **columns: Any) -> list[float]:
    """Something verifiable and cheap, which differs within a group."""
    return [text.count("e") / max(1, len(text)) for text in completions]


def _carl_rewards(way: Way, model: Any, tokenizer: Any) -> list[Any]:
    from coherence.training.rewards import carl_reward

    if way.source == "reference":
        return [_reference_reward(model, tokenizer)]
    return [carl_reward(len(tokenizer))] if way.source else []


def _reference_reward(model: Any, tokenizer: Any) -> Callable[..., list[float]]:
    """The reference's way: the bare text once more through the model, one completion at a time, then NumPy."""
    import torch

    from coherence.core.compat import text_rewards

    @torch.no_grad()
    def forward(ids: Any) -> Any:
        return model(torch.tensor([list(ids)], device=model.device)).logits[0].float().cpu().numpy()

    def carl(completions: list[str], **columns: Any) -> list[float]:
        return text_rewards(completions, lambda text: tokenizer(text)["input_ids"], forward)

    return carl


if __name__ == "__main__":
    work(*json.loads(sys.argv[1]))
