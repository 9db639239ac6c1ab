# SFT alone, not stopped by its gate: what transitions are inferred from.
wildcard_constraints:
    curve="|".join(map(re.escape, CURVES["runs"])) or "none",
    base="|".join(map(re.escape, CURVES["bases"])) or "none",


rule bases:
    output:
        f"{R}/bases/{{base}}/manifest.json",
    log:
        f"logs/{STUDY.name}/bases/{{base}}.log",
    benchmark:
        f"logs/{STUDY.name}/bases/{{base}}.tsv"
    conda:
        "../../environment.yml"
    resources:
        **MODEL_RESOURCES,
        mem_mb=growing(MODEL_MB),
        runtime=growing(30),
    params:
        study=f"{R}/study.json",
        settings=settings("bases"),
        code=identity("scripts/make_base.py"),
        out=subpath(output[0], parent=True),
    message:
        "base: {wildcards.base}, for curves (log: {log})"
    shell:
        "python scripts/make_base.py --config {params.study} --name {wildcards.base} --out {params.out} 2> {log}"


rule curve:
    input:
        base=lambda w: f"{base_of(w.curve)}/manifest.json",
        data=f"{R}/data/manifest.json",
    output:
        f"{R}/curves/{{curve}}/seed{{seed}}/manifest.json",
    log:
        f"logs/{STUDY.name}/curves/{{curve}}/seed{{seed}}.log",
    benchmark:
        f"logs/{STUDY.name}/curves/{{curve}}/seed{{seed}}.tsv"
    conda:
        "../../environment.yml"
    resources:
        **MODEL_RESOURCES,
        mem_mb=growing(MODEL_MB),
        runtime=growing(60),
    params:
        study=f"{R}/study.json",
        settings=settings("curves"),
        code=identity("scripts/train_curve.py"),
        base=subpath(input.base, parent=True),
        data=subpath(input.data, parent=True),
        out=subpath(output[0], parent=True),
    message:
        "curve: {wildcards.curve}, seed {wildcards.seed} (log: {log})"
    shell:
        "python scripts/train_curve.py --config {params.study} --curve {wildcards.curve} --seed {wildcards.seed}"
        " --base {params.base} --data {params.data} --out {params.out} 2> {log}"
