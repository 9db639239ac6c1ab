# What a study takes from the hub is fetched where Snakemake runs; its jobs run with the hub offline.
rule fetch:
    output:
        f"{R}/fetch/{{repo}}/manifest.json",
    log:
        f"logs/{STUDY.name}/fetch/{{repo}}.log",
    benchmark:
        f"logs/{STUDY.name}/fetch/{{repo}}.tsv"
    wildcard_constraints:
        repo="|".join(map(re.escape, repositories(STUDY.resolved))) or "none",
    localrule: True
    conda:
        "../../environment.yml"
    resources:
        mem_mb=1000,
        runtime=240,
    params:
        study=f"{R}/study.json",
        settings=settings("fetch"),
        code=identity("scripts/fetch_hub.py"),
        out=subpath(output[0], parent=True),
    message:
        "fetch: {wildcards.repo} from the hub (log: {log})"
    shell:
        "python scripts/fetch_hub.py --config {params.study} --repo {wildcards.repo:q} --out {params.out:q} 2> {log}"
