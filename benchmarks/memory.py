"""The memory that `scripts/plan.py` predicts against what our trainers take: real steps of random-weight models."""

import argparse
import importlib
import itertools
import json
import multiprocessing
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

Record = dict[str, Any]
LENGTH = 64
"""Tokens of a training row of every configuration: half prompt, half completion."""
CASES: dict[str, dict[str, Any]] = {
    "llama, V 32k": {
        "model_type": "llama", "vocab_size": 32000, "hidden_size": 768, "intermediate_size": 2048,
        "num_hidden_layers": 8, "num_attention_heads": 12, "num_key_value_heads": 4, "tie_word_embeddings": True,
        "max_position_embeddings": 512,
    },
    "qwen3, V 152k": {
        "model_type": "qwen3", "vocab_size": 151936, "hidden_size": 384, "intermediate_size": 1024, "head_dim": 64,
        "num_hidden_layers": 6, "num_attention_heads": 6, "num_key_value_heads": 2, "tie_word_embeddings": True,
        "max_position_embeddings": 512,
    },
    "gpt2, V 50k": {
        "model_type": "gpt2", "vocab_size": 50257, "n_embd": 640, "n_layer": 6, "n_head": 10, "n_positions": 512,
    },
}  # fmt: skip


STEPS = 2
SFT: dict[str, Any] = {
    "learning_rate": 1e-4, "batch_size": 8, "bucket": 1, "max_steps": STEPS, "warmup_steps": 0, "cooldown_steps": 0,
    "weight_decay": 0.0, "adam_beta2": 0.98, "max_grad_norm": 1.0,
    "gate": {"split": "sft", "token_class": "all", "threshold": 1.0, "window": STEPS, "count": STEPS},
}  # fmt: skip
GRPO: dict[str, Any] = {
    "learning_rate": 1e-4, "steps": STEPS, "prompts_per_step": 2, "num_generations": 4, "temperature": 1.0,
    "max_completion_length": 24, "beta": 0.0, "loss_type": "dapo", "scale_rewards": "none", "adam_beta2": 0.999,
    "max_grad_norm": 1.0, "carl_weights": {"multiscale": 0.5, "cloud_quality": 0.3, "discontinuity": 0.2},
    "require_crystallized": False, "max_unscored_share": 1.0, "store_every": 10,
    "start": {"prompts": 1, "min_accuracy": 0.0, "max_accuracy": 1.0, "max_zero_variance": 1.0},
    "arms": {"task": {"rewards": {"click": 1.0}}},
}  # fmt: skip


def memory_records(cases: Mapping[str, dict[str, Any]]) -> Iterator[Record]:
    """Predicted over measured peak (above what the imports leave) of SFT and of GRPO, a process for each.

    The processes are forks of one that has imported everything and computed nothing.
    """
    for module in ("coherence.training.sft", "coherence.training.grpo", "coherence.planning.memory"):
        importlib.import_module(module)
    context = multiprocessing.get_context("fork")
    for (name, values), stage in itertools.product(cases.items(), ("sft", "grpo")):
        with context.Pool(1) as worker:
            predicted, measured = worker.apply(work, (values, stage))
        record = {"measure": "plan_memory", "case": name, "stage": stage, "predicted_bytes": predicted}
        yield record | {"measured_bytes": measured, "value": predicted / measured}


def work(values: dict[str, Any], stage: str) -> tuple[int, int]:
    """(predicted, measured) bytes of one stage, in this process, what it prints aside."""
    sys.stdout = sys.stderr
    from transformers import AutoConfig

    from coherence.planning.facts import make_fake
    from coherence.planning.memory import Counter, rollout_need, training_need

    config = AutoConfig.for_model(**values, bos_token_id=None, eos_token_id=0, pad_token_id=1)
    counter = Counter(*make_fake(config), on_host=True, bf16=False)
    if stage == "sft":
        predicted = training_need(counter, SFT["batch_size"], LENGTH).peak
    else:
        batch = GRPO["prompts_per_step"] * GRPO["num_generations"]
        predicted = rollout_need(counter, batch, LENGTH // 2, GRPO["max_completion_length"]).peak
    return predicted, _measured(config, stage)


def resident(field: str) -> int:
    """A line of /proc/self/status in bytes: VmRSS, VmHWM."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(field))


def _measured(config: Any, stage: str) -> int:
    import torch
    from transformers import AutoModelForCausalLM

    from coherence.config.compute import Compute
    from coherence.config.grpo import Arm, GrpoConfig
    from coherence.config.sft import SftConfig
    from coherence.models.load import quiet
    from coherence.training import grpo, sft

    quiet()
    tokenizer, rows, cpu = tokenizer_of(config.vocab_size), rows_of(64), Compute(device="cpu", bf16=False)
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    with tempfile.TemporaryDirectory() as folder:
        if stage == "sft":
            sft.train(SftConfig.parse(SFT, "sft"), cpu, model, tokenizer, rows, Path(folder), 0)
        else:
            start = AutoModelForCausalLM.from_config(config)
            settings, arm = GrpoConfig.parse(GRPO, "grpo"), Arm.parse(GRPO["arms"]["task"], "arm")
            grpo.train(settings, cpu, arm, "grounding", model, start, tokenizer, rows, Path(folder), 0)
    return resident("VmHWM") - before


def tokenizer_of(size: int) -> Any:
    """One token per word w0 w1 ..., as many as the head has rows."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    names = ["<end>", "<pad>", "<unknown>", *(f"w{i}" for i in range(3, size))]
    words = Tokenizer(models.WordLevel({name: i for i, name in enumerate(names)}, unk_token=names[2]))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=words, eos_token=names[0], pad_token=names[1], unk_token=names[2], padding_side="left"
    )


def rows_of(count: int) -> list[dict[str, Any]]:
    half = " ".join(f"w{3 + i}" for i in range(LENGTH // 2))
    completion = " ".join(f"w{3 + i}" for i in range(LENGTH - LENGTH // 2 - 1))
    answer = {"box": [0, 0, 1, 1], "point": [0, 0]}
    return [{"prompt": half, "completion": completion, "content": [[0, 4]], "answer": answer}] * count


def main(out: Path | None) -> None:
    """Print the table; the records as lines into a file, where one is named."""
    lines = []
    print(f"{'model':<16}stage  predicted GB  measured GB  ratio")
    for r in memory_records(CASES):
        lines.append(json.dumps(r) + "\n")
        sizes = f"{r['predicted_bytes'] / 1e9:12.2f} {r['measured_bytes'] / 1e9:12.2f}"
        print(f"{r['case']:<16}{r['stage']:<6} {sizes} {r['value']:6.3f}", flush=True)
    if out:
        out.write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    main(parser.parse_args().out)
