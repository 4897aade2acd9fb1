rule propose:
    input:
        earlier_trials,
    output:
        LAYOUT.proposals("{dataset}", "{method}", "{round}"),
    conda:
        "../envs/regbench.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        config=CONFIG_FILE,
        job=propose_job,
        log=str(LAYOUT.log("propose/{dataset}/{method}/round{round}")),
    shell:
        quiet(
            "regbench propose {params.config:q} --dataset {wildcards.dataset} --method {wildcards.method}"
            " --round {wildcards.round}"
        )


rule trial:
    input:
        manifest=LAYOUT.manifest("{dataset}"),
        proposals=LAYOUT.proposals("{dataset}", "{method}", "{round}"),
    output:
        LAYOUT.trials("{dataset}", "{method}", "{round}", "{first}", "{last}"),
    log:
        LAYOUT.log("trial/{dataset}/{method}/round{round}.trials{first}-{last}"),
    conda:
        "../envs/regbench.yaml"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=720,
        gpu=GPU,
    params:
        config=CONFIG_FILE,
        job=trial_job,
    shell:
        "exec regbench trial {params.config:q} --dataset {wildcards.dataset} --method {wildcards.method}"
        " --round {wildcards.round} --slots {wildcards.first} {wildcards.last} --threads {threads} > {log:q} 2>&1"


rule select:
    input:
        all_trials,
    output:
        LAYOUT.selected("{dataset}", "{method}"),
    conda:
        "../envs/regbench.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        config=CONFIG_FILE,
        job=select_job,
        log=str(LAYOUT.log("select/{dataset}/{method}")),
    shell:
        quiet(
            "regbench select {params.config:q} --dataset {wildcards.dataset} --method {wildcards.method}"
        )
