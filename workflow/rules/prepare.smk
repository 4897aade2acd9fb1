rule prepare:
    output:
        LAYOUT.manifest("{dataset}"),
    log:
        LAYOUT.log("prepare/{dataset}"),
    conda:
        "../envs/regbench.yaml"
    threads: 4
    resources:
        **needs("prepare"),
    params:
        config=CONFIG_FILE,
        job=spec("prepare"),
    shell:
        "exec regbench prepare {params.config:q} --dataset {wildcards.dataset} --threads {threads} > {log:q} 2>&1"
