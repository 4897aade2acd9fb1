rule prepare:
    output:
        LAYOUT.manifest("{dataset}"),
    log:
        LAYOUT.log("prepare/{dataset}"),
    conda:
        "../envs/regbench.yaml"
    threads: 4
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        config=CONFIG_FILE,
        job=prepare_job,
    shell:
        "exec regbench prepare {params.config:q} --dataset {wildcards.dataset} --threads {threads} > {log:q} 2>&1"
