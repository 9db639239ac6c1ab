"""Table: the published constants, checked."""

from pathlib import Path

from coherence.console import progress, run_cli
from coherence.figures.begin import begin


def main(config: Path, out: Path) -> None:
    """Check every published statement about the constants in exact arithmetic, and tabulate the verdicts.

    Args:
        config: results/X/study.json.
        out: path without suffix; .md, .csv, .tex, .parquet and .caption.md are written.
    """
    artifact = begin("constants", __file__, config, out, {})
    if artifact.reuse():
        return
    from coherence.core.constant_checks import constant_checks
    from coherence.figures.constants import caption, check_rows, table
    from coherence.figures.save import save

    checks = constant_checks()
    rows = check_rows(checks)
    save(artifact, rows, caption(checks), table=table(checks))
    progress(f"{out}.md: {len(checks)} statements, {int((rows['verdict'] != 'holds').sum())} do not hold")


if __name__ == "__main__":
    run_cli(main)
