"""Facts of known models, and the memory that is counted without taking any."""

import json
import weakref
from pathlib import Path

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import AutoConfig, AutoModelForCausalLM

from coherence.planning import memory
from coherence.planning.facts import add_adapters, facts_of, make_fake, read_config
from coherence.planning.memory import Counter, Split, generation_need, rollout_need, training_need

LLAMA_1B = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 128256, "hidden_size": 2048,
    "intermediate_size": 8192, "num_hidden_layers": 16, "num_attention_heads": 32, "num_key_value_heads": 8,
    "head_dim": 64, "tie_word_embeddings": True, "max_position_embeddings": 131072, "dtype": "bfloat16",
}  # fmt: skip
QWEN3_06B = {
    "model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"], "vocab_size": 151936, "hidden_size": 1024,
    "intermediate_size": 3072, "num_hidden_layers": 28, "num_attention_heads": 16, "num_key_value_heads": 8,
    "head_dim": 128, "tie_word_embeddings": True, "max_position_embeddings": 40960,
}  # fmt: skip
GPT2 = {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "vocab_size": 50257}
TINY = {
    "model_type": "llama", "vocab_size": 600, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 4, "tie_word_embeddings": False, "max_position_embeddings": 128,
}  # fmt: skip


def written(values: dict, folder: Path) -> Path:
    (folder / "config.json").write_text(json.dumps(values))
    return folder / "config.json"


def tiny(on_host: bool = True, bf16: bool = False, **changes: object) -> Counter:
    return Counter(*make_fake(AutoConfig.for_model(**TINY | changes)), on_host=on_host, bf16=bf16)


@pytest.mark.parametrize(
    ("values", "parameters", "targets"),
    [(LLAMA_1B, 1_235_814_400, 16 * 7), (QWEN3_06B, 596_049_920, 28 * 7), (GPT2, 124_439_808, 12 * 4)],
    ids=["Llama-3.2-1B", "Qwen3-0.6B", "GPT-2"],
)
def test_counts_of_published_models(values: dict, parameters: int, targets: int, tmp_path: Path) -> None:
    facts = facts_of(make_fake(read_config(written(values, tmp_path)))[0])
    assert (facts.parameters, facts.targets) == (parameters, targets)
    assert facts.tied and facts.modality == "text" and facts.quantization is None
    assert facts.vocab_size == values["vocab_size"]
    assert facts.architecture == values["architectures"][0]


def test_what_a_config_says_beside_counts(tmp_path: Path) -> None:
    quantized = TINY | {"quantization_config": {"quant_method": "gptq", "bits": 4}}
    facts = facts_of(make_fake(read_config(written(quantized, tmp_path)))[0])
    assert facts.quantization == "gptq" and not facts.tied and facts.context == 128
    vision = {"depth": 1, "hidden_size": 16, "num_heads": 2, "intermediate_size": 16, "out_hidden_size": 32}
    both = {
        "model_type": "qwen2_5_vl",
        "text_config": TINY | {"model_type": "qwen2_5_vl_text"},
        "vision_config": vision,
    }
    assert facts_of(make_fake(read_config(written(both, tmp_path)))[0]).modality == "images and text"


@pytest.mark.parametrize("text", ["{", "[]", '{"hidden_size": 3}', '{"model_type": "no-such-model"}'])
def test_a_config_that_is_none_is_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ValueError, match=r"config\.json") as caught:
        read_config(tmp_path / "config.json")
    assert "\n" not in str(caught.value)


def test_weights_gradients_and_optimizer_by_hand() -> None:
    counter = tiny()
    numbers = 2 * 600 * 32 + 2 * (4 * 32 * 32 + 3 * 32 * 64 + 2 * 32) + 32
    need = training_need(counter, 4, 16)
    assert (need.weights, need.gradients, need.optimizer) == (4 * numbers, 4 * numbers, 8 * numbers)
    assert need.peak > 16 * numbers
    both = rollout_need(counter, 4, 8, 8)
    assert both.weights == 8 * numbers, "the start's weights are held beside the policy's"
    alone = generation_need(counter, 4, 8, 8)
    assert (alone.weights, alone.gradients, alone.optimizer) == (4 * numbers, 0, 0)
    assert alone.cache == 2 * 2 * 32 * 4 * (4 * 16), "layers x (key and value) x width x bytes x tokens"


def test_counting_without_storage_is_counting_with_it() -> None:
    counter = tiny()
    torch.manual_seed(0)
    real = AutoModelForCausalLM.from_config(counter.model.config).train()
    held = Counter(real, FakeTensorMode(), on_host=True, bf16=False)
    object.__setattr__(held, "mode", memory.nullcontext())
    for batch, tokens in ((1, 8), (3, 40)):
        assert counter.step(batch, tokens) == held.step(batch, tokens)
        assert counter.look(batch, tokens, 4, cache=True) == held.look(batch, tokens, 4, cache=True)


def test_what_is_alive_is_counted_until_it_is_let_go() -> None:
    with memory._Live() as live:
        a = torch.zeros(256)
        view = a.view(2, 128)
        assert live.now == 1024
        b = view + 1
        gone = weakref.ref(a.untyped_storage())
        del a, view
        assert (live.now, live.peak, gone()) == (1024, 2048, None)
        del b
        assert (live.now, live.peak) == (0, 2048)


def test_autocast_holds_half_the_activations_and_half_the_weights() -> None:
    plain, cast = (tiny(on_host=False, bf16=bf16).step(8, 64).forward for bf16 in (False, True))
    assert cast < 0.8 * plain


def test_adapters_are_all_that_is_trained() -> None:
    model, mode = make_fake(AutoConfig.for_model(**TINY))
    add_adapters(model, mode, {"r": 4, "alpha": 8})
    counter = Counter(model, mode, on_host=True, bf16=False)
    assert counter.trained == 2 * 4 * (4 * (32 + 32) + 3 * (32 + 64))
    need = rollout_need(counter, 4, 8, 8)
    assert need.optimizer == 8 * counter.trained
    assert need.weights == counter.weights, "the start is the model under the adapters"
    assert need.peak < rollout_need(tiny(), 4, 8, 8).peak


def test_processes_and_parts_divide_the_batch() -> None:
    counter = tiny()
    whole = training_need(counter, 32, 64)
    parts = training_need(counter, 32, 64, Split(parts=8))
    assert parts.activations < whole.activations / 6
    assert parts.peak < whole.peak
    two = training_need(counter, 32, 64, Split(processes=2, shards=2))
    assert (two.weights, two.optimizer) == (whole.weights // 2, whole.optimizer // 2)
    assert two.activations < 0.6 * whole.activations
