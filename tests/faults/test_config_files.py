"""Mistakes in the config file."""

from pathlib import Path

import pytest
from faults.tried import Shop
from golden.trajectories import GRPO
from trl import GRPOConfig as TrlGrpoConfig

from coherence.config.compute import Compute
from coherence.config.grpo import GrpoConfig
from coherence.config.resolved import SECTIONS
from coherence.config.study import StudyConfig, load_study
from coherence.training.grpo import trl_arguments

ARM = "grpo: {arms: {"
TOOLS = """\
data:
  task: tools
  train: {file: train.jsonl}
  test: {file: test.jsonl}
  columns: {query: q, name: n, arguments: a}
  prompt: "Q {query}"
  validation_rows: 1
  max_tokens: 90
  grpo_max_completion_chars: 40
  seed: 0
grpo: {arms: {task: {rewards: {format: 1.0, click: null}}, task+carl: null}}
"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sftt: {batch_size: 8}", "sftt: unknown key (did you mean 'sft'?)"),
        ("sft: {learning_rte: 1.0}", "sft.learning_rte: unknown key (did you mean 'learning_rate'?)"),
        ("model: {kind: local, path: m, layers: 2}", "model.layers: unknown key"),
        ("figures: {amrs: {level: 0.9}}", "figures.amrs: unknown key (did you mean 'arms'?)"),
        (ARM + "task: {reward: {click: 1.0}}}}", "grpo.arms.task.reward: unknown key (did you mean 'rewards'?)"),
        ("sft: {batch_size: eight}", "sft.batch_size: ... integer (got 'eight')"),
        ("sft: {batch_size: 8.5}", "sft.batch_size: ... integer (got 8.5)"),
        ("sft: fast", "sft: ... (got 'fast')"),
        ("sft: {batch_size: null}", "sft.batch_size: this key is missing"),
        ("seeds: []", "seeds: ... at least 1 item"),
        ("seeds: [0, 0]", "seeds: seeds must be distinct and not negative (got [0, 0])"),
        ("seeds: [-1]", "seeds: seeds must be distinct and not negative (got [-1])"),
        ("seeds: 3", "seeds: ... list (got 3)"),
        ("model: {kind: lokal, path: m}", "model: ... 'lokal' ... 'embedded', 'local', 'hub'"),
        ("model: {kind: hub, id: a/b, revision: main}", "model.revision: ... 'main'"),
        ("model: {kind: hub, id: o/n;touch x, revision: main}", "model.id: ... 'o/n;touch x'"),
        ("compute: {device: gpu}", "compute.device: ... 'cpu' or 'cuda' (got 'gpu')"),
        ("compute: {bf16: true}", "compute: bf16 is for device: cuda"),
        ("sft: {gate: {count: 6}}", "sft.gate: a gate that needs 6 of 5 steps can never fire"),
        ("sft: {gate: {threshold: 1.2}}", "sft.gate.threshold: ... less than or equal to 1 (got 1.2)"),
        ("sft: {max_steps: 2}", "sft: a gate that needs 3 looks can never fire: max_steps gives 2"),
        ("sft: {max_steps: 0}", "sft.max_steps: ... greater than or equal to 1 (got 0)"),
        ("grpo: {num_generations: 1}", "grpo.num_generations: ... greater than or equal to 2"),
        ("grpo: {max_completion_length: 129}", "grpo.max_completion_length 129 is more than model.context 128"),
        ("evaluate: {max_new_tokens: 129}", "evaluate.max_new_tokens 129 is more than model.context 128"),
        (ARM + "a/b: {rewards: {click: 1.0}}}}", "arm name 'a/b': letters, digits"),
        (ARM + "a b: {rewards: {click: 1.0}}}}", "arm name 'a b': letters, digits"),
        (ARM + "sft: {rewards: {click: 1.0}}}}", "arm name 'sft' ... 'sft' is taken"),
        (ARM + "new: {rewards: {clik: 1.0}}}}", "grpo.arms.new: no reward 'clik' ... has: format, click"),
        (ARM + "task: {rewards: {click: .nan}}}}", "grpo.arms.task.rewards.click: ... finite number (got nan)"),
        (ARM + "task: null, carl: null, task+carl: null}}", "grpo.arms: ... at least 1 item"),
        ("figures: {arms: {reference: tsk}}", "figures.arms.reference: 'tsk' is not an arm of this study"),
        (TOOLS.replace("{file: tr", "{fil: tr"), "data.train.fil: unknown key (did you mean 'file'?)"),
        (TOOLS.replace("{file: train.jsonl}", "{file: /t.jsonl}"), "data.train: give the file relative to data_root"),
        (TOOLS.replace("test.jsonl", "train.jsonl"), "data: train and test are the same rows"),
        (TOOLS.replace("Q {query}", "Q"), "data: prompt must contain {query}"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named_with_its_key(shop: Shop, text: str, said: str) -> None:
    shop.write("config/x.yaml", f"base: default.yaml\n{text}\n")
    shop.refuses("write_study --configfile config/x.yaml --out x/study.json", f"config 'x': ...{said}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sft: {batch_size: 8\n", "not valid YAML"),
        ("sft:\n\tbatch_size: 8\n", "not valid YAML ... line 2"),
        (b"\xff\xfe\x00seeds", "not valid YAML ... utf-8"),
        ("- seeds\n- sft\n", "must hold a mapping"),
        ("", "must hold a mapping"),
        ("base: default.yaml\nseeds: [0]\nseeds: [1]\n", "key 'seeds' stands twice"),
        ("base: default.yaml\nsft: {batch_size: 8, batch_size: 9}\n", "key 'batch_size' stands twice, line 2"),
        ("base: nowhere.yaml\n", "no file `base: nowhere.yaml`"),
        ("base: [default.yaml]\n", "it names one other config file"),
        ("base: x.yaml\n", "one level only"),
        ("base: y.yaml\n", "one level only"),
    ],
)
def test_a_file_that_is_no_study_is_named(shop: Shop, text: str | bytes, said: str) -> None:
    shop.write("config/y.yaml", "base: default.yaml\n")
    shop.write("config/x.yaml", text)
    shop.refuses("write_study --configfile config/x.yaml --out x/study.json", f"config/x.yaml ...{said}")


@pytest.mark.parametrize(
    ("name", "said"),
    [("nowhere.yaml", "config file nowhere.yaml does not exist"), ("my study.yaml", "named after its file")],
)
def test_a_name_that_is_no_studys(shop: Shop, name: str, said: str) -> None:
    shop.write("my study.yaml", "base: config/tiny.yaml\n")
    shop.refuses(f"write_study --configfile '{name}' --out x/study.json", said)
    shop.refuses(f"verify --configfile '{name}'", said)


def test_a_number_may_be_written_without_a_dot(shop: Shop) -> None:
    path = shop.write("config/x.yaml", "base: default.yaml\nsft: {learning_rate: 1e-3}\ngrpo: {learning_rate: -2E+1}\n")
    with pytest.raises(ValueError, match=r"grpo.learning_rate: .*greater than 0 \(got -20.0\)"):
        load_study(path)


@pytest.mark.parametrize(("prompts", "group"), [(1, 2), (3, 5), (7, 4)])
def test_no_group_can_fail_to_divide_its_batch(tmp_path: Path, prompts: int, group: int) -> None:
    sizes = {"prompts_per_step": prompts, "num_generations": group}
    config = GrpoConfig.parse(GRPO | sizes, "grpo")
    arguments = trl_arguments(config, Compute(device="cpu", bf16=False), config.arms["both"], tmp_path, seed=0)
    assert TrlGrpoConfig(**arguments).generation_batch_size == prompts * group


def test_the_sections_of_a_resolved_study_are_those_of_the_config() -> None:
    required = {name for name, field in StudyConfig.model_fields.items() if field.is_required()}
    assert required | {"lora"} == SECTIONS, "which is there with its default, null"
