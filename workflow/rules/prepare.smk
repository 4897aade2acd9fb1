rule prepare:
    output:
        LAYOUT.manifest("{dataset}"),
    log:
        LAYOUT.root / "logs" / "prepare" / "{dataset}.log",
    benchmark:
        LAYOUT.root / "benchmarks" / "prepare" / "{dataset}.tsv"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        job=prepare_job,
    shell:
        "regbench prepare {CONFIG_FILE:q} --dataset {wildcards.dataset} > {log:q} 2>&1"
