"""GRPO from an SFT checkpoint with verifiable rewards, CARL, or both; one run per arm and seed.

The reward `carl` is a function of the sampled ids' own log-probabilities and entropies given their prompt. Every arm
records them, whether or not it is paid for them, so that arms are compared on the same quantities.
"""

import json
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from datasets import Dataset
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PrinterCallback,
    ProcessorMixin,
    TrainerCallback,
    set_seed,
)
from trl import GRPOConfig as TrlGrpoConfig

from coherence.config.compute import Compute
from coherence.config.grpo import Arm, Entropy, GrpoConfig
from coherence.config.lora import Lora
from coherence.core.alarm import Limits, TrapAlarm
from coherence.core.composite import Composite, CompositeWeights
from coherence.core.diversity import DISTANCES
from coherence.core.groups import NO_SIGNAL, all_wrong_share, zero_variance_share
from coherence.core.order_parameter import phi_from_entropy
from coherence.core.traces import crystallizations, synchrony
from coherence.models.load import check_head, judged_text, prompt_length
from coherence.provenance.scratch import Scratch
from coherence.tasks.images import open_rows
from coherence.tasks.judge import judge
from coherence.tasks.rewards import STRICT, TASK_REWARDS
from coherence.training.arguments import common_arguments, parts_of
from coherence.training.checkpoints import Resumable
from coherence.training.metrics import MetricsLog
from coherence.training.processes import adapters, diverged, save_trained, shard_layer_by_layer
from coherence.training.rewards import carl_components, carl_reward, diversity_reward, nanmean, pad, task_reward
from coherence.training.schedule import RewardSchedule
from coherence.training.trl_seam import Rollouts, TokenStatisticsMixin

STORED_PER_GROUP = 2
"""Completions of each group that a stored sample keeps: agreement and spread both show."""
SHOWN_SAMPLES = 16
"""Completions of the last batch in ALARM.json."""


