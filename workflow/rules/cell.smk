# One job does a whole cell: where each pair is optimised by itself, and with `one_job_per_cell` of networks too, where
# the start of a process would cost more than the work of most stages. It writes the files of the other rules, proposals
# and trials included. Snakemake deletes the outputs of a job that failed or begins again: what is done waits in state/.
ruleorder: untrained > cell > select
ruleorder: cell > train
ruleorder: cell > evaluate
ruleorder: untrained > train
ruleorder: untrained > evaluate


rule cell:
    input:
        manifest=LAYOUT.manifest("{dataset}"),
    output:
        [LAYOUT.selected("{dataset}", "{method}", r) for r in range(REPLICATES)],
        cell_files(STUDY.seeds),
    log:
        LAYOUT.log("cell/{dataset}/{method}"),
    wildcard_constraints:
        method=pattern(NETWORKS if STUDY.one_job_per_cell else []),
    priority: 1  # the longest first, so that no core is left waiting for one at the end
    conda:
        "../envs/regbench.yaml"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=1440,
        gpu=GPU,
    params:
        config=CONFIG_FILE,
        job=cell_job,
    shell:
        "exec regbench cell {params.config:q} --dataset {wildcards.dataset} --method {wildcards.method}"
        " --threads {threads} > {log:q} 2>&1"


# The same of the methods that train nothing: nothing is drawn, so the first seed of each search is all there is.
use rule cell as untrained with:
    output:
        [LAYOUT.selected("{dataset}", "{method}", r) for r in range(REPLICATES)],
        cell_files(STUDY.seeds[:: len(STUDY.seeds) // REPLICATES]),
    log:
        LAYOUT.log("untrained/{dataset}/{method}"),
    wildcard_constraints:
        method=pattern(UNTRAINED),
    priority: 0
    resources:
        mem_mb=8000,
        runtime=720,
        gpu=GPU,
