# Of a job: all similarities of a regularizer where whole cells are done so too, otherwise one.
RANGES = STUDY.ranges_together
JOB_OF_RANGES = "{regularizer}" if RANGES else "{similarity}.{regularizer}"


# Once for all models of the study: `instance` registers a few validation pairs, no network is trained.
rule lambda_range:
    input:
        manifest=LAYOUT.manifest("{dataset}"),
    output:
        [
            LAYOUT.lambda_range("{dataset}", f"{name}.{{regularizer}}")
            for name in RANGES or ["{similarity}"]
        ],
    log:
        LAYOUT.log("lambda_range/{dataset}/" + JOB_OF_RANGES),
    priority: 2  # every trial waits for it
    conda:
        "../envs/regbench.yaml"
    threads: 1
    resources:
        **needs("lambda_range"),
    params:
        config=CONFIG_FILE,
        similarities=lambda wildcards: [
            f"--similarity {name}" for name in RANGES or [wildcards.similarity]
        ],
        job=spec("ranges" if RANGES else "range"),
    shell:
        "exec regbench lambda-range {params.config:q} --dataset {wildcards.dataset}"
        " {params.similarities} --regularizer {wildcards.regularizer}"
        " --threads {threads} > {log:q} 2>&1"


rule propose:
    input:
        trials,
        found_range,
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
        found_range,
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
