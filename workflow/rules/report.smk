rule report:
    input:
        figures=expand(f"{F}/{{name}}.manifest.json", name=FIGURES),
        runs=expand(f"{R}/{{run}}/manifest.json", run=RUNS),
        data=f"{R}/data/manifest.json",
        scores=f"{R}/scores/manifest.json",
        lock="requirements.lock",
    output:
        multiext(f"{F}/report.", "html", "manifest.json"),
    log:
        f"logs/{STUDY.name}/report.log",
    benchmark:
        f"logs/{STUDY.name}/report.tsv"
    localrule: True
    conda:
        "../../environment.yml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        study=f"{R}/study.json",
        settings=settings("report", name=STUDY.name),
        code=identity("scripts/write_report.py"),
        figures=expand(f"{F}/{{name}}", name=FIGURES),
        runs=[f"{R}/{run}" for run in RUNS],
        data=subpath(input.data, parent=True),
        scores=subpath(input.scores, parent=True),
        out=subpath(output[0], strip_suffix=".html"),
    message:
        "report: the whole study in one file (log: {log})"
    shell:
        "python scripts/write_report.py --config {params.study} --figures {params.figures} --runs {params.runs}"
        " --data {params.data} --scores {params.scores} --lock {input.lock} --out {params.out} 2> {log}"
