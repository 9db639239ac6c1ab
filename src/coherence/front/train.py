"""Training on a person's own data, with the trainers of the studies."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from coherence.config.sft import SftConfig
from coherence.console import progress
from coherence.front.options import TrainOptions
from coherence.models.load import completion_ids, context_of, load_pretrained, prompt_ids, quiet, render_prompt
from coherence.streams import integer_seed
from coherence.tasks.rows import Report, Row, drop_long
from coherence.training import grpo, sft

Pairs = Sequence[tuple[str, ...]]
"""(prompt, completion) for SFT, (prompt, answer) for GRPO."""
TASK = "answer"
"""The free-form task: one right answer, and a reward for saying exactly that."""


def train(options: TrainOptions, start: Path, pairs: Pairs, folder: Path) -> dict[str, Any]:
    """Train the model in `start` on the pairs; model, tokenizer, metrics.jsonl and outcome.json go into `folder`.

    Returns the outcome. ValueError where no row fits, or too few for one step.
    """
    quiet()
    config, compute = options.config, options.compute
    model, tokenizer, _ = load_pretrained(start, options.device)
    rows, report = fitting_rows(options, model, tokenizer, pairs)
    seed = integer_seed(options.seed, options.method)
    if isinstance(config, SftConfig):
        outcome = sft.train(config, compute, model, tokenizer, rows, folder, seed)
    else:
        if len(rows) < options.batch_size:
            raise ValueError(f"--batch-size {options.batch_size} is more than the {len(rows)} prompts that fit")
        start_model, *_ = load_pretrained(start, options.device)
        arm = config.arms["own"]
        outcome = grpo.train(config, compute, arm, TASK, model, start_model, tokenizer, rows, folder, seed)
    return outcome | {"rows": len(rows), "dropped": dict(report.dropped)}


def fitting_rows(
    options: TrainOptions, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, pairs: Pairs
) -> tuple[list[dict[str, Any]], Report]:
    """The rows that fit into --max-length and the model's context; the others are counted, none is cut."""
    limit, report = int(min(options.max_length, context_of(model.config))), Report()

    def count_tokens(row: Row) -> int:
        said = completion_ids(tokenizer, row.completion)[0]
        new = options.max_completion_length if options.method == "grpo" else len(said)
        return len(prompt_ids(tokenizer, row.prompt)) + new

    rows = [asdict(row) for row in drop_long(_rows(options, tokenizer, pairs), count_tokens, limit, report)]
    dropped = len(pairs) - len(rows)
    progress(f"{len(rows)} rows, {dropped} left out (over {limit} tokens); {model.num_parameters():,} parameters")
    if not rows:
        raise ValueError(f"none of the {dropped} rows fits into {limit} tokens, prompt and completion together")
    return rows, report


def _rows(options: TrainOptions, tokenizer: PreTrainedTokenizerBase, pairs: Pairs) -> Iterator[Row]:
    """All of a completion is content: only a task could tell what of it is mere form."""
    for number, (prompt, said) in enumerate(pairs, start=1):
        name, shown = str(number), render_prompt(tokenizer, prompt)
        yield Row(name, options.method, TASK, name, shown, said, ((0, len(said)),), {"text": said})