class CoherenceGrpoTrainer(Resumable, TokenStatisticsMixin):
    """GRPOTrainer that logs the order parameter and the task's rewards of every batch, and stores samples of it."""

    def __init__(
        self,
        *args: Any,
        task: str,
        vocab_size: int,
        settings: GrpoConfig,
        arm: Arm,
        schedule: RewardSchedule,
        **kwargs: Any,
    ) -> None:
        self.task, self.vocab_size, self.settings, self.arm, self.schedule = task, vocab_size, settings, arm, schedule
        self.alarm = TrapAlarm(Limits(**settings.alarm.model_dump())) if settings.alarm else None
        self.evidence: dict[str, Any] | None = None
        self.samples: list[dict[str, Any]] = []
        self.unscored, self.scored, self.diverged = 0, 0, False
        super().__init__(*args, **kwargs)

    def state_dict(self) -> dict[str, Any]:
        own = {"samples": self.samples, "unscored": self.unscored, "scored": self.scored}
        alarm = self.alarm and {"seen": self.alarm.seen, "step": self.alarm.step}
        return super().state_dict() | own | {"alarm": alarm, "evidence": self.evidence}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.samples, self.unscored, self.scored = state["samples"], state["unscored"], state["scored"]
        self.evidence = state["evidence"]
        if self.alarm:
            self.alarm.seen, self.alarm.step = state["alarm"]["seen"], state["alarm"]["step"]

    @property
    def over_budget(self) -> bool:
        """More completions without a finite reward than the config allows in the whole run."""
        completions = self.settings.steps * self.settings.prompts_per_step * self.settings.num_generations
        return self.unscored > self.settings.max_unscored_share * completions

    @property
    def degenerate(self) -> bool:
        """The alarm has sounded, and this arm is one that it stops."""
        return self.evidence is not None and not self.arm.run_on

    def observe_rollouts(self, rollouts: Rollouts) -> dict[str, float]:
        """Metrics of one batch; also counts unscored completions and keeps samples."""
        weights = CompositeWeights(**self.settings.carl_weights.model_dump())
        carl = carl_components(rollouts.token_logps, rollouts.token_entropies, self.vocab_size, weights)
        task = self._task_scores(rollouts)
        finite_B = rollouts.rewards_BR.isfinite().all(dim=1)
        self.unscored += int((~finite_B).sum())
        self.scored += len(finite_B)
        if self.over_budget:
            self.control.should_training_stop = True
        if (rollouts.step - 1) % self.settings.store_every == 0:
            self._store(rollouts, task, carl)
        strict_PG = np.asarray(task[STRICT[self.task]]).reshape(-1, self.settings.num_generations)
        weights_now = self.schedule.weights(rollouts.step)
        paid_B = rollouts.rewards_BR.double().cpu().numpy() @ list(weights_now.values())
        paid_PG = paid_B.reshape(-1, self.settings.num_generations)
        metrics = {
            **token_metrics(rollouts, carl, self.vocab_size),
            "distinct_completions": float(len(set(rollouts.completions))),
            "strict_zero_variance_groups": zero_variance_share(strict_PG),
            "zero_signal_groups": zero_variance_share(paid_PG, NO_SIGNAL),
            "all_wrong_groups": all_wrong_share(strict_PG),
            "unscored_completions": float((~finite_B).sum()),
            **{f"task/{name}": nanmean(values) for name, values in task.items()},
            **{f"weights/{name}": weight for name, weight in weights_now.items()},
        }
        self._watch(rollouts, metrics)
        self.schedule.observe(rollouts.step, metrics)
        return metrics

    def _watch(self, rollouts: Rollouts, metrics: dict[str, float]) -> None:
        """Shows the step to the alarm; where it sounds, keeps the evidence and ends the run, unless it shall run on.

        Its reward is weighed as at the end of all schedules, so that a weight which rises is no rise.
        """
        final_R = [weight * (name not in self.arm.decay) for name, weight in self.arm.rewards.items()]
        metrics["final_reward"] = nanmean((rollouts.rewards_BR.double().cpu().numpy() @ final_R).tolist())
        if self.alarm is None:
            return
        told = {
            "reward": metrics["final_reward"],
            "strict": metrics[f"task/{STRICT[self.task]}"],
            "all_wrong_groups": metrics["all_wrong_groups"],
            "distinct_share": metrics["distinct_completions"] / len(rollouts.completions),
            "phi": metrics["coherence/phi"],
        }
        signs = self.alarm.update(rollouts.step, told)
        if signs is None:
            return
        shown = zip(rollouts.rows, rollouts.completions, strict=True)
        samples = [{"prompt": row.get("text", row["prompt"]), "completion": text} for row, text in shown]
        signs_told = {name: vars(sign) for name, sign in signs.items()}
        self.evidence = {"step": rollouts.step, "signs": signs_told, "samples": samples[:SHOWN_SAMPLES]}
        self.control.should_training_stop = self.control.should_training_stop or self.degenerate

    def _task_scores(self, rollouts: Rollouts) -> dict[str, list[float]]:
        golds = [json.loads(row["answer"]) for row in rollouts.rows]
        texts = [judged_text(self._tokenizer, ids) for ids in rollouts.completion_ids]
        return {name: judge(reward, texts, golds) for name, reward in TASK_REWARDS[self.task].items()}

    def _store(self, rollouts: Rollouts, task: dict[str, list[float]], carl: Composite) -> None:
        for i, completion in enumerate(rollouts.completions):
            if i % self.settings.num_generations < STORED_PER_GROUP:
                self.samples.append(
                    {
                        "step": rollouts.step,
                        "prompt": rollouts.rows[i].get("text", rollouts.rows[i]["prompt"]),
                        "completion": completion,
                        "ids": rollouts.completion_ids[i],
                        "logp": rollouts.token_logps[i],
                        "entropy": rollouts.token_entropies[i],
                        "carl": float(carl.reward[i]),
                        **{name: values[i] for name, values in task.items()},
                    }
                )


class StopOnDivergence(TrainerCallback):  # type: ignore[misc]
    """Ends a run whose weights are no longer numbers: nothing that it would sample could be scored."""

    def __init__(self, trainer: CoherenceGrpoTrainer) -> None:
        self.trainer = trainer

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if diverged(self.trainer):
            self.trainer.diverged = control.should_training_stop = True


