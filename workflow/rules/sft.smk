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
        **TRAINING_RESOURCES,
        mem_mb=growing(MODEL_MB * PROCESSES),
        runtime=growing(60),
    params:
        launch=LAUNCH,
        study=f"{R}/study.json",
        settings=settings("sft"),
        code=identity("scripts/train_sft.py"),
        base=subpath(input.base, parent=True),
        data=subpath(input.data, parent=True),
        out=subpath(output[0], parent=True),
    message:
        "sft: seed {wildcards.seed}, until the gate fires (log: {log})"
    shell:
        "{params.launch} scripts/train_sft.py --config {params.study} --seed {wildcards.seed}"
        " --base {params.base} --data {params.data} --out {params.out} 2> {log}"
