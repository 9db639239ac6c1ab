"""Do the transitions' intervals cover, do the tests hold their level? On synthetic studies whose truth is known."""

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from coherence.core.transition_checks import SHAPES, SIZES, World, checked, early, fires
from coherence.figures import style
from coherence.streams import generator

WORLDS = {"wide": World(rho=0.6), "narrow": World(rho=0.2), "heavy tails": World(rho=0.6, heavy=True)}
"""Of the coverage."""
RHOS = (0.6, 0.7, 0.8, 0.9, 1.0, 1.2)
"""Of the power to call a climb sharp, as shares of the threshold."""
JUMPS, TALL = (0.05, 0.1, 0.2, 0.3, 0.4), 0.3
"""Shares of the climb, and from which on the interval of one is checked."""
PLATEAUS = (0.9, 0.92, 0.94, 0.95, 0.96, 0.97, 0.98)
TOKENS = (24, 96, 384)
"""Accuracy under the gate's threshold, and tokens per step."""
PLATEAU_STEPS = 1000
HELD = (0.93, 0.97)
"""Between which coverage at 95 % must lie."""
TOLD = {"coverage": ("tau", "width", "rho"), "smooth": ("sharp", "jump"), "rho": ("sharp",), "jump": ("jump", "J")}
"""What is checked in each kind of world."""
QUANTITIES = {"tau": ("o", r"$\tau$"), "width": ("s", "width"), "rho": ("^", r"$\rho$")}
SHADES = dict(zip(SIZES, ("#9ecae1", "#4292c6", "#084594"), strict=True))


# ------------------------------------------------------------------------------- data


def checks(settings: Mapping[str, Any]) -> Iterator[tuple[str, pd.DataFrame]]:
    """World by world, tidy: what was checked, at which value of the world, with how many seeds, and the share found."""
    options, rule, gate = settings["figure"], settings["rule"], settings["gate"]
    worlds = {("coverage", name): world for name, world in WORLDS.items()}
    worlds |= {("smooth", shape): World(rho=rule["sharp"], shape=shape) for shape in SHAPES}
    worlds |= {("rho", f"{share:g}"): World(rho=share * rule["sharp"]) for share in RHOS}
    worlds |= {("jump", f"{jump:g}"): World(jump=jump) for jump in JUMPS}
    for (kind, name), world in worlds.items():
        studies, rng = options["studies" if kind == "coverage" else "worlds"], generator(0, "transitions", kind, name)
        rows = checked(world, rule["sharp"], rule["narrowest"], studies, rule["level"], rng)
        at = world.jump if kind in ("jump", "smooth") else world.rho
        table = pd.DataFrame(rows, columns=["check", "seeds", "share"])
        table = table.assign(kind=kind, world=name, at=at, studies=studies)
        yield f"{kind} {name}", table[table["check"].isin(TOLD[kind])]
    yield "gate", pd.DataFrame(_alarms(gate, options["studies"]))


def _alarms(gate: Mapping[str, Any], curves: int) -> Iterator[dict[str, Any]]:
    own = {key: gate[key] for key in ("threshold", "window", "count")}
    for name, world in WORLDS.items():
        share = early(world, **own, curves=curves, rng=generator(0, "transitions", "early", name))
        yield {"kind": "early", "world": name, "at": world.rho, "share": share}
    for tokens, accuracy in product(TOKENS, PLATEAUS):
        rng = generator(0, "transitions", "gate", f"{accuracy}", f"{tokens}")
        plateaus = rng.binomial(tokens, accuracy, (curves, PLATEAU_STEPS)) / tokens
        share = float(fires(plateaus, **own)[:, -1].mean())
        yield {"kind": "gate", "world": f"{tokens} tokens", "at": accuracy, "share": share}


# ------------------------------------------------------------------------------- drawing


@style.paper_style()
def draw(data: pd.DataFrame, settings: Mapping[str, Any]) -> Figure:
    """Coverage; power of both tests; false alarms of the gate."""
    figure = style.new_figure(style.DOUBLE, 2.1)
    rule = settings["rule"]
    cover, sharp, jump, gate = figure.subplots(1, 4)
    style.title(cover, "a", "coverage")
    draw_coverage(cover, data, rule["level"])
    style.title(sharp, "b", "called sharp")
    draw_power(sharp, data[data["kind"] == "rho"], rule["level"], r"true $\rho$")
    sharp.axvline(rule["sharp"], color=style.INK, linewidth=0.6, zorder=0)
    style.title(jump, "c", "a jump found")
    found = data[data["kind"].isin(["smooth", "jump"]) & (data["check"] == "jump")]
    draw_power(jump, found, rule["level"], "true jump (share of climb)")
    style.title(gate, "d", "gate fires on a plateau")
    draw_gate(gate, data[data["kind"] == "gate"], settings["gate"]["threshold"])
    return figure


