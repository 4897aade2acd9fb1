rule evaluate:
    input:
        manifest=LAYOUT.manifest("{dataset}"),
        run=run_files,
    output:
        LAYOUT.pairs("{dataset}", "{method}", "{seed}"),
    log:
        LAYOUT.root / "logs" / "evaluate" / "{dataset}" / "{method}" / "seed{seed}.log",
    benchmark:
        LAYOUT.root
        / "benchmarks"
        / "evaluate"
        / "{dataset}"
        / "{method}"
        / "seed{seed}.tsv"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=240,
        gpu=GPU,
    params:
        job=evaluate_job,
    shell:
        "regbench evaluate {CONFIG_FILE:q} --dataset {wildcards.dataset} --method {wildcards.method}"
        " --seed {wildcards.seed} --threads {threads} > {log:q} 2>&1"


# Takes every core, so that nothing else of the study runs beside a measurement. The computation itself has one thread.
rule runtime:
    input:
        manifest=LAYOUT.manifest("{dataset}"),
        runs=trained_runs,
    output:
        LAYOUT.runtime("{dataset}"),
    log:
        LAYOUT.root / "logs" / "runtime" / "{dataset}.log",
    benchmark:
        LAYOUT.root / "benchmarks" / "runtime" / "{dataset}.tsv"
    threads: workflow.cores or 1
    resources:
        mem_mb=8000,
        runtime=240,
        gpu=GPU,
    params:
        job=job(plan.runtime_job(STUDY)),
    shell:
        "regbench runtime {CONFIG_FILE:q} --dataset {wildcards.dataset} --threads 1 > {log:q} 2>&1"
