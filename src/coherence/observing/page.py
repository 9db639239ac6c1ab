"""The figure of one run, by itself or in a page that needs nothing else."""

import io
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from coherence.figures.sft_phases import Band, draw_bands, name_bands, step_axis
from coherence.figures.style import ARMS, INK, label_ends, new_figure, paper_style, running_median
from coherence.observing.findings import Finding
from coherence.observing.run import SHARES, Run
from coherence.observing.terminal import gate_text, printable, short

WIDTH, PANEL = 4.6, 1.25  # in; readable on a phone's screen too
AXES = 3.7  # in, of the width, that a panel's axis has
SMOOTH = 5
PANELS: Sequence[tuple[str, Mapping[str, str]]] = (
    ("score", {"reward": "reward", "accuracy": "accuracy"}),
    (r"$\Phi$", {"Phi": ""}),
    ("entropy (nats)", {"entropy": ""}),
    ("groups alike (share)", {"zero-variance groups": "in reward", "same-score groups": "in score"}),
    ("distinct outputs", {"distinct outputs": ""}),
)
"""Label of the axis, and the curves drawn in it with their names."""
COLOURS = (ARMS["task"][0], ARMS["carl"][0])
STYLE = """\
body{margin:0 auto;max-width:44rem;padding:1rem;font:1rem/1.5 system-ui,sans-serif;color:#222;overflow-wrap:break-word}
svg{width:100%;height:auto}h1{font-size:1.3rem;margin:.2rem 0}h2{font-size:1.05rem;margin:1.4rem 0 .3rem}
table{border-collapse:collapse;width:100%;font-size:.85rem}td,th{padding:.2rem .5rem .2rem 0;text-align:left}
tr{border-bottom:1px solid #ddd}small{color:#666}li{margin:.4rem 0}"""


def write(run: Run, wrong: Sequence[Finding], out: Path) -> None:
    """Write the figure (.png, .svg) or the page (.html). ValueError for a run of which nothing can be drawn."""
    with paper_style():
        if out.suffix == ".html":
            out.write_text(page(run, wrong), encoding="utf-8")
        else:
            told = {"Title": printable(run.log.name), "Description": printable(run.headline)}
            draw(run).savefig(out, metadata=told | ({"Date": None} if out.suffix == ".svg" else {}))


def draw(run: Run) -> Figure:
    """Of supervised fine-tuning accuracy and entropy with phases and gate, of other runs the curves that they have.

    ValueError where there is none of them.
    """
    if run.gate:
        second = "entropy" if "entropy" in run.curves else "Phi"
        panels = [(run.curves[name].key, {name: ""}) for name in ("accuracy", second) if name in run.curves]
    else:
        less = "entropy" if "Phi" in run.curves else ""  # the two say the same
        drawn = [(label, {k: v for k, v in names.items() if k in run.curves and k != less}) for label, names in PANELS]
        panels = [panel for panel in drawn if panel[1]]
    if not panels:
        raise ValueError(f"{run.log.path} logs neither accuracy, entropy, Phi nor reward: there is nothing to draw")
    figure = new_figure(WIDTH, PANEL * len(panels) + 0.5)
    axes = np.atleast_1d(figure.subplots(len(panels), 1, sharex=True))
    for ax, (label, lines) in zip(axes, panels, strict=True):
        ax.set_ylabel(label)
        _draw_lines(ax, run, lines)
        if run.gate:
            step_axis(ax, max(run.log.rows))
            draw_bands(ax, _bands(run))
    if run.gate and run.phases:
        name_bands(axes[0], _bands(run), AXES)
    if run.gate and run.gate.fired_step is not None:
        axes[0].plot([run.gate.fired_step], [1.055], "v", markersize=3.5, color=INK, clip_on=False)
    axes[-1].set_xlabel("step (square-root spacing)" if run.gate else "step")
    return figure


def _draw_lines(ax: Axes, run: Run, lines: Mapping[str, str]) -> None:
    """Thin as logged, bold as its running median; entropy of a supervised run as a share of ln V where V is known."""
    ends, colours = {}, dict(zip(lines.values(), COLOURS, strict=False))
    for name, text in lines.items():
        curve, value = run.curves[name], run.curves[name].value
        if run.gate and name == "entropy" and run.log_vocab:
            value = value / run.log_vocab
            ax.set_ylabel(r"entropy share $H/\ln V$")
        bold = running_median(value, SMOOTH)
        ax.plot(curve.step, value, color=colours[text], alpha=0.45, linewidth=0.6)
        ax.plot(curve.step, bold, color=colours[text])
        ends[text] = (float(curve.step[-1]), float(bold[-1]))
    if ax.get_ylim()[1] < 1.1 and (run.gate or set(lines) <= set(SHARES)):
        ax.set_ylim(min(-0.03, ax.get_ylim()[0]), 1.09)
    low, high = ax.get_ylim()
    label_ends(ax, ends, colours, 0.16 * (high - low))


def _bands(run: Run) -> list[Band]:
    """Each phase to where the next begins: steps between two logged ones belong to the earlier."""
    ends = [*(phase.first_step - 1 for phase in run.phases[1:]), *(p.last_step for p in run.phases[-1:])]
    return [Band(phase.name, phase.first_step, end) for phase, end in zip(run.phases, ends, strict=True)]


def page(run: Run, wrong: Sequence[Finding]) -> str:
    """One HTML file with the figure inside."""
    drawn = io.StringIO()
    draw(run).savefig(drawn, format="svg", metadata={"Date": None})
    svg = drawn.getvalue()[drawn.getvalue().index("<svg") :]
    judged = "".join(f"<li>{escape(item.sentence)}<br><small>{escape(item.evidence)}</small>" for item in wrong)
    phases = [
        (p.name, f"{p.first_step} to {p.last_step}", f"{p.accuracy_last:.2f}", f"{p.entropy_last:.2f}")
        for p in run.phases
    ]
    curves = [(name, c.key, short(c.value[0]), short(c.value[-1])) for name, c in run.curves.items()]
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>{escape(run.log.name)}</title><style>{STYLE}</style>
<h1>{escape(run.log.name)}</h1><p>{escape(run.headline)}</p>
{svg}
<p><small>Thin lines: values as logged; bold: running median of {SMOOTH}.</small>
<h2>What looks wrong</h2>{f"<ul>{judged}</ul>" if wrong else "<p>Nothing that is checked for.</p>"}
<h2>Gate and phases</h2><p>{escape(gate_text(run))}</p>
{_table(("phase", "steps", "last accuracy", "last entropy"), phases) if phases else escape(run.no_phases)}
<h2>Curves</h2>{_table(("quantity", "logged as", "first", "last"), curves)}
</html>
"""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = [("th", head), *(("td", row) for row in rows)]
    return f"<table>{''.join('<tr>' + ''.join(f'<{tag}>{escape(text)}' for text in row) for tag, row in cells)}</table>"
