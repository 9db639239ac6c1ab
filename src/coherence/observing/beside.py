"""What lies beside a log: how the run ended, its gate, and the size V of its vocabulary."""

import math
from pathlib import Path
from typing import Any, NamedTuple

from coherence.core.gate import WindowedGate
from coherence.observing.logs import Log
from coherence.provenance.files import parse_json


class Vocabulary(NamedTuple):
    """V, and where it was found."""

    size: int
    source: str


def read_object(path: Path | None) -> dict[str, Any]:
    """A JSON object from a file; empty where there is none. ValueError names a file that is not JSON."""
    return _object(parse_json(path.read_bytes(), path)) if path and path.is_file() else {}


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


class Gate(NamedTuple):
    """A gate, whether it looks at training batches (`sft`) or at the `validation` split, and its token class."""

    gate: WindowedGate
    split: str
    token_class: str


def gate_of(log: Log) -> Gate:
    """The gate of the study that the run belongs to, else the default one."""
    studies = (folder / "study.json" for folder in log.path.resolve().parents)
    settings = _object(_object(read_object(next(filter(Path.is_file, studies), None)).get("sft")).get("gate"))
    if set(settings) != {"split", "token_class", "threshold", "window", "count"}:
        return Gate(WindowedGate(), "sft", "content")
    gate = WindowedGate(settings["threshold"], settings["window"], settings["count"])
    return Gate(gate, settings["split"], settings["token_class"])


def vocabulary(log: Log, given: int | None) -> Vocabulary | None:
    """V as given, or as the run's outcome, the model beside the log or the tracker's config tells it.

    A model's config comes before its tokenizer: trainers take entropy over all rows of the head, padded ones too.
    """
    if given is not None and given < 2:
        raise ValueError(f"--vocab-size must be at least 2, got {given}")
    own, checkpoints = log.path.parent, sorted(log.path.parent.glob("checkpoint-*/"))
    places = [
        (folder, folder / name) for folder in (own, *checkpoints[-1:]) for name in ("config.json", "tokenizer.json")
    ]
    sizes = [
        (given, "--vocab-size"),
        (read_object(own / "outcome.json").get("vocab_size"), "outcome.json"),
        (_from_phi(log), "its logged Phi"),
        *((_size(read_object(path)), f"{folder.name}/{path.name}") for folder, path in places),
        (_size(_object(log.config)), "the tracker's config"),
    ]
    return next((Vocabulary(size, source) for size, source in sizes if isinstance(size, int) and size >= 2), None)


def _from_phi(log: Log) -> int | None:
    """V of a run that logs entropy and Phi by our names: H / (1 - Phi) = ln V."""
    for row in log.rows.values():
        for tokens in ("all", "coherence"):
            entropy, phi = row.get(f"{tokens}/entropy", math.nan), row.get(f"{tokens}/phi", math.nan)
            if 0 < entropy < 30 * (1 - phi):
                return round(math.exp(entropy / (1 - phi)))
    return None


def _size(told: dict[str, Any]) -> Any:
    """V by a model's config (of its text part, if it has parts), or one more than a tokenizer's highest id."""
    vocab, added = _object(told.get("model")).get("vocab"), told.get("added_tokens")
    ids = [*(vocab.values() if isinstance(vocab, dict) else range(len(vocab)) if isinstance(vocab, list) else ())]
    ids += [_object(token).get("id") for token in added] if isinstance(added, list) else []
    told_size = told.get("vocab_size") or _object(told.get("text_config")).get("vocab_size")
    return told_size or max((token for token in ids if isinstance(token, int)), default=-1) + 1
