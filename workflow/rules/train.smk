rule train:
    input:
        manifest=LAYOUT.manifest("{dataset}"),
        selected=LAYOUT.selected("{dataset}", "{method}"),
    output:
        LAYOUT.run("{dataset}", "{method}", "{seed}") / "checkpoint.pt",
        LAYOUT.run("{dataset}", "{method}", "{seed}") / "history.parquet",
        LAYOUT.run("{dataset}", "{method}", "{seed}") / "run.json",
    log:
        LAYOUT.root / "logs" / "train" / "{dataset}" / "{method}" / "seed{seed}.log",
    benchmark:
        LAYOUT.root
        / "benchmarks"
        / "train"
        / "{dataset}"
        / "{method}"
        / "seed{seed}.tsv"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=1440,
        gpu=GPU,
    params:
        job=final_job,
    shell:
        "regbench train {CONFIG_FILE:q} --dataset {wildcards.dataset} --method {wildcards.method}"
        " --seed {wildcards.seed} --threads {threads} > {log:q} 2>&1"
