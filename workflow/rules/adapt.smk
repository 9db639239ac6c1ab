rule adapt:
    input:
        sft=f"{R}/sft/seed{{seed}}/manifest.json",
        data=f"{R}/data/manifest.json",
    output:
        f"{R}/adapt/seed{{seed}}/manifest.json",
    log:
        f"logs/{STUDY.name}/adapt/seed{{seed}}.log",
    benchmark:
        f"logs/{STUDY.name}/adapt/seed{{seed}}.tsv"
    conda:
        "../../environment.yml"
    resources:
        **MODEL_RESOURCES,
        mem_mb=growing(MODEL_MB),
        runtime=growing(30),
    params:
        study=f"{R}/study.json",
        settings=settings("adapt"),
        code=identity("scripts/adapt_heldout.py"),
        sft=subpath(input.sft, parent=True),
        data=subpath(input.data, parent=True),
        out=subpath(output[0], parent=True),
    message:
        "adapt: held-out prompts with seed {wildcards.seed}, answered while it adapts (log: {log})"
    shell:
        "python scripts/adapt_heldout.py --config {params.study} --seed {wildcards.seed}"
        " --sft {params.sft} --data {params.data} --out {params.out} 2> {log}"
