# Every figure and table is one target, figs/<study>/NAME.png or NAME.md; its data lie beside it as NAME.parquet.
from coherence.config.figures import NAMES as FIGURES

PICTURE = ["png", "svg", "pdf"]
TABLE = ["md", "csv", "tex"]
BESIDE = ["parquet", "caption.md", "manifest.json"]

SFT_RUNS = expand("sft/seed{seed}", seed=STUDY.seeds)
GRPO_RUNS = expand("grpo/{arm}/seed{seed}", arm=STUDY.arms, seed=STUDY.seeds)


rule alignment:
    input:
        compat=f"{R}/compat/manifest.json",
        runs=expand(f"{R}/{{run}}/manifest.json", run=SFT_RUNS + GRPO_RUNS),
    output:
        multiext(f"{F}/alignment.", *PICTURE, *TABLE, *BESIDE),
    log:
        f"logs/{STUDY.name}/figures/alignment.log",
    benchmark:
        f"logs/{STUDY.name}/figures/alignment.tsv"
    localrule: True
    conda:
        "../../environment.yml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        study=f"{R}/study.json",
        settings=settings("figures", name="alignment"),
        code=identity("scripts/draw_alignment.py"),
        compat=subpath(input.compat, parent=True),
        runs=expand(f"{R}/{{run}}", run=SFT_RUNS + GRPO_RUNS),
        out=subpath(output[0], strip_suffix=".png"),
    message:
        "figure: the reference file's scoring beside the aligned one (log: {log})"
    shell:
        "python scripts/draw_alignment.py --config {params.study} --compat {params.compat}"
        " --runs {params.runs} --out {params.out} 2> {log}"


rule arms:
    input:
        scores=f"{R}/scores/manifest.json",
        runs=expand(f"{R}/{{run}}/manifest.json", run=SFT_RUNS + GRPO_RUNS),
    output:
        multiext(f"{F}/arms.", *PICTURE, *TABLE, *BESIDE),
    log:
        f"logs/{STUDY.name}/figures/arms.log",
    benchmark:
        f"logs/{STUDY.name}/figures/arms.tsv"
    localrule: True
    conda:
        "../../environment.yml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        study=f"{R}/study.json",
        settings=settings("figures", name="arms"),
        code=identity("scripts/draw_arms.py"),
        scores=subpath(input.scores, parent=True),
        runs=expand(f"{R}/{{run}}", run=SFT_RUNS + GRPO_RUNS),
        out=subpath(output[0], strip_suffix=".png"),
    message:
        "figure: arms on the held-out split (log: {log})"
    shell:
        "python scripts/draw_arms.py --config {params.study} --scores {params.scores}"
        " --runs {params.runs} --out {params.out} 2> {log}"


rule coherence_trap:
    input:
        scores=f"{R}/scores/manifest.json",
        runs=expand(f"{R}/{{run}}/manifest.json", run=SFT_RUNS + GRPO_RUNS),
    output:
        multiext(f"{F}/coherence_trap.", *PICTURE, *BESIDE),
    log:
        f"logs/{STUDY.name}/figures/coherence_trap.log",
    benchmark:
        f"logs/{STUDY.name}/figures/coherence_trap.tsv"
    localrule: True
    conda:
        "../../environment.yml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        study=f"{R}/study.json",
        settings=settings("figures", name="coherence_trap"),
        code=identity("scripts/draw_coherence_trap.py"),
        scores=subpath(input.scores, parent=True),
        runs=expand(f"{R}/{{run}}", run=SFT_RUNS + GRPO_RUNS),
        out=subpath(output[0], strip_suffix=".png"),
    message:
        "figure: the coherence trap (log: {log})"
    shell:
        "python scripts/draw_coherence_trap.py --config {params.study} --scores {params.scores}"
        " --runs {params.runs} --out {params.out} 2> {log}"


rule constants:
    output:
        multiext(f"{F}/constants.", *TABLE, *BESIDE),
    log:
        f"logs/{STUDY.name}/figures/constants.log",
    benchmark:
        f"logs/{STUDY.name}/figures/constants.tsv"
    localrule: True
    conda:
        "../../environment.yml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        study=f"{R}/study.json",
        settings=settings("figures", name="constants"),
        code=identity("scripts/tabulate_constants.py"),
        out=subpath(output[0], strip_suffix=".md"),
    message:
        "table: the published constants, checked (log: {log})"
    shell:
        "python scripts/tabulate_constants.py --config {params.study} --out {params.out} 2> {log}"


