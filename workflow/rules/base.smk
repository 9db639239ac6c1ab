rule base:
    input:
        sources=list(SOURCES["base"].values()),
    output:
        f"{R}/base/manifest.json",
    log:
        f"logs/{STUDY.name}/base.log",
    benchmark:
        f"logs/{STUDY.name}/base.tsv"
    conda:
        "../../environment.yml"
    resources:
        **MODEL_RESOURCES,
        mem_mb=growing(MODEL_MB),
        runtime=growing(30),
    params:
        study=f"{R}/study.json",
        settings=settings("base"),
        code=identity("scripts/make_base.py"),
        out=subpath(output[0], parent=True),
    message:
        "base: the model that everything starts from (log: {log})"
    shell:
        "python scripts/make_base.py --config {params.study} --out {params.out} 2> {log}"
