"""Figure: what the transitions' intervals and tests do on curves whose truth is known."""

from pathlib import Path

from coherence.console import progress, run_cli
from coherence.figures.begin import begin


def main(config: Path, out: Path) -> None:
    """Draw coverage of the intervals, power and false alarms of the tests, and false alarms of the gate.

    Args:
        config: results/X/study.json.
        out: path without suffix; .png, .svg, .pdf, .parquet and .caption.md are written.
    """
    artifact = begin("transition_checks", __file__, config, out, {})
    if artifact.reuse():
        return
    import pandas as pd

    from coherence.figures.save import save
    from coherence.figures.transition_checks import caption, checks, draw

    parts = []
    for name, rows in checks(artifact.settings):
        parts.append(rows)
        progress(f"{name}: {len(rows)} numbers")
    data = pd.concat(parts, ignore_index=True)
    save(artifact, data, caption(data, artifact.settings), draw(data, artifact.settings))
    progress(f"{out}.png: {len(data)} numbers")


if __name__ == "__main__":
    run_cli(main)
