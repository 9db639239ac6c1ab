"""Small random-weight models of many architectures, each with a tokenizer trained on the rows that it will see."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoModelForCausalLM, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from coherence.models.load import save_model

Texts = Sequence[str]
BEGIN, TURN, END_OF_TURN = "<begin>", "<start_of_turn>", "<end_of_turn>"
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    + TURN
    + "{{ message['role'] }}\n{{ message['content'] }}"
    + END_OF_TURN
    + "\n{% endfor %}{% if add_generation_prompt %}"
    + TURN
    + "model\n{% endif %}"
)
"""As most do, it spells the start token out; where there is none it renders as nothing."""


def byte_level(kind: str) -> Callable[[Texts], PreTrainedTokenizerBase]:
    """Byte-level BPE of a library's class, with its own end and padding tokens, start token unused."""

    def make(texts: Texts) -> PreTrainedTokenizerBase:
        return getattr(transformers, kind)().train_new_from_iterator(
            texts, 320, new_special_tokens=[BEGIN, TURN, END_OF_TURN]
        )

    return make


def byte_level_with_start(texts: Texts) -> PreTrainedTokenizerBase:
    """As Llama 3's: byte-level, a start token in front of every text, no padding token."""
    tokenizer = byte_level("Qwen2Tokenizer")(texts)
    tokenizer.pad_token, tokenizer.bos_token = None, BEGIN
    put_start(tokenizer.backend_tokenizer, BEGIN)
    return tokenizer


def metaspace(texts: Texts) -> PreTrainedTokenizerBase:
    """As Gemma's: Unigram pieces that carry their space, unknown characters as bytes, a start token in front."""
    special = ["<pad>", "<bos>", "<eos>", "<unk>", TURN, END_OF_TURN]
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Replace(" ", "\u2581")
    tokenizer.pre_tokenizer = pre_tokenizers.Digits(individual_digits=True)
    tokenizer.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.Fuse()])
    trainer = trainers.UnigramTrainer(vocab_size=200, special_tokens=special, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator([*texts, "user\n", "model\n"], trainer)
    put_start(tokenizer, "<bos>")
    names = {f"{name}_token": f"<{name}>" for name in ("pad", "bos", "eos", "unk")}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)


def put_start(tokenizer: Tokenizer, token: str) -> None:
    """Put the token in front of every encoded text."""
    start = [(token, tokenizer.token_to_id(token))]
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{token} $A", special_tokens=start)


@dataclass(frozen=True)
class Case:
    """One architecture: config class, tokenizer, and what else may differ from model to model."""

    config: str
    tokenizer: Callable[[Texts], PreTrainedTokenizerBase]
    tied: bool
    dead_rows: int = 0
    """Rows of the head that no token has."""
    template: bool = False
    other_ends: tuple[str, ...] = ()
    """Tokens at which the model's own generation config stops, beside the end token."""
    values: dict[str, Any] = field(default_factory=dict)


SMALL = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 96,
}
GEMMA = {"head_dim": 16, "query_pre_attn_scalar": 16, "sliding_window": 16}
QWEN3_5 = {
    "head_dim": 16,
    "layer_types": ["linear_attention", "full_attention"],
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
}
"""A running state in place of attention in all but some layers."""
NEOX = "GPTNeoXTokenizer"
MOE = {"num_experts_per_tok": 2, "router_aux_loss_coef": 0.01}
EXPERTS = {"num_experts": 4, "moe_intermediate_size": 24}
CASES = {
    "llama": Case("LlamaConfig", byte_level_with_start, False, 13, True, (END_OF_TURN,)),
    "qwen3": Case("Qwen3Config", byte_level("Qwen2Tokenizer"), True, 24, True, values={"head_dim": 16}),
    "qwen3_5": Case("Qwen3_5TextConfig", byte_level("Qwen2Tokenizer"), True, 24, True, values=QWEN3_5),
    "gpt2": Case("GPT2Config", byte_level("GPT2Tokenizer"), True, values={"n_embd": 32, "n_layer": 2, "n_head": 2}),
    "olmo": Case("OlmoConfig", byte_level(NEOX), True),
    "olmo2": Case("Olmo2Config", byte_level(NEOX), False, 8),
    "gemma": Case("GemmaConfig", metaspace, True, values={"head_dim": 16}),
    "gemma2": Case("Gemma2Config", metaspace, True, 10, True, (END_OF_TURN,), GEMMA | {"final_logit_softcapping": 2.0}),
    "gemma3": Case("Gemma3TextConfig", metaspace, True, 0, True, (END_OF_TURN, "<pad>"), GEMMA),
    "gpt_neox": Case("GPTNeoXConfig", byte_level(NEOX), False, 8),
    "phi, a bias in the head": Case("PhiConfig", byte_level("GPT2Tokenizer"), False, 5),
    "qwen3_moe": Case("Qwen3MoeConfig", byte_level("Qwen2Tokenizer"), False, 7, True, values=MOE | EXPERTS),
    "mixtral, a router with noise": Case(
        "MixtralConfig", metaspace, False, 0, True, values=MOE | {"num_local_experts": 4, "router_jitter_noise": 0.3}
    ),
    "granite, logits divided": Case("GraniteConfig", byte_level(NEOX), True, values={"logits_scaling": 4.0}),
    "cohere, logits multiplied": Case("CohereConfig", metaspace, True, values={"logit_scale": 0.5}),
    "hyperclovax, logits multiplied": Case("HyperCLOVAXConfig", metaspace, False, 6, values={"logits_scaling": 4.0}),
}


def save_pretrained(case: Case, texts: Texts, folder: Path) -> int:
    """Model and tokenizer as someone may publish them, sampling habits included; the number of tokens."""
    tokenizer = case.tokenizer(texts)
    tokenizer.chat_template = TEMPLATE if case.template else None
    config = getattr(transformers, case.config)(
        **SMALL | case.values,
        vocab_size=len(tokenizer) + case.dead_rows,
        tie_word_embeddings=case.tied,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    ends = [tokenizer.eos_token, *case.other_ends]
    model.generation_config.eos_token_id = tokenizer.convert_tokens_to_ids(ends)
    model.generation_config.update(do_sample=True, top_k=5, temperature=0.6)
    folder.mkdir()
    save_model(model, tokenizer, folder)
    return len(tokenizer)
