"""Supervised training that watches the order parameter per token class; pre-training and SFT share it.

Removed on purpose: evaluation and truncation. Rows come encoded; every step is logged.
Suffixes: _BT batch x token.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import gather_object
from datasets import Dataset
from torch.optim.lr_scheduler import LambdaLR
from transformers import PreTrainedModel, PreTrainedTokenizerBase, PrinterCallback, ProcessorMixin, TrainerCallback
from trl import SFTConfig as TrlSftConfig
from trl import SFTTrainer

from coherence.config.lora import Lora
from coherence.models.load import completion_ids, prompt_ids
from coherence.models.vision import show
from coherence.streams import generator
from coherence.tasks.images import open_rows
from coherence.training.checkpoints import Resumable
from coherence.training.metrics import MetricsLog
from coherence.training.processes import adapters, shard_layer_by_layer
from coherence.training.resonance import Resonance

PROMPT, FORMAT, CONTENT = 0, 1, 2
"""Token classes. Format: everything of a completion that its content spans do not touch, its end token too."""
CLASSES = {"all": (FORMAT, CONTENT), "format": (FORMAT,), "content": (CONTENT,)}


def encode_row(
    tokenizer: PreTrainedTokenizerBase, row: Mapping[str, Any], prompt: list[int] | None = None
) -> dict[str, list[int]]:
    """input_ids, labels (-100 on the prompt) and token_class of one row, all of the same length; `prompt` if its ids
    are known."""
    prompt = prompt_ids(tokenizer, row["prompt"]) if prompt is None else prompt
    completion, spans = completion_ids(tokenizer, row["completion"])
    classes = [CONTENT if any(a < end and start < b for start, end in row["content"]) else FORMAT for a, b in spans]
    return {
        "input_ids": prompt + completion,
        "labels": [-100] * len(prompt) + completion,
        "token_class": [PROMPT] * len(prompt) + classes,
    }


def collate(examples: Sequence[dict[str, list[int]]], pad_id: int) -> dict[str, torch.Tensor]:
    """Right-padded batch of encoded rows."""
    length = max(len(example["input_ids"]) for example in examples)
    filling = {"input_ids": pad_id, "labels": -100, "token_class": PROMPT}
    batch = {
        key: torch.tensor([example[key] + [fill] * (length - len(example[key])) for example in examples])
        for key, fill in filling.items()
    }
    lengths = torch.tensor([len(example["input_ids"]) for example in examples])
    batch["attention_mask"] = (torch.arange(length) < lengths[:, None]).long()
    return batch


def collate_images(examples: Sequence[Mapping[str, Any]], processor: ProcessorMixin) -> dict[str, torch.Tensor]:
    """The same of rows with images, which are opened here, with the pixels."""
    tokenizer = processor.tokenizer
    shown = show(processor, [row["prompt"] for row in examples], open_rows(examples))
    encoded = [encode_row(tokenizer, row, ids) for row, ids in zip(examples, shown.ids, strict=True)]
    batch = collate(encoded, tokenizer.pad_token_id)
    ids_BT = batch["input_ids"]
    return batch | shown.inputs([0] * len(encoded), ids_BT.shape[1], ids_BT.device)


KEPT = ("prompt", "completion", "content", "image_path", "image_sha256", "prompt_tokens")
"""Of a row with an image, which is encoded when it is needed."""


def encode_rows(
    tokenizer: PreTrainedTokenizerBase, rows: Sequence[Mapping[str, Any]], processor: ProcessorMixin | None
) -> list[dict[str, Any]]:
    """What the trainer's batches are made of."""
    if processor is not None:
        return [{name: row[name] for name in KEPT} for row in rows]
    return [encode_row(tokenizer, row) for row in rows]


class CoherenceSftTrainer(Resumable, SFTTrainer):  # type: ignore[misc]
    """SFTTrainer that logs accuracy, entropy and Phi per token class, from the training forward's own outputs."""

    resonance: Resonance | None = None

    def __init__(self, *args: Any, schedule: Callable[[int], float], vocab_size: int, **kwargs: Any) -> None:
        self.schedule = schedule
        self.log_vocab = math.log(vocab_size)
        self.sums: defaultdict[str, float] = defaultdict(float)
        super().__init__(*args, **kwargs)

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        token_class_BT = inputs.pop("token_class")
        with captured_outputs(self.model) as seen:
            loss = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        self._accumulate(seen[0], token_class_BT[:, 1:])  # the fused head's position t predicts token t + 1
        return loss

    @torch.no_grad()
    def validate(self, rows: Sequence[dict[str, Any]]) -> None:
        """Log the same metrics of encoded rows that are not trained on, as `validation/...`."""
        self.model.eval()
        training, self.sums = self.sums, defaultdict(float)
        size = self.args.per_device_train_batch_size
        for first in range(0, len(rows), size):
            self.compute_loss(self.model, self._prepare_inputs(self.data_collator(rows[first : first + size])))
        metrics = {f"validation/{name}": value for name, value in self._class_metrics().items()}
        self.sums = training
        self.log(metrics)
        self.model.train()

    def resonate(self, resonance: Resonance) -> None:
        """Let it see each training batch, and log the multiplier of each step."""
        self.resonance, resonance.gather = resonance, gather_object
        self.add_callback(resonance)

    def _accumulate(self, outputs: Any, token_class_BT: torch.Tensor) -> None:
        if self.resonance is not None and self.model.training:
            self.resonance.see(1.0 - outputs.entropy.detach() / self.log_vocab, token_class_BT != PROMPT)
        for name, members in CLASSES.items():
            mask_BT = torch.isin(token_class_BT, torch.tensor(members, device=token_class_BT.device))
            self.sums[f"{name}/n"] += int(mask_BT.sum())
            self.sums[f"{name}/correct"] += float(outputs.is_top1[mask_BT].sum())
            self.sums[f"{name}/entropy"] += float(outputs.entropy.detach()[mask_BT].double().sum())

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" in logs:
            logs |= self._class_metrics()
            self.sums.clear()
            if self.resonance is not None:
                logs["resonance/multiplier"] = self.resonance.applied
        super().log(logs, start_time)

    def _class_metrics(self) -> dict[str, float]:
        metrics = {}
        keys = [f"{name}/{what}" for name in CLASSES for what in ("n", "correct", "entropy")]
        local = torch.tensor([self.sums[key] for key in keys], dtype=torch.float64, device=self.accelerator.device)
        sums = dict(zip(keys, self.accelerator.reduce(local, reduction="sum").tolist(), strict=True))
        for name in CLASSES:
            n = sums[f"{name}/n"]
            if n:
                entropy = sums[f"{name}/entropy"] / n
                metrics[f"{name}/accuracy"] = sums[f"{name}/correct"] / n
                metrics[f"{name}/entropy"] = entropy
                metrics[f"{name}/entropy_share"] = entropy / self.log_vocab
                metrics[f"{name}/phi"] = 1.0 - entropy / self.log_vocab
        return metrics

    def create_scheduler(self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None) -> LambdaLR:
        self.lr_scheduler = LambdaLR(optimizer or self.optimizer, self.schedule)
        return self.lr_scheduler


