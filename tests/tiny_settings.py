"""Settings of the smallest model, task and SFT run that tests train."""

TINY_MODEL = {
    "kind": "embedded",
    "hidden_size": 24,
    "layers": 1,
    "heads": 2,
    "intermediate_size": 32,
    "context": 128,
    "vocab_size": 700,
    "prior": "none",
    "pretraining": {
        "rows": 40,
        "steps": 2,
        "batch_size": 4,
        "learning_rate": 1e-3,
        "warmup_steps": 1,
        "weight_decay": 0.0,
        "adam_beta2": 0.98,
    },
    "seed": 0,
}
TINY_SFT = {
    "learning_rate": 1e-2,
    "batch_size": 16,
    "bucket": 1,
    "max_steps": 40,
    "warmup_steps": 0,
    "cooldown_steps": 0,
    "weight_decay": 0.0,
    "adam_beta2": 0.98,
    "max_grad_norm": 1.0,
    "gate": {"split": "sft", "token_class": "content", "threshold": 0.99, "window": 5, "count": 3},
}
TINY_DATA = {
    "task": "grounding",
    "panels": 4,
    "widgets": 4,
    "heldout_per_line": 1,
    "box_radius": 3,
    "max_tokens": 96,
    "seed": 0,
}
