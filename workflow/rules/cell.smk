# One job does a whole cell: where each pair is optimised by itself, and with `one_job_per_cell` of networks too, where
# the start of a process would cost more than the work of most stages. It writes the files of the other rules, proposals
# and trials included. Snakemake deletes the outputs of a job that failed or begins again: what is done waits in state/.
ruleorder: cell_untrained > cell > select
ruleorder: cell > train
ruleorder: cell > evaluate
ruleorder: cell_untrained > train
ruleorder: cell_untrained > evaluate


rule cell:
    input:
        manifest=LAYOUT.manifest("{dataset}"),
    output:
        whole_cell(STUDY.config.seeds),
    log:
        LAYOUT.log("cell/{dataset}/{method}"),
    wildcard_constraints:
        method=pattern(
            method
            for method in CELLS
            if method.needs_training and STUDY.config.one_job_per_cell
        ),
    priority: 1  # the longest first, so that no core is left waiting for one at the end
    conda:
        "../envs/regbench.yaml"
    threads: 1
    resources:
        **needs("cell"),
    params:
        config=CONFIG_FILE,
        job=spec("cell"),
    shell:
        "exec regbench cell {params.config:q} --dataset {wildcards.dataset} --method {wildcards.method}"
        " --threads {threads} > {log:q} 2>&1"


# Without weights nothing is drawn: the first seed of each search is all there is.
use rule cell as cell_untrained with:
    output:
        whole_cell(STUDY.config.seeds[:: len(STUDY.config.seeds) // REPLICATES]),
    log:
        LAYOUT.log("cell_untrained/{dataset}/{method}"),
    wildcard_constraints:
        method=pattern(method for method in CELLS if not method.needs_training),
    priority: 0
    resources:
        **needs("cell_untrained"),
