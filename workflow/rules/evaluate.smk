rule evaluate:
    input:
        manifest=LAYOUT.manifest("{dataset}"),
        run=run_files,
    output:
        LAYOUT.pairs("{dataset}", "{method}", "{seed}"),
        LAYOUT.panels("{dataset}", "{method}", "{seed}"),
    log:
        LAYOUT.log("evaluate/{dataset}/{method}/seed{seed}"),
    conda:
        "../envs/regbench.yaml"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=240,
        gpu=GPU,
    params:
        config=CONFIG_FILE,
        job=evaluate_job,
    shell:
        "exec regbench evaluate {params.config:q} --dataset {wildcards.dataset} --method {wildcards.method}"
        " --seed {wildcards.seed} --threads {threads} > {log:q} 2>&1"


# Controls come with `identity`: the start of a process would cost more than their work.
if STUDY.controls:

    ruleorder: evaluate_identity > evaluate

    use rule evaluate as evaluate_identity with:
        output:
            LAYOUT.pairs("{dataset}", "{method}", "{seed}"),
            LAYOUT.panels("{dataset}", "{method}", "{seed}"),
            [
                LAYOUT.run("{dataset}", "{method}", "{seed}") / f"{control}{suffix}"
                for control in plan.CONTROLS
                for suffix in (".parquet", ".npz")
            ],
        wildcard_constraints:
            method=plan.IDENTITY,


# Takes every core, so that nothing else of the study runs beside a measurement. The computation itself has one thread.
rule runtime:
    input:
        manifest=LAYOUT.manifest("{dataset}"),
        runs=trained_runs,
    output:
        LAYOUT.runtime("{dataset}"),
    log:
        LAYOUT.log("runtime/{dataset}"),
    conda:
        "../envs/regbench.yaml"
    threads: CORES
    resources:
        mem_mb=8000,
        runtime=240,
        gpu=GPU,
    params:
        config=CONFIG_FILE,
        job=job(plan.runtime_job(STUDY)),
    shell:
        "exec regbench runtime {params.config:q} --dataset {wildcards.dataset} --threads 1 > {log:q} 2>&1"
