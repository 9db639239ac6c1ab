# Figures and tables. Each is one target, figs/<study>/NAME.png or NAME.md; its data lie beside it as NAME.parquet.
from coherence.config.figures import names

FIGURES = names(STUDY.resolved)
SFT, SHOWN_FOLDERS = ([f"{R}/{run}" for run in runs] for runs in (RUNS[: len(STUDY.seeds)], SHOWN_RUNS))
SCORED = {"scores": [f"{R}/scores"], "runs": SHOWN_FOLDERS}
PICTURE = ["png", "svg", "pdf"]
TABLE = ["md", "csv", "tex"]

# of each figure its program, what it draws, and the artifacts that its program's options take
DRAWN = {
    "sft_phases": ("draw_sft_phases", PICTURE, {"sft": SFT}),
    "phase_table": ("tabulate_phases", TABLE, {"sft": SFT}),
    "phi_trajectories": (
        "draw_phi_trajectories",
        PICTURE,
        {
            "base": [f"{R}/base"],
            "generations": expand(f"{R}/generate/{{of}}", of=SHOWN_CHECKPOINTS),
            "runs": SHOWN_FOLDERS,
        },
    ),
    "reward_components": ("draw_reward_components", PICTURE, {"grpo": SHOWN_FOLDERS[len(SFT) :]}),
    "arms": ("draw_arms", PICTURE + TABLE, SCORED),
    "families": ("tabulate_families", TABLE, {"data": [f"{R}/data"], "baselines": [f"{R}/baselines"], **SCORED}),
    "coherence_trap": ("draw_coherence_trap", PICTURE, SCORED),
    "alignment": ("draw_alignment", PICTURE + TABLE, {"compat": [f"{R}/compat"], "runs": SHOWN_FOLDERS}),
    "contrasts": (
        "draw_contrasts",
        PICTURE + TABLE,
        {
            "base": [f"{R}/base"],
            "scores": [f"{R}/scores"],
            "generations": expand(f"{R}/generate/{{of}}", of=CHECKPOINTS),
            "runs": [f"{R}/{run}" for run in RUNS],
            "curves": CURVE_RUNS,
        },
    ),
    "gates": (
        "draw_gates",
        PICTURE,
        {"scores": [f"{R}/scores"], "grpo": [f"{R}/{run}" for run in RUNS[len(SFT) :]]},
    ),
    "claims": (
        "judge_claims",
        PICTURE + TABLE,
        {"figures": sorted({f"{F}/{c['figure']}" for c in STUDY.resolved["claims"].values() if c["figure"]})},
    ),
    "risk_coverage": (
        "draw_risk_coverage",
        PICTURE + TABLE,
        {**SCORED, "generations": expand(f"{R}/generate/{{of}}", of=SHOWN_CHECKPOINTS)},
    ),
    "adaptation": (
        "draw_adaptation",
        PICTURE + TABLE,
        {"adapt": expand(f"{R}/adapt/seed{{seed}}", seed=STUDY.seeds), "runs": SFT},
    ),
    "transitions": ("draw_transitions", PICTURE + TABLE, {"runs": CURVE_RUNS}),
    "transition_checks": ("draw_transition_checks", PICTURE, {}),
    "constants": ("tabulate_constants", TABLE, {}),
}


for name in FIGURES:
    program, shown, taken = DRAWN[name]

    rule:
        name:
            name
        input:
            [manifest_of(place) for places in taken.values() for place in places],
        output:
            multiext(f"{F}/{name}.", *shown, "parquet", "caption.md", "manifest.json"),
        log:
            f"logs/{STUDY.name}/figures/{name}.log",
        benchmark:
            f"logs/{STUDY.name}/figures/{name}.tsv"
        localrule: True
        conda:
            "../../environment.yml"
        resources:
            mem_mb=1000,
            runtime=10,
        params:
            program=f"scripts/{program}.py",
            study=f"{R}/study.json",
            settings=settings("figures", name=name),
            code=identity(f"scripts/{program}.py"),
            taken=[word for option, folders in taken.items() for word in (f"--{option}", *folders)],
            out=subpath(output[0], strip_suffix=f".{shown[0]}"),
        message:
            "figure or table: {rule} (log: {log})"
        shell:
            "python {params.program} --config {params.study} {params.taken} --out {params.out} 2> {log}"
