rule sft:
    input:
        base=f"{R}/base/manifest.json",
        data=f"{R}/data/manifest.json",
    output:
        f"{R}/sft/seed{{seed}}/manifest.json",
    log:
        f"logs/{STUDY.name}/sft/seed{{seed}}.log",
    benchmark:
        f"logs/{STUDY.name}/sft/seed{{seed}}.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=2500,
        runtime=60,
        gpu=GPU,
    params:
        study=f"{R}/study.json",
        settings=settings("sft"),
        code=identity("scripts/train_sft.py"),
        base=subpath(input.base, parent=True),
        data=subpath(input.data, parent=True),
        out=subpath(output[0], parent=True),
    message:
        "sft: seed {wildcards.seed}, until the gate fires (log: {log})"
    shell:
        "python scripts/train_sft.py --config {params.study} --seed {wildcards.seed}"
        " --base {params.base} --data {params.data} --out {params.out} 2> {log}"


rule start:
    input:
        data=f"{R}/data/manifest.json",
        checkpoints=expand(f"{R}/sft/seed{{seed}}/manifest.json", seed=STUDY.seeds),
    output:
        f"{R}/start/manifest.json",
    log:
        f"logs/{STUDY.name}/start.log",
    benchmark:
        f"logs/{STUDY.name}/start.tsv"
    priority: 10  # an SFT that leaves nothing to learn should be known before GRPO has been paid for
    conda:
        "../../environment.yml"
    resources:
        mem_mb=2500,
        runtime=30,
        gpu=GPU,
    params:
        study=f"{R}/study.json",
        settings=settings("start"),
        code=identity("scripts/check_start.py"),
        data=subpath(input.data, parent=True),
        checkpoints=expand(f"{R}/sft/seed{{seed}}", seed=STUDY.seeds),
        out=subpath(output[0], parent=True),
    message:
        "start: is there something to learn for GRPO? (log: {log})"
    shell:
        "python scripts/check_start.py --config {params.study} --data {params.data}"
        " --checkpoints {params.checkpoints} --out {params.out} 2> {log}"
