"""The embedded base model before training: corpus, tokenizer, architecture.

What is left out on purpose: digits and `click(...)` never occur in the prose, so that the pre-trained model is
confident and wrong about the task, as a real base model is about a new output format.
"""

from collections.abc import Iterator

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from coherence.config.base import EmbeddedModel
from coherence.tasks.grounding.layout import PANELS, TEMPLATES, WIDGETS, call, fact

END_OF_TEXT, START, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
CHAT_TEMPLATE = (
    "{% for message in messages %}" + START + "{{ message['role'] }}\n{{ message['content'] }}" + END + "\n{% endfor %}"
    "{% if add_generation_prompt %}" + START + "assistant\n{% endif %}"
)
SPLIT = r" ?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+|\s+"
"""A word carries its space; a number of up to three digits stays in one piece."""


def prose_pairs(rows: int, rng: np.random.Generator) -> Iterator[tuple[str, str]]:
    """(question, answer) of generated prose: a few facts, then where one of the things is."""
    for _ in range(rows):
        facts = [fact(rng) for _ in range(int(rng.integers(2, 5)))]
        sentence, thing, _ = facts[int(rng.integers(len(facts)))]
        question = " ".join(text for text, _, _ in facts) + f" Where is the {thing}?"
        yield question, f"{sentence} {fact(rng)[0]}"


def format_pairs(rows: int, rng: np.random.Generator) -> Iterator[tuple[str, str]]:
    """(instruction, call) in the task's own format with random coordinates: the answer's form without its content."""
    for _ in range(rows):
        template = TEMPLATES[int(rng.integers(len(TEMPLATES)))]
        instruction = template.format(widget=rng.choice(WIDGETS), panel=rng.choice(PANELS))
        yield instruction, call(int(rng.integers(100)), int(rng.integers(100)))[0]


def pretraining_pairs(config: EmbeddedModel, rng: np.random.Generator) -> list[tuple[str, str]]:
    """What the base model is pre-trained on: prose, or half prose and half calls with random coordinates."""
    rows = config.pretraining.rows
    if config.prior == "prose":
        return list(prose_pairs(rows, rng))
    pairs = [*prose_pairs(rows // 2, rng), *format_pairs(rows - rows // 2, rng)]
    return [pairs[i] for i in rng.permutation(len(pairs))]


def make_tokenizer(config: EmbeddedModel, rng: np.random.Generator) -> PreTrainedTokenizerFast:
    """Byte-level BPE trained on prose and on calls (every number 0..99 becomes one token), with a ChatML template."""
    corpus = [text for pair in prose_pairs(2000, rng) for text in pair]
    corpus += [text for pair in format_pairs(1000, rng) for text in pair]
    corpus += [f"click({n}, {n})" for n in range(100) for _ in range(3)]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=config.vocab_size,
        special_tokens=[END_OF_TEXT, START, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END,
        pad_token=END_OF_TEXT,
        padding_side="left",
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        model_max_length=config.context,
    )


def make_llama(config: EmbeddedModel, tokenizer: PreTrainedTokenizerFast, seed: int) -> LlamaForCausalLM:
    """A Llama with random weights and tied embeddings, as wide as the config says."""
    torch.manual_seed(seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=config.hidden_size,
            intermediate_size=config.intermediate_size,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            max_position_embeddings=config.context,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model
