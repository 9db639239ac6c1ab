"""Write the resolved config of a study: what every other script reads."""

import json
from pathlib import Path

from coherence.config.study import load_study
from coherence.console import run_cli


def main(configfile: Path, out: Path) -> None:
    """Resolve a config file (its `base:` merged in, every key checked) into one JSON file.

    Args:
        configfile: config/X.yaml; the study's name is X.
        out: usually results/X/study.json.
    """
    study = load_study(configfile)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(study.resolved, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run_cli(main)