def draw_coverage(ax: Axes, data: pd.DataFrame, level: float) -> Axes:
    """Coverage of each quantity against the number of seeds, one mark per world, over the band it must lie in."""
    ax.axhspan(*HELD, color="#eeeeee", linewidth=0, zorder=0)
    ax.axhline(level, color=style.MUTED, linewidth=0.6, zorder=0)
    rows = data[data["kind"] == "coverage"]
    for shift, (name, (marker, label)) in enumerate(QUANTITIES.items()):
        for place, seeds in enumerate(SIZES):
            own = rows[(rows["check"] == name) & (rows["seeds"] == seeds)]
            at = [place + 0.24 * (shift - 1)] * len(own)
            ax.plot(at, own["share"], marker, color=SHADES[seeds], markersize=3, markeredgewidth=0)
        ax.plot([], [], marker, color=style.MUTED, markersize=3, linestyle="none", label=label)
    ax.legend(loc="lower center", ncols=3, handletextpad=0, columnspacing=0.8, borderpad=0)
    ax.set_xticks(range(len(SIZES)), [str(seeds) for seeds in SIZES])
    ax.set_ylim(min(0.9, rows["share"].min() - 0.02), 1.0)
    ax.set_xlabel("seeds")
    return ax


def draw_power(ax: Axes, data: pd.DataFrame, level: float, label: str) -> Axes:
    """Share of studies in which a test speaks, a line per number of seeds; dotted: how often it may without cause."""
    ax.axhline((1 - level) / 2, color=style.MUTED, linewidth=0.6, linestyle=(0, (1, 1.5)))
    for seeds in SIZES:
        rows = data[data["seeds"] == seeds]
        line = rows.groupby("at")["share"].mean()
        ax.plot(line.index, line, color=SHADES[seeds], linewidth=1.1)
        ax.plot(rows["at"], rows["share"], ".", color=SHADES[seeds], markersize=3)
    ax.set_ylim(-0.03, 1.03)
    ax.set_xlabel(label)
    return ax


def draw_gate(ax: Axes, data: pd.DataFrame, threshold: float) -> Axes:
    """Share of plateaus on which the gate fires against their accuracy, a line per number of tokens."""
    shades = dict(zip((f"{tokens} tokens" for tokens in TOKENS), ("#fdae6b", "#e6550d", "#8c2d04"), strict=True))
    for name, rows in data.groupby("world", sort=False):
        ax.plot(rows["at"], rows["share"], color=shades[str(name)], linewidth=1.1, label=str(name))
    ax.axvline(threshold, color=style.INK, linewidth=0.6, zorder=0)
    ax.legend(loc="center left", handlelength=1, borderpad=0)
    ax.set_xticks([PLATEAUS[0], 0.95, threshold])
    ax.set_ylim(-0.03, 1.03)
    ax.set_xlabel("accuracy")
    return ax


# ------------------------------------------------------------------------------- words


def caption(data: pd.DataFrame, settings: Mapping[str, Any]) -> str:
    """What the figure shows, in numbers from the data."""
    options, rule, gate = settings["figure"], settings["rule"], settings["gate"]
    of = {name: rows["share"] for name, rows in data.groupby("kind")}
    sharp = data[(data["check"] == "sharp") & (data["at"] == rule["sharp"])]["share"].max()
    shaped = data[(data["kind"] == "smooth") & (data["check"] == "jump")]["share"]
    tall = data[(data["check"] == "J") & (data["at"] >= TALL)]["share"]
    world = World()
    error = np.sqrt(rule["level"] * (1 - rule["level"]) / options["studies"])
    return f"""\
**The transitions' intervals and tests on curves whose truth is known.** Seeds differ lognormally in τ and ρ
(logarithms by {world.spread_tau:g} and {world.spread_rho:g}), a step's accuracy is a share of {world.tokens} tokens
about a curve whose log-odds wander (by {world.wander:g}, correlation {world.memory:g} from step to step).
a: share of {options["studies"]} studies whose {rule["level"]:.0%} interval holds the truth, by seeds, for
{len(WORLDS)} worlds ({", ".join(WORLDS)}): {of["coverage"].min():.3f} to {of["coverage"].max():.3f}, each with a
standard error of {error:.3f}; band: {HELD[0]:g} to {HELD[1]:g}. b: share of {options["worlds"]} studies called sharp
against the true ρ (line: the threshold {rule["sharp"]:g}); at the threshold at most {sharp:.3f}. c: share in which a
jump is found against its true height; at
0 the dots are {", ".join(SHAPES)}: at most {shaped.max():.3f}, {shaped.mean():.3f} in the mean, where
{(1 - rule["level"]) / 2:.3f} is allowed (dotted). The interval of a jump of {TALL:g} or more holds it in
{tall.min():.3f} to {tall.max():.3f}. Light to dark: {", ".join(map(str, SIZES))} seeds. d: share of plateaus of
{PLATEAU_STEPS} steps on which the gate ({gate["count"]} of {gate["window"]} at {gate["threshold"]:g} or more) fires by
noise alone; before 90 % of a climb it fires on {of["early"].min():.3f} to {of["early"].max():.3f} of the curves of
a."""
