"""The memory of each stage of a study, and which one setting would make a stage fit."""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException

from coherence.planning.facts import add_adapters, config_of, facts_of, make_fake
from coherence.planning.memory import Counter, Need, Split, generation_need, rollout_need, training_need
from coherence.provenance.artifact import read_card

VLLM_SHARE = 0.3
KNOBS = {
    "base": ("model.pretraining.batch_size",),
    "sft": ("compute.accumulate", "sft.batch_size", "data.max_tokens"),
    "start": ("evaluate.batch_size", "grpo.max_completion_length"),
    "grpo": ("compute.accumulate", "grpo.prompts_per_step", "grpo.max_completion_length", "data.max_tokens"),
    "generate": ("evaluate.batch_size", "evaluate.max_new_tokens"),
}
"""Settings that a stage's memory depends on: doubled (parts of a step) or halved until it fits."""
ENCODED = 2000
"""Rows, the longest by characters, that are encoded to learn the longest by tokens."""


@dataclass(frozen=True)
class Lengths:
    """Tokens of the longest row and of the longest prompt; `known`: of the data as built, else what data.max_tokens
    lets through."""

    row: int
    prompt: int
    known: bool


def lengths_of(study: Mapping[str, Any], results: Path) -> Lengths:
    """From the study's data, where base and data are built by its present settings."""
    most = study["data"]["max_tokens"]
    built = all(
        _is_of(results / stage, {key: study[key] for key in keys})
        for stage, keys in (("base", ("model", "compute")), ("data", ("data",)))
    )
    if not built:
        return Lengths(most, most - 2, known=False)
    import pandas as pd

    from coherence.models.load import load_tokenizer

    rows = pd.read_parquet(results / "data/data.parquet", columns=["prompt", "completion"])
    rows = rows.loc[(rows["prompt"].str.len() + rows["completion"].str.len()).nlargest(ENCODED).index]
    tokenizer = load_tokenizer(results / "base")
    prompts = [len(ids) for ids in tokenizer(rows["prompt"].tolist())["input_ids"]]
    answers = tokenizer(rows["completion"].tolist(), add_special_tokens=False)["input_ids"]
    whole = [prompt + len(ids) + 1 for prompt, ids in zip(prompts, answers, strict=True)]
    return Lengths(max(whole), max(prompts), known=True)


def _is_of(out: Path, settings: Mapping[str, Any]) -> bool:
    try:
        return bool(read_card(out)["identity"]["parts"]["settings"] == settings)
    except ValueError:
        return False


@dataclass
class Memory:
    """What the stages of a study take, counted when asked for; `limit`: bytes of a device, where it is known."""

    study: Mapping[str, Any]
    results: Path
    lengths: Lengths
    limit: int | None = None

    def __post_init__(self) -> None:
        compute = self.study["compute"]
        model, mode = make_fake(config_of(self.study, self.results))
        self.facts = facts_of(model)
        if self.study.get("lora"):
            add_adapters(model, mode, self.study["lora"])
        self.counter = Counter(model, mode, on_host=compute["device"] == "cpu", bf16=compute["bf16"])

    def stages(self) -> list[str]:
        """Stages that compute with the model; a base that is only fetched computes nothing."""
        return [stage for stage in KNOBS if stage != "base" or self.study["model"]["kind"] == "embedded"]

    def known_need(self, stage: str) -> Need | None:
        """`need`, or None for a model whose operations depend on values that it does not have (experts chosen)."""
        try:
            return self.need(stage)
        except (DataDependentOutputException, DynamicOutputShapeException):
            return None

    def need(self, stage: str, study: Mapping[str, Any] | None = None) -> Need:
        """Bytes of one stage, of this study or of a changed one."""
        study = study or self.study
        prompt, counter = min(self.lengths.prompt, study["data"]["max_tokens"] - 2), self.counter
        if stage == "base":
            return training_need(counter, study["model"]["pretraining"]["batch_size"], study["model"]["context"])
        if stage == "sft":
            rows = study["sft"]["batch_size"]
            return training_need(counter, rows, min(self.lengths.row, study["data"]["max_tokens"]), self._split(study))
        completion = (
            study["evaluate"]["max_new_tokens"] if stage == "generate" else study["grpo"]["max_completion_length"]
        )
        prompt = min(prompt, (counter.context or prompt + completion) - completion)
        if stage == "grpo":
            rows = study["grpo"]["prompts_per_step"] * study["grpo"]["num_generations"]
            reserved = int(VLLM_SHARE * (self.limit or 0)) if study["grpo"].get("generation") == "vllm" else 0
            return rollout_need(counter, rows, prompt, completion, self._split(study, reserved))
        return generation_need(counter, study["evaluate"]["batch_size"], prompt, completion)

    def _split(self, study: Mapping[str, Any], reserved: int = 0) -> Split:
        compute = study["compute"]
        processes = compute.get("processes", 1)
        shards = processes if compute["device"] == "cuda" else 1  # on processors each has all of the weights
        return Split(processes, shards, compute.get("accumulate", 1), reserved)

    def mend(self, stage: str) -> list[str]:
        """Every single setting that would make the stage fit, as `sft.batch_size 32 -> 8`."""
        return [words for knob in KNOBS[stage] for words in self._turn(stage, knob)]

    def _turn(self, stage: str, knob: str) -> Iterator[str]:
        section, _, key = knob.rpartition(".")
        old = _section(self.study, section).get(key)
        for value in _values(old, up=key == "accumulate", most=self.study["sft"]["batch_size"]):
            changed = copy.deepcopy(dict(self.study))
            _section(changed, section)[key] = value
            if self.need(stage, changed).peak <= (self.limit or 0):
                yield f"{knob} {old} -> {value}"
                return


def _section(study: Mapping[str, Any], path: str) -> dict[str, Any]:
    for key in path.split("."):
        study = study[key]
    return study  # type: ignore[return-value]


def _values(old: int | None, up: bool, most: int) -> Iterator[int]:
    """Ever smaller values (or larger, of parts that divide a batch)."""
    value = old
    while value and (value < most if up else value > 1):
        value = value * 2 if up else value // 2
        yield value
