"""Write the resolved config of a study, as Snakemake does when it starts; scripts read it."""

from pathlib import Path

from coherence.config.study import load_study
from coherence.console import run_cli


def main(configfile: Path, out: Path) -> None:
    """Resolve a config file (its `base:` merged in, every key checked) into one JSON file.

    Args:
        configfile: config/X.yaml; the study's name is X.
        out: usually results/X/study.json.
    """
    load_study(configfile).write(out)


if __name__ == "__main__":
    run_cli(main)