@contextmanager
def captured_outputs(model: torch.nn.Module) -> Iterator[list[Any]]:
    """The outputs of every forward of `model` inside the block: the fused head's statistics, for no extra forward."""
    seen: list[Any] = []
    handle = model.register_forward_hook(lambda module, args, output: seen.append(output))
    try:
        yield seen
    finally:
        handle.remove()


class Validation(TrainerCallback):  # type: ignore[misc]
    """Has the trainer validate after the log of every so many steps, and of its last one."""

    def __init__(self, trainer: CoherenceSftTrainer, rows: Sequence[dict[str, Any]], every: int) -> None:
        self.trainer, self.rows, self.every = trainer, rows, every

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], **kwargs: Any) -> None:
        due = state.global_step % self.every == 0 or state.global_step == state.max_steps
        if due and "loss" in logs:
            self.trainer.validate(self.rows)


def bucketed(lengths: Sequence[int], batch_size: int, bucket: int, batches: int, seed: int) -> list[int]:
    """Row numbers for so many batches, epoch after epoch: rows sorted by length within each window of `bucket`
    batches, whose order is then drawn. Batches are evenly long, and no stretch of training sees one length only."""
    rng, order = generator(seed, "buckets"), list[int]()
    while len(order) < batches * batch_size:
        epoch = rng.permutation(len(lengths))
        for first in range(0, len(epoch), bucket * batch_size):
            window = sorted(epoch[first : first + bucket * batch_size].tolist(), key=lambda i: lengths[i])
            parts = [window[i : i + batch_size] for i in range(0, len(window), batch_size)]
            order += [row for i in rng.permutation(len(parts)) for row in parts[i]]
    return order[: batches * batch_size]


def make_trainer(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[dict[str, Any]],
    arguments: dict[str, Any],
    schedule: Callable[[int], float],
    folder: Path,
    callbacks: list[TrainerCallback],
    bucket: int = 1,
    processor: ProcessorMixin | None = None,
    lora: Lora | None = None,
) -> CoherenceSftTrainer:
    """The trainer on encoded rows, logging into folder/metrics.jsonl; `schedule` gives the learning-rate factor. Rows
    with images need the processor."""
    dataset = Dataset.from_list(encode_rows(tokenizer, rows, processor))
    args = TrlSftConfig(
        **arguments, max_length=None, remove_unused_columns=False, dataset_kwargs={"skip_prepare_dataset": True}
    )
    if bucket > 1:
        lengths = dataset["prompt_tokens"] if processor else [len(ids) for ids in dataset["input_ids"]]
        size = args.per_device_train_batch_size * args.gradient_accumulation_steps * args.world_size
        dataset = dataset.select(bucketed(lengths, size, bucket, args.max_steps, args.seed))
        args.train_sampling_strategy = "sequential"
    trainer = CoherenceSftTrainer(
        model=model,
        args=args,
        train_dataset=dataset,
        processing_class=tokenizer,
        data_collator=lambda examples: (
            collate_images(examples, processor) if processor else collate(examples, tokenizer.pad_token_id)
        ),
        schedule=schedule,
        vocab_size=len(tokenizer),
        callbacks=[MetricsLog(folder / "metrics.jsonl", arguments["max_steps"], show_metrics), *callbacks],
        peft_config=adapters(lora),
    )
    shard_layer_by_layer(trainer)
    trainer.remove_callback(PrinterCallback)
    return trainer


def show_metrics(logs: dict[str, Any]) -> str:
    """One line of progress."""
    classes = ("format", "content")
    accuracy = " ".join(f"{c} {logs[f'{c}/accuracy']:.2f}" for c in classes if f"{c}/accuracy" in logs)
    return f"loss {logs['loss']:.2f}  H/lnV {logs['all/entropy_share']:.2f}  accuracy {accuracy}"
