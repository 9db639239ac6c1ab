rule sft:
    message:
        "sft: seed {wildcards.seed}, until the gate fires (log: {log})"
    input:
        study=ancient(f"{R}/study.json"),
        base=f"{R}/base/manifest.json",
        data=f"{R}/data/manifest.json",
    output:
        f"{R}/sft/seed{{seed}}/manifest.json",
    params:
        settings=settings("sft"),
        code=identity("scripts/train_sft.py"),
        base=subpath(input.base, parent=True),
        data=subpath(input.data, parent=True),
        out=subpath(output[0], parent=True),
    log:
        f"logs/{STUDY.name}/sft/seed{{seed}}.log",
    benchmark:
        f"logs/{STUDY.name}/sft/seed{{seed}}.tsv"
    resources:
        mem_mb=2500,
        runtime=60,
        gpu=GPU,
    shell:
        "python scripts/train_sft.py --config {input.study} --seed {wildcards.seed}"
        " --base {params.base} --data {params.data} --out {params.out} 2> {log}"


rule start:
    message:
        "start: is there something to learn for GRPO? (log: {log})"
    input:
        study=ancient(f"{R}/study.json"),
        data=f"{R}/data/manifest.json",
        checkpoints=expand(f"{R}/sft/seed{{seed}}/manifest.json", seed=STUDY.seeds),
    output:
        f"{R}/start/manifest.json",
    params:
        settings=settings("start"),
        code=identity("scripts/check_start.py"),
        data=subpath(input.data, parent=True),
        checkpoints=expand(f"{R}/sft/seed{{seed}}", seed=STUDY.seeds),
        out=subpath(output[0], parent=True),
    log:
        f"logs/{STUDY.name}/start.log",
    benchmark:
        f"logs/{STUDY.name}/start.tsv"
    resources:
        mem_mb=2500,
        runtime=30,
        gpu=GPU,
    shell:
        "python scripts/check_start.py --config {input.study} --data {params.data}"
        " --checkpoints {params.checkpoints} --out {params.out} 2> {log}"
