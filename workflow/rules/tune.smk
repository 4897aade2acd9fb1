rule propose:
    input:
        trials,
    output:
        LAYOUT.proposals("{dataset}", "{method}", "{round}", "{replicate}"),
    conda:
        "../envs/regbench.yaml"
    threads: 1
    resources:
        **needs("propose"),
    params:
        config=CONFIG_FILE,
        job=spec("propose"),
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
        **needs("trial"),
    params:
        config=CONFIG_FILE,
        job=spec("trial"),
    shell:
        "exec regbench trial {params.config:q} --dataset {wildcards.dataset} --method {wildcards.method}"
        " --replicate {wildcards.replicate} --round {wildcards.round} --slots {wildcards.first} {wildcards.last}"
        " --threads {threads} > {log:q} 2>&1"


rule select:
    input:
        trials,
    output:
        LAYOUT.selected("{dataset}", "{method}", "{replicate}"),
    conda:
        "../envs/regbench.yaml"
    threads: 1
    resources:
        **needs("select"),
    params:
        config=CONFIG_FILE,
        job=spec("select"),
        log=str(LAYOUT.log("select/{dataset}/{method}/replicate{replicate}")),
    shell:
        quiet(
            "regbench select {params.config:q} --dataset {wildcards.dataset} --method {wildcards.method}"
            " --replicate {wildcards.replicate}"
        )
