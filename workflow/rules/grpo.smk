rule start:
    input:
        sft=f"{R}/sft/seed{{seed}}/manifest.json",
        data=f"{R}/data/manifest.json",
    output:
        f"{R}/start/seed{{seed}}/manifest.json",
    log:
        f"logs/{STUDY.name}/start/seed{{seed}}.log",
    benchmark:
        f"logs/{STUDY.name}/start/seed{{seed}}.tsv"
    conda:
        "../../environment.yml"
    resources:
        **MODEL_RESOURCES,
        mem_mb=growing(MODEL_MB),
        runtime=growing(30),
    params:
        study=f"{R}/study.json",
        settings=settings("start"),
        code=identity("scripts/check_start.py"),
        sft=subpath(input.sft, parent=True),
        data=subpath(input.data, parent=True),
        out=subpath(output[0], parent=True),
    message:
        "start: has seed {wildcards.seed} something to learn for GRPO? (log: {log})"
    shell:
        "python scripts/check_start.py --config {params.study} --seed {wildcards.seed}"
        " --sft {params.sft} --data {params.data} --out {params.out} 2> {log}"


rule grpo:
    input:
        sft=f"{R}/sft/seed{{seed}}/manifest.json",
        data=f"{R}/data/manifest.json",
        start=f"{R}/start/seed{{seed}}/manifest.json",  # nothing is paid for before that is known
    output:
        f"{R}/grpo/{{arm}}/seed{{seed}}/manifest.json",
    log:
        f"logs/{STUDY.name}/grpo/{{arm}}/seed{{seed}}.log",
    benchmark:
        f"logs/{STUDY.name}/grpo/{{arm}}/seed{{seed}}.tsv"
    conda:
        "../../environment.yml"
    resources:
        **TRAINING_RESOURCES,
        mem_mb=growing(MODEL_MB * PROCESSES),
        runtime=growing(120),
    params:
        launch=LAUNCH,
        study=f"{R}/study.json",
        settings=settings("grpo"),
        code=identity("scripts/train_grpo.py"),
        sft=subpath(input.sft, parent=True),
        data=subpath(input.data, parent=True),
        out=subpath(output[0], parent=True),
    message:
        "grpo: arm {wildcards.arm}, seed {wildcards.seed} (log: {log})"
    shell:
        "{params.launch} scripts/train_grpo.py --config {params.study} --arm {wildcards.arm} --seed {wildcards.seed}"
        " --sft {params.sft} --data {params.data} --out {params.out} 2> {log}"
