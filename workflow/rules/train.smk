rule train:
    input:
        manifest=LAYOUT.manifest("{dataset}"),
        selected=chosen_lambda,
    output:
        LAYOUT.run("{dataset}", "{method}", "{seed}") / "checkpoint.pt",
        LAYOUT.run("{dataset}", "{method}", "{seed}") / "history.parquet",
        LAYOUT.run("{dataset}", "{method}", "{seed}") / "run.json",
    log:
        LAYOUT.log("train/{dataset}/{method}/seed{seed}"),
    conda:
        "../envs/regbench.yaml"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=1440,
        gpu=GPU,
    params:
        config=CONFIG_FILE,
        job=final_job,
    shell:
        "exec regbench train {params.config:q} --dataset {wildcards.dataset} --method {wildcards.method}"
        " --seed {wildcards.seed} --threads {threads} > {log:q} 2>&1"
