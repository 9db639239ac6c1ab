# A study from base model to figures: `snakemake --cores 2 all`, or `make all`, which sets up everything first.
# One config file is one study:  snakemake --cores 2 --configfile config/demo.yaml all
# One figure and what it needs:  snakemake --cores 2 figs/default/phi_trajectories.png
# What would run, and why:       snakemake -n all


include: "workflow/rules/common.smk"
include: "workflow/rules/fetch.smk"
include: "workflow/rules/base.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/sft.smk"
include: "workflow/rules/curves.smk"
include: "workflow/rules/grpo.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/adapt.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        expand(f"{F}/{{name}}.manifest.json", name=[*FIGURES, "report"]),
    localrule: True


onstart:
    STUDY.write(Path(R, "study.json"))
    print(
        f"study {STUDY.name}: results go to {R}/, figures to {F}/, logs to logs/{STUDY.name}/\n{executor()}",
        file=sys.stderr,
    )
    checked(lambda: record_start(STUDY.name, slurm_run()))


onsuccess:
    check = "python scripts/verify.py" + ("" if STUDY.name == "default" else f" --configfile {CONFIGFILE}")
    page = f" (in one page: {F}/report.html)" if Path(F, "report.html").is_file() else ""
    print(f"\nfigures and tables: {F}/{page}    artifacts: {R}/    check them: {check}")


onerror:
    print(
        "\nA job failed or was stopped; its log is named above. Finished work is kept: run the same command again,"
    )
    print("after a failure when its cause is mended.")