def token_metrics(rollouts: Rollouts, carl: Composite, vocab_size: int) -> dict[str, float]:
    """Token means of Phi, entropy (nats), logp and KL to the start; completion means of CARL and its components.

    KL is the non-negative k3 estimate of KL(policy || start) on sampled tokens: exp(-r) - 1 + r, r = logp - logp_start.
    """
    entropy, logp, start = (
        np.concatenate([np.asarray(row, dtype=np.float64) for row in part])
        for part in (rollouts.token_entropies, rollouts.token_logps, rollouts.start_logps)
    )
    entropy_BT, lengths = pad(rollouts.token_entropies)
    phi_BT = np.asarray(phi_from_entropy(entropy_BT, vocab_size))
    metrics = {
        "coherence/phi": float(np.mean(phi_from_entropy(entropy, vocab_size))),
        "coherence/crystallizations": nanmean(crystallizations(phi_BT, lengths).tolist()),
        "coherence/synchrony": nanmean(synchrony(phi_BT, lengths).tolist()),
        "coherence/entropy": float(entropy.mean()),
        "coherence/logp": float(logp.mean()),
        "coherence/carl": nanmean(carl.reward.tolist()),
        "coherence/multiscale": nanmean(carl.multiscale.tolist()),
        "coherence/cloud_quality": nanmean(carl.cloud_quality.tolist()),
        "coherence/discontinuity": nanmean(carl.discontinuity.tolist()),
    }
    if start.size:
        ratio = logp - start
        metrics["kl_to_start"] = float(np.mean(np.expm1(-ratio) + ratio))
    return metrics


def sample_columns(task: str) -> list[str]:
    """Columns of samples.parquet."""
    return ["step", "prompt", "completion", "ids", "logp", "entropy", "carl", *TASK_REWARDS[task]]


def train(
    config: GrpoConfig,
    compute: Compute,
    arm: Arm,
    task: str,
    model: PreTrainedModel,
    start_model: PreTrainedModel | None,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[dict[str, Any]],
    folder: Path,
    seed: int,
    started_from: str = "ok",
    processor: ProcessorMixin | None = None,
    lora: Lora | None = None,
    scratch: Scratch | None = None,
) -> dict[str, Any]:
    """Train `model` in place; metrics.jsonl, samples.parquet and the model go into `folder`. Returns the outcome.

    `status` is `ok`; `over_nan_budget` if too many completions had no finite reward, or the weights diverged, and the
    run was stopped; or `degenerate` if the alarm stopped it (its evidence: ALARM.json). `started_from` is how the run
    that made `model` ended. With `lora` the start is the model under the adapters, and `start_model` None. Rows with
    images need the processor. With `scratch` the run can be stopped and goes on from there. ValueError for fewer rows
    than prompts per step: TRL would train nothing and say nothing.
    """
    vocab_size = check_head(model, tokenizer)
    if len(rows) < config.prompts_per_step:
        raise ValueError(f"grpo.prompts_per_step is {config.prompts_per_step}, but there are only {len(rows)} prompts")
    schedule = RewardSchedule(arm, CompositeWeights(**config.carl_weights.model_dump()), config.steps)
    functions = {name: task_reward(name, reward, tokenizer) for name, reward in TASK_REWARDS[task].items()}
    functions |= {name: diversity_reward(name, config.num_generations) for name in DISTANCES}
    functions["carl"] = carl_reward(vocab_size, lambda: schedule.carl_weights)
    trainer = CoherenceGrpoTrainer(
        model=model,
        reward_funcs=[functions[name] for name in arm.rewards],
        args=TrlGrpoConfig(
            **trl_arguments(config, compute, arm, folder, seed), **sampling(config, compute, tokenizer, rows)
        ),
        train_dataset=trl_rows(rows) if processor is None else trl_image_rows(rows),
        processing_class=processor or tokenizer,
        callbacks=[MetricsLog(folder / "metrics.jsonl", config.steps, show_metrics)],
        task=task,
        peft_config=adapters(lora),
        vocab_size=vocab_size,
        settings=config,
        arm=arm,
        schedule=schedule,
    )
    schedule.trainer = trainer
    trainer.add_callback(schedule)
    if config.generation == "vllm":
        set_seed(seed)  # vLLM has seeded this process with its own number, the same for every seed
    shard_layer_by_layer(trainer)
    trainer.remove_callback(PrinterCallback)
    trainer.start_model = start_model and start_model.to(trainer.accelerator.device)
    trainer.add_callback(StopOnDivergence(trainer))
    trainer.diverged = diverged(trainer)
    if not trainer.diverged:
        trainer.train_in(scratch)
    stopped = trainer.over_budget or trainer.diverged or trainer.degenerate
    assert stopped or trainer.state.global_step == config.steps, "TRL stopped early"
    save_trained(trainer, processor or tokenizer, folder)
    (folder / "metrics.jsonl").touch()
    pd.DataFrame(trainer.samples, columns=sample_columns(task)).to_parquet(folder / "samples.parquet", index=False)
    if trainer.evidence is not None:
        (folder / "ALARM.json").write_text(json.dumps(trainer.evidence, indent=1) + "\n", encoding="utf-8")
    outcome = {
        "status": status_of(trainer),
        "started_from": started_from,
        "alarm_step": trainer.evidence and trainer.evidence["step"],
        "carl_from_step": schedule.start if "carl" in arm.rewards else None,
        "diverged": trainer.diverged,
        "steps": trainer.state.global_step,
        "unscored_completions": trainer.unscored,
        "completions": trainer.scored,
        "vocab_size": vocab_size,
        "statistics_source": trainer.statistics_source(),
        "generated_by": f"{config.generation} {version(config.generation)}",
    }
    (folder / "outcome.json").write_text(json.dumps(outcome, indent=1) + "\n", encoding="utf-8")
    return outcome


