rule grpo:
    message:
        "grpo: arm {wildcards.arm}, seed {wildcards.seed} (log: {log})"
    input:
        study=ancient(f"{R}/study.json"),
        sft=f"{R}/sft/seed{{seed}}/manifest.json",
        data=f"{R}/data/manifest.json",
    output:
        f"{R}/grpo/{{arm}}/seed{{seed}}/manifest.json",
    params:
        settings=settings("grpo"),
        code=identity("scripts/train_grpo.py"),
        sft=subpath(input.sft, parent=True),
        data=subpath(input.data, parent=True),
        out=subpath(output[0], parent=True),
    log:
        f"logs/{STUDY.name}/grpo/{{arm}}/seed{{seed}}.log",
    benchmark:
        f"logs/{STUDY.name}/grpo/{{arm}}/seed{{seed}}.tsv"
    resources:
        mem_mb=2500,
        runtime=120,
        gpu=GPU,
    shell:
        "python scripts/train_grpo.py --config {input.study} --arm {wildcards.arm} --seed {wildcards.seed}"
        " --sft {params.sft} --data {params.data} --out {params.out} 2> {log}"
