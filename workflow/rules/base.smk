rule study:
    localrule: True
    message:
        "study: the resolved config"
    input:
        CONFIGFILE,
    output:
        f"{R}/study.json",
    params:
        resolved=STUDY.resolved,
        code=identity("scripts/write_study.py"),
    log:
        f"logs/{STUDY.name}/study.log",
    shell:
        "python scripts/write_study.py --configfile {input} --out {output} 2> {log}"


rule base:
    message:
        "base: the model that everything starts from (log: {log})"
    input:
        study=ancient(f"{R}/study.json"),
        sources=list(SOURCES["base"].values()),
    output:
        f"{R}/base/manifest.json",
    params:
        settings=settings("base"),
        code=identity("scripts/make_base.py"),
        out=subpath(output[0], parent=True),
    log:
        f"logs/{STUDY.name}/base.log",
    benchmark:
        f"logs/{STUDY.name}/base.tsv"
    resources:
        mem_mb=2500,
        runtime=30,
        gpu=GPU,
    shell:
        "python scripts/make_base.py --config {input.study} --out {params.out} 2> {log}"
