# Where each pair is optimised by itself there is nothing to train, and the start of a process would cost more than the
# work of most stages: one job does the whole cell. It writes the files of the other rules, proposals and trials included.
ruleorder: untrained > select
ruleorder: untrained > train
ruleorder: untrained > evaluate


rule untrained:
    input:
        manifest=LAYOUT.manifest("{dataset}"),
    output:
        [LAYOUT.selected("{dataset}", "{method}", r) for r in range(REPLICATES)],
        [
            LAYOUT.run("{dataset}", "{method}", seed) / name
            for seed in STUDY.seeds[:: len(STUDY.seeds) // REPLICATES]
            for name in (
                "checkpoint.pt",
                "history.parquet",
                "run.json",
                "pairs.parquet",
                plan.PANELS,
            )
        ],
    log:
        LAYOUT.log("untrained/{dataset}/{method}"),
    wildcard_constraints:
        method=UNTRAINED,
    conda:
        "../envs/regbench.yaml"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=720,
        gpu=GPU,
    params:
        config=CONFIG_FILE,
        job=cell_job,
    shell:
        "exec regbench cell {params.config:q} --dataset {wildcards.dataset} --method {wildcards.method}"
        " --threads {threads} > {log:q} 2>&1"
