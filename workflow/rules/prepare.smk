rule prepare:
    output:
        LAYOUT.manifest("{dataset}"),
    log:
        LAYOUT.log("prepare/{dataset}"),
    benchmark:
        LAYOUT.benchmark("prepare/{dataset}")
    conda:
        "../envs/regbench.yaml"
    # Never more than there are: Snakemake scales such a job down, but gives all that it asked for back when it ends.
    threads: min(CORES, 4)
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        config=CONFIG_FILE,
        job=prepare_job,
    shell:
        "regbench prepare {params.config:q} --dataset {wildcards.dataset} --threads {threads} > {log:q} 2>&1"
