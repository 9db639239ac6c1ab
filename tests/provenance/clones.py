"""A small clone in a temporary folder: scripts, a library, a lock, and a study of two stages and a figure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coherence.provenance.artifact import Artifact

LOCK = "numpy==2.4.6\n    # via -r requirements.in\n"
SOURCES = {
    "requirements.lock": LOCK,
    "scripts/make.py": "import lib.core\nprint(lib.core.double(2))\n",
    "scripts/draw.py": "import lib.plots\n",
    "src/lib/__init__.py": "",
    "src/lib/core.py": "def double(x):\n    return 2 * x\n",
    "src/lib/plots.py": "WIDTH = 3\n",
}


def write_tree(root: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


@dataclass
class Clone:
    """base -> sft (two seeds) -> figure, in the working folder."""

    root: Path
    values: dict[str, Any] = field(default_factory=lambda: {"sft": {"learning_rate": 0.001}})
    seeds: tuple[int, ...] = (0, 1)

    def settings(self, stage: str, cell: Mapping[str, Any]) -> dict[str, Any] | None:
        if cell.get("seed", self.seeds[0]) not in self.seeds:
            return None
        return {stage: self.values.get(stage, {}), **cell}

    def artifact(self, stage: str, seed: int | None = None, **changes: Any) -> Artifact:
        cell = {} if seed is None else {"seed": seed}
        sft = {f"sft{seed}": Path(f"results/s/sft/seed{seed}") for seed in self.seeds}
        out, inputs = {
            "base": ("results/s/base", {}),
            "sft": (f"results/s/sft/seed{seed}", {"base": Path("results/s/base")}),
            "figures": ("figs/s/arms", sft),
        }[stage]
        script = "scripts/draw.py" if stage == "figures" else "scripts/make.py"
        given = {
            "out": Path(out),
            "stage": stage,
            "cell": cell,
            "script": Path(script),
            "inputs": inputs,
            "settings": self.settings(stage, cell),
            "root": self.root,
            "stem": stage == "figures",
        }
        return Artifact(**(given | changes))

    def build(self, artifact: Artifact, text: str = "bytes") -> None:
        with artifact.write() as folder:
            for name in ("arms.png", "arms.parquet") if artifact.stem else ("model.bin", "sub/log.jsonl"):
                (folder / name).parent.mkdir(exist_ok=True)
                (folder / name).write_text(f"{text} {name} {artifact.cell}")

    def build_all(self) -> None:
        self.build(self.artifact("base"))
        for seed in self.seeds:
            self.build(self.artifact("sft", seed))
        self.build(self.artifact("figures"))