rule families:
    input:
        data=f"{R}/data/manifest.json",
        scores=f"{R}/scores/manifest.json",
        baselines=f"{R}/baselines/manifest.json",
        runs=expand(f"{R}/{{run}}/manifest.json", run=SFT_RUNS + GRPO_RUNS),
    output:
        multiext(f"{F}/families.", "md", "csv", "tex", "parquet", "caption.md", "manifest.json"),
    log:
        f"logs/{STUDY.name}/figures/families.log",
    benchmark:
        f"logs/{STUDY.name}/figures/families.tsv"
    localrule: True
    conda:
        "../../environment.yml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        study=f"{R}/study.json",
        settings=settings("figures", name="families"),
        code=identity("scripts/tabulate_families.py"),
        data=subpath(input.data, parent=True),
        scores=subpath(input.scores, parent=True),
        baselines=subpath(input.baselines, parent=True),
        runs=expand(f"{R}/{{run}}", run=SFT_RUNS + GRPO_RUNS),
        out=subpath(output[0], strip_suffix=".md"),
    message:
        "table: right answers by kind of prompt (log: {log})"
    shell:
        "python scripts/tabulate_families.py --config {params.study} --data {params.data} --scores {params.scores}"
        " --baselines {params.baselines} --runs {params.runs} --out {params.out} 2> {log}"


rule phase_table:
    input:
        sft=expand(f"{R}/{{run}}/manifest.json", run=SFT_RUNS),
    output:
        multiext(f"{F}/phase_table.", *TABLE, *BESIDE),
    log:
        f"logs/{STUDY.name}/figures/phase_table.log",
    benchmark:
        f"logs/{STUDY.name}/figures/phase_table.tsv"
    localrule: True
    conda:
        "../../environment.yml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        study=f"{R}/study.json",
        settings=settings("figures", name="phase_table"),
        code=identity("scripts/tabulate_phases.py"),
        sft=expand(f"{R}/{{run}}", run=SFT_RUNS),
        out=subpath(output[0], strip_suffix=".md"),
    message:
        "table: phases of supervised fine-tuning (log: {log})"
    shell:
        "python scripts/tabulate_phases.py --config {params.study} --sft {params.sft} --out {params.out} 2> {log}"


rule phi_trajectories:
    input:
        base=f"{R}/base/manifest.json",
        generations=expand(f"{R}/generate/{{checkpoint}}/manifest.json", checkpoint=CHECKPOINTS),
        runs=expand(f"{R}/{{run}}/manifest.json", run=SFT_RUNS + GRPO_RUNS),
    output:
        multiext(f"{F}/phi_trajectories.", *PICTURE, *BESIDE),
    log:
        f"logs/{STUDY.name}/figures/phi_trajectories.log",
    benchmark:
        f"logs/{STUDY.name}/figures/phi_trajectories.tsv"
    localrule: True
    conda:
        "../../environment.yml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        study=f"{R}/study.json",
        settings=settings("figures", name="phi_trajectories"),
        code=identity("scripts/draw_phi_trajectories.py"),
        base=subpath(input.base, parent=True),
        generations=expand(f"{R}/generate/{{checkpoint}}", checkpoint=CHECKPOINTS),
        runs=expand(f"{R}/{{run}}", run=SFT_RUNS + GRPO_RUNS),
        out=subpath(output[0], strip_suffix=".png"),
    message:
        "figure: Phi over tokens and over training (log: {log})"
    shell:
        "python scripts/draw_phi_trajectories.py --config {params.study} --base {params.base}"
        " --generations {params.generations} --runs {params.runs} --out {params.out} 2> {log}"


rule reward_components:
    input:
        grpo=expand(f"{R}/{{run}}/manifest.json", run=GRPO_RUNS),
    output:
        multiext(f"{F}/reward_components.", *PICTURE, *BESIDE),
    log:
        f"logs/{STUDY.name}/figures/reward_components.log",
    benchmark:
        f"logs/{STUDY.name}/figures/reward_components.tsv"
    localrule: True
    conda:
        "../../environment.yml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        study=f"{R}/study.json",
        settings=settings("figures", name="reward_components"),
        code=identity("scripts/draw_reward_components.py"),
        grpo=expand(f"{R}/{{run}}", run=GRPO_RUNS),
        out=subpath(output[0], strip_suffix=".png"),
    message:
        "figure: every reward along GRPO (log: {log})"
    shell:
        "python scripts/draw_reward_components.py --config {params.study} --grpo {params.grpo} --out {params.out} 2> {log}"


rule sft_phases:
    input:
        sft=expand(f"{R}/{{run}}/manifest.json", run=SFT_RUNS),
    output:
        multiext(f"{F}/sft_phases.", *PICTURE, *BESIDE),
    log:
        f"logs/{STUDY.name}/figures/sft_phases.log",
    benchmark:
        f"logs/{STUDY.name}/figures/sft_phases.tsv"
    localrule: True
    conda:
        "../../environment.yml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        study=f"{R}/study.json",
        settings=settings("figures", name="sft_phases"),
        code=identity("scripts/draw_sft_phases.py"),
        sft=expand(f"{R}/{{run}}", run=SFT_RUNS),
        out=subpath(output[0], strip_suffix=".png"),
    message:
        "figure: phases of supervised fine-tuning (log: {log})"
    shell:
        "python scripts/draw_sft_phases.py --config {params.study} --sft {params.sft} --out {params.out} 2> {log}"
