rule data:
    input:
        base=f"{R}/base/manifest.json",
        sources=list(SOURCES["data"].values()),
    output:
        f"{R}/data/manifest.json",
    log:
        f"logs/{STUDY.name}/data.log",
    benchmark:
        f"logs/{STUDY.name}/data.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=growing(2500),
        runtime=growing(30),
    params:
        study=f"{R}/study.json",
        settings=settings("data"),
        code=identity("scripts/prepare_data.py"),
        base=subpath(input.base, parent=True),
        out=subpath(output[0], parent=True),
    message:
        "data: rows and splits of the task (log: {log})"
    shell:
        "python scripts/prepare_data.py --config {params.study} --base {params.base} --out {params.out} 2> {log}"
