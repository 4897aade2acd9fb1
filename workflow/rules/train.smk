def chosen_lambda(wildcards):
    """The choice that a seed trains with."""
    replicate = STUDY.replicate_of(int(wildcards.seed))
    return LAYOUT.selected(wildcards.dataset, wildcards.method, replicate)


rule train:
    input:
        manifest=LAYOUT.manifest("{dataset}"),
        selected=chosen_lambda,
    output:
        LAYOUT.checkpoint("{dataset}", "{method}", "{seed}"),
        LAYOUT.history("{dataset}", "{method}", "{seed}"),
        LAYOUT.run_record("{dataset}", "{method}", "{seed}"),
    log:
        LAYOUT.log("train/{dataset}/{method}/seed{seed}"),
    conda:
        "../envs/regbench.yaml"
    threads: 1
    resources:
        **needs("train"),
    params:
        config=CONFIG_FILE,
        job=spec("final"),
    shell:
        "exec regbench train {params.config:q} --dataset {wildcards.dataset} --method {wildcards.method}"
        " --seed {wildcards.seed} --threads {threads} > {log:q} 2>&1"
