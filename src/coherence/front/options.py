"""What `train` can be told, and the same as the settings that the trainers take. Names and defaults are TRL's."""

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from coherence.config.compute import Compute
from coherence.config.grpo import GrpoConfig
from coherence.config.sft import SftConfig

Method = Literal["sft", "grpo"]
ONLY = {
    "sft": {"completion_column", "gate_accuracy"},
    "grpo": {"answer_column", "num_generations", "max_completion_length", "answer_weight", "carl_weight"},
}
RATES = {"sft": 2e-5, "grpo": 1e-6}
SHARED = {"adam_beta2": 0.999, "max_grad_norm": 1.0}
SFT = {**SHARED, "bucket": 1, "warmup_steps": 0, "cooldown_steps": 0, "weight_decay": 0.0}
GATE = {"split": "sft", "token_class": "all", "window": 5, "count": 3}
GRPO = {
    **SHARED,
    **{"temperature": 1.0, "beta": 0.0, "loss_type": "dapo", "scale_rewards": "group"},
    **{"require_crystallized": False, "max_unscored_share": 0.01, "store_every": 10},
    "carl_weights": {"multiscale": 0.5, "cloud_quality": 0.3, "discontinuity": 0.2},
    "start": {"prompts": 1, "min_accuracy": 0.0, "max_accuracy": 1.0, "max_zero_variance": 1.0},
}
"""Any checkpoint may be the start: nothing is asked of it."""


@dataclass(frozen=True)
class TrainOptions:
    """One run. ValueError for an option of the other method, or a value that no run can have."""

    model: str
    """A folder (config.json, *.safetensors, tokenizer), or a hub id."""
    dataset: str
    """A .jsonl, .csv or .parquet file, or a hub id (its train split)."""
    output: Path
    """Folder that is made."""
    method: Method = "grpo"
    """sft: learn completions. grpo: sample completions and pay for them."""
    max_steps: int = 300
    """Optimizer steps at most."""
    learning_rate: float | None = None
    """Constant. Not given: 2e-5 for sft, 1e-6 for grpo."""
    batch_size: int = 8
    """Per step: rows (sft), or prompts (grpo)."""
    max_length: int = 1024
    """Tokens of prompt and completion; longer rows are left out and counted, none is cut."""
    seed: int = 0
    """Of the order of rows, and of sampling."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where to compute; weights are float32."""
    bf16: bool = False
    """bfloat16 autocast (cuda only)."""
    prompt_column: str = "prompt"
    """Text that the model is given; its chat template, if it has one, goes around it."""
    completion_column: str = "completion"
    """sft: the text to learn."""
    gate_accuracy: float = 0.99
    """sft: token accuracy that counts as crystallized."""
    answer_column: str = "answer"
    """grpo: the one right answer."""
    answer_weight: float = 1.0
    """grpo: weight of the exact match; 0 leaves it out."""
    carl_weight: float = 0.5
    """grpo: weight of the CARL reward; 0 leaves it out."""
    num_generations: int = 8
    """grpo: completions per prompt, the group."""
    max_completion_length: int = 256
    """grpo: tokens at which a completion is cut off."""

    def __post_init__(self) -> None:
        standard = {field.name: field.default for field in fields(self)}
        for name in sorted(self._others):
            if asdict(self)[name] != standard[name]:
                raise ValueError(f"--{name.replace('_', '-')} does not go with --method {self.method}")
        wrong = {
            "--batch-size must be at least 1": self.batch_size < 1,
            "--seed must not be negative": self.seed < 0,
            "--answer-weight and --carl-weight must not be negative": min(self.answer_weight, self.carl_weight) < 0,
            "--answer-weight and --carl-weight are both 0: nothing would be paid for": not self.rewards,
            "--bf16 needs --device cuda": self.bf16 and self.device == "cpu",
        }
        if True in wrong.values():
            raise ValueError(next(what for what, is_so in wrong.items() if is_so))
        self.config  # noqa: B018  (which checks the rest)

    @property
    def _others(self) -> set[str]:
        return ONLY["sft" if self.method == "grpo" else "grpo"]

    @property
    def columns(self) -> tuple[str, str]:
        """What a model is given, and what it shall say."""
        return self.prompt_column, self.completion_column if self.method == "sft" else self.answer_column

    @property
    def compute(self) -> Compute:
        return Compute.parse({"device": self.device, "bf16": self.bf16}, "train")

    @property
    def rewards(self) -> dict[str, float]:
        """What GRPO pays for, with its weight."""
        weights = {"exact": self.answer_weight, "carl": self.carl_weight}
        return {name: weight for name, weight in weights.items() if weight}

    @property
    def config(self) -> SftConfig | GrpoConfig:
        """The settings of the run: constant learning rate; SFT's gate asks for 3 of the last 5 steps."""
        rate = RATES[self.method] if self.learning_rate is None else self.learning_rate
        if self.method == "sft":
            told = {"learning_rate": rate, "batch_size": self.batch_size, "max_steps": self.max_steps}
            return SftConfig.parse({**SFT, **told, "gate": {**GATE, "threshold": self.gate_accuracy}}, "train")
        told = {"learning_rate": rate, "prompts_per_step": self.batch_size, "steps": self.max_steps}
        group = {"num_generations": self.num_generations, "max_completion_length": self.max_completion_length}
        return GrpoConfig.parse({**GRPO, **told, **group, "arms": {"own": {"rewards": self.rewards}}}, "train")

    def settings(self) -> dict[str, Any]:
        """What decides the result, beside the model's and the rows' content."""
        places = {"model", "dataset", "output", "prompt_column", "completion_column", "answer_column"}
        return {name: value for name, value in asdict(self).items() if name not in places | self._others}
