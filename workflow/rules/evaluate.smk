rule generate:
    input:
        model=lambda w: f"{checkpoint(w)}/manifest.json",
        data=f"{R}/data/manifest.json",
    output:
        f"{R}/generate/{{arm}}/seed{{seed}}/manifest.json",
    log:
        f"logs/{STUDY.name}/generate/{{arm}}/seed{{seed}}.log",
    benchmark:
        f"logs/{STUDY.name}/generate/{{arm}}/seed{{seed}}.tsv"
    conda:
        "../../environment.yml"
    resources:
        **MODEL_RESOURCES,
        mem_mb=growing(MODEL_MB),
        runtime=growing(60),
    params:
        study=f"{R}/study.json",
        settings=settings("generate"),
        code=identity("scripts/generate_heldout.py"),
        model=subpath(input.model, parent=True),
        data=subpath(input.data, parent=True),
        out=subpath(output[0], parent=True),
    message:
        "generate: held-out completions of {wildcards.arm}, seed {wildcards.seed} (log: {log})"
    shell:
        "python scripts/generate_heldout.py --config {params.study} --arm {wildcards.arm} --seed {wildcards.seed}"
        " --model {params.model} --data {params.data} --out {params.out} 2> {log}"


rule evaluate:
    input:
        data=f"{R}/data/manifest.json",
        generations=expand(f"{R}/generate/{{checkpoint}}/manifest.json", checkpoint=CHECKPOINTS),
    output:
        f"{R}/scores/manifest.json",
    log:
        f"logs/{STUDY.name}/scores.log",
    benchmark:
        f"logs/{STUDY.name}/scores.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=growing(2500),
        runtime=growing(30),
    params:
        study=f"{R}/study.json",
        settings=settings("scores"),
        code=identity("scripts/evaluate_model.py"),
        data=subpath(input.data, parent=True),
        generations=expand(f"{R}/generate/{{checkpoint}}", checkpoint=CHECKPOINTS),
        out=subpath(output[0], parent=True),
    message:
        "evaluate: score all stored completions (log: {log})"
    shell:
        "python scripts/evaluate_model.py --config {params.study} --data {params.data}"
        " --generations {params.generations} --out {params.out} 2> {log}"


rule baselines:
    input:
        data=f"{R}/data/manifest.json",
    output:
        f"{R}/baselines/manifest.json",
    log:
        f"logs/{STUDY.name}/baselines.log",
    benchmark:
        f"logs/{STUDY.name}/baselines.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=growing(2500),
        runtime=growing(30),
    params:
        study=f"{R}/study.json",
        settings=settings("baselines"),
        code=identity("scripts/score_baselines.py"),
        data=subpath(input.data, parent=True),
        out=subpath(output[0], parent=True),
    message:
        "baselines: what a few lines without a model score (log: {log})"
    shell:
        "python scripts/score_baselines.py --config {params.study} --data {params.data} --out {params.out} 2> {log}"


rule compat:
    input:
        data=f"{R}/data/manifest.json",
        scores=f"{R}/scores/manifest.json",
        models=expand(f"{R}/{{run}}/manifest.json", run=SHOWN_RUNS),
        generations=expand(f"{R}/generate/{{checkpoint}}/manifest.json", checkpoint=SHOWN_CHECKPOINTS),
    output:
        f"{R}/compat/manifest.json",
    log:
        f"logs/{STUDY.name}/compat.log",
    benchmark:
        f"logs/{STUDY.name}/compat.tsv"
    conda:
        "../../environment.yml"
    resources:
        **MODEL_RESOURCES,
        mem_mb=growing(MODEL_MB),
        runtime=growing(60),
    params:
        study=f"{R}/study.json",
        settings=settings("compat"),
        code=identity("scripts/score_compat.py"),
        data=subpath(input.data, parent=True),
        scores=subpath(input.scores, parent=True),
        models=expand(f"{R}/{{run}}", run=SHOWN_RUNS),
        generations=expand(f"{R}/generate/{{checkpoint}}", checkpoint=SHOWN_CHECKPOINTS),
        out=subpath(output[0], parent=True),
    message:
        "compat: score the stored completions as the reference file did (log: {log})"
    shell:
        "python scripts/score_compat.py --config {params.study} --data {params.data} --scores {params.scores}"
        " --models {params.models} --generations {params.generations} --out {params.out} 2> {log}"
