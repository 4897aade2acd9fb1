rule propose:
    input:
        earlier_trials,
    output:
        LAYOUT.proposals("{dataset}", "{method}", "{round}", "{replicate}"),
    conda:
        "../envs/regbench.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        config=CONFIG_FILE,
        job=propose_job,
        log=str(
            LAYOUT.log("propose/{dataset}/{method}/replicate{replicate}/round{round}")
        ),
    shell:
        quiet(
            "regbench propose {params.config:q} --dataset {wildcards.dataset} --method {wildcards.method}"
            " --replicate {wildcards.replicate} --round {wildcards.round}"
        )


rule trial:
    input:
        manifest=LAYOUT.manifest("{dataset}"),
        proposals=LAYOUT.proposals("{dataset}", "{method}", "{round}", "{replicate}"),
    output:
        LAYOUT.trials(
            "{dataset}", "{method}", "{round}", ("{first}", "{last}"), "{replicate}"
        ),
    log:
        LAYOUT.log(
            "trial/{dataset}/{method}/replicate{replicate}/round{round}.trials{first}-{last}"
        ),
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
        " --replicate {wildcards.replicate} --round {wildcards.round} --slots {wildcards.first} {wildcards.last}"
        " --threads {threads} > {log:q} 2>&1"


rule select:
    input:
        all_trials,
    output:
        LAYOUT.selected("{dataset}", "{method}", "{replicate}"),
    conda:
        "../envs/regbench.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        config=CONFIG_FILE,
        job=select_job,
        log=str(LAYOUT.log("select/{dataset}/{method}/replicate{replicate}")),
    shell:
        quiet(
            "regbench select {params.config:q} --dataset {wildcards.dataset} --method {wildcards.method}"
            " --replicate {wildcards.replicate}"
        )
