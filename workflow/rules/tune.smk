rule propose:
    input:
        earlier_trials,
    output:
        LAYOUT.proposals("{dataset}", "{method}", "{round}"),
    log:
        LAYOUT.root / "logs" / "propose" / "{dataset}" / "{method}" / "round{round}.log",
    benchmark:
        LAYOUT.root
        / "benchmarks"
        / "propose"
        / "{dataset}"
        / "{method}"
        / "round{round}.tsv"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        job=propose_job,
    shell:
        "regbench propose {CONFIG_FILE:q} --dataset {wildcards.dataset} --method {wildcards.method}"
        " --round {wildcards.round} > {log:q} 2>&1"


rule trial:
    input:
        manifest=LAYOUT.manifest("{dataset}"),
        proposals=LAYOUT.proposals("{dataset}", "{method}", "{round}"),
    output:
        LAYOUT.trials("{dataset}", "{method}", "{round}", "{first}", "{last}"),
    log:
        LAYOUT.root
        / "logs"
        / "trial"
        / "{dataset}"
        / "{method}"
        / "round{round}.trials{first}-{last}.log",
    benchmark:
        LAYOUT.root
        / "benchmarks"
        / "trial"
        / "{dataset}"
        / "{method}"
        / "round{round}.trials{first}-{last}.tsv"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=720,
        gpu=GPU,
    params:
        job=trial_job,
    shell:
        "regbench trial {CONFIG_FILE:q} --dataset {wildcards.dataset} --method {wildcards.method}"
        " --round {wildcards.round} --slots {wildcards.first} {wildcards.last} --threads {threads} > {log:q} 2>&1"


rule select:
    input:
        all_trials,
    output:
        LAYOUT.selected("{dataset}", "{method}"),
    log:
        LAYOUT.root / "logs" / "select" / "{dataset}" / "{method}.log",
    benchmark:
        LAYOUT.root / "benchmarks" / "select" / "{dataset}" / "{method}.tsv"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        job=select_job,
    shell:
        "regbench select {CONFIG_FILE:q} --dataset {wildcards.dataset} --method {wildcards.method} > {log:q} 2>&1"