def status_of(trainer: CoherenceGrpoTrainer) -> str:
    """How the run ended."""
    if trainer.over_budget or trainer.diverged:
        return "over_nan_budget"
    return "degenerate" if trainer.degenerate else "ok"


def trl_rows(rows: Sequence[dict[str, Any]]) -> Dataset:
    """The columns that TRL and the rewards read."""
    return Dataset.from_list(
        [{"prompt": row["prompt"], "answer": json.dumps(row["answer"], sort_keys=True)} for row in rows]
    )


def trl_image_rows(rows: Sequence[dict[str, Any]]) -> Dataset:
    """The same for rows with images, which are opened when a row is asked for: TRL renders a conversation around them,
    and `text` is what it then says."""
    kept = ("image_path", "image_sha256")
    told = [{"text": row["prompt"], **{name: row[name] for name in kept}} for row in rows]
    for row, made in zip(rows, told, strict=True):
        made["prompt"] = [{"role": "user", "content": row["instruction"]}]
        made["answer"] = json.dumps(row["answer"], sort_keys=True)

    def opened(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        rows = [dict(zip(kept, values, strict=True)) for values in zip(*(batch[name] for name in kept), strict=True)]
        return batch | {"image": open_rows(rows)}

    return Dataset.from_list(told).with_transform(opened)


def trl_arguments(config: GrpoConfig, compute: Compute, arm: Arm, folder: Path, seed: int) -> dict[str, Any]:
    """TRL's arguments: one generation batch per optimizer step, so that every step is on-policy."""
    return {
        **common_arguments(config.learning_rate, config.adam_beta2, compute, folder, seed),
        "max_grad_norm": config.max_grad_norm,
        "max_steps": config.steps,
        "lr_scheduler_type": "constant",
        **parts_of(config.prompts_per_step * config.num_generations, compute),
        "num_generations": config.num_generations,
        "max_completion_length": config.max_completion_length,
        "temperature": arm.temperature or config.temperature,
        "top_k": arm.top_k or 0,
        "beta": config.beta,
        "loss_type": config.loss_type,
        "scale_rewards": config.scale_rewards,
        "multi_objective_aggregation": config.multi_objective_aggregation,
        **(adaptive_entropy(arm.entropy) if arm.entropy else {}),
        "reward_weights": list(arm.rewards.values()),
    }


def adaptive_entropy(entropy: Entropy) -> dict[str, Any]:
    """TRL's arguments for its adaptive entropy coefficient, which begins at 0."""
    return {
        "use_adaptive_entropy": True,
        "entropy_target": entropy.target,
        "entropy_coef_delta": entropy.delta,
        "entropy_coef_max": entropy.max_coefficient,
    }


def sampling(
    config: GrpoConfig, compute: Compute, tokenizer: PreTrainedTokenizerBase, rows: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """TRL's arguments for what samples. vLLM lies beside the policy on its GPUs, whole across the processes."""
    if config.generation == "transformers":
        return {"generation_kwargs": {"remove_invalid_values": True}}  # a diverged run is scored, it does not crash
    if find_spec("vllm") is None:
        raise ValueError("grpo.generation is vllm, which is not installed: install it, or set it to transformers")
    longest = max(prompt_length(tokenizer, row) for row in rows)
    return {
        "use_vllm": True,
        "vllm_mode": "colocate",
        "vllm_gpu_memory_utilization": 0.3,
        "vllm_tensor_parallel_size": compute.processes,
        "vllm_max_model_length": longest + config.max_completion_length,
    }


def show_metrics(logs: dict[str, Any]) -> str:
    """One line of progress."""
    task = "  ".join(f"{key.removeprefix('task/')} {logs[key]:.2f}" for key in logs if key.startswith("task/"))
    return f"{task}  Phi {logs['coherence/phi']:.3f}  distinct {logs['distinct_completions']:.0f}"
