"""The example in docs/your_own_trainer.md runs as printed."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

from datasets import Dataset
from repository import REPO
from trl import GRPOConfig

from coherence.config.compute import Compute
from coherence.models.load import load_model
from coherence.training.arguments import common_arguments


def test_the_printed_example_trains(tiny: SimpleNamespace, tuned: Path, tmp_path: Path) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", (REPO / "docs/your_own_trainer.md").read_text(), flags=re.DOTALL)
    arguments = common_arguments(1e-3, 0.999, Compute(device="cpu", bf16=False), tmp_path, seed=0)
    rows = [{"prompt": row["prompt"], "answer": json.dumps(row["answer"])} for row in tiny.rows["grpo"]]
    names = {
        "model": load_model(tuned, "cpu"),
        "tokenizer": tiny.tokenizer,
        "dataset": Dataset.from_list(rows),
        "my_reward": lambda completions, **columns: [float(len(text)) for text in completions],
        "args": GRPOConfig(
            **arguments, max_steps=1, per_device_train_batch_size=4, num_generations=4, max_completion_length=8
        ),
    }
    exec(block, names)
    (line,) = [line for line in names["trainer"].state.log_history if "rewards/carl/mean" in line]
    assert 0.0 < line["rewards/carl/mean"] < 1.0
