def run_files(wildcards):
    """What a run's evaluation reads; only a cell has a run, and a refined row that of its network."""
    method = STUDY.method(wildcards.method)
    if not method.cell:
        return []
    run = wildcards.dataset, method.trained_as, wildcards.seed
    return [LAYOUT.run_record(*run), LAYOUT.checkpoint(*run)]


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
        **needs("evaluate"),
    params:
        config=CONFIG_FILE,
        job=spec("evaluate"),
    shell:
        "exec regbench evaluate {params.config:q} --dataset {wildcards.dataset} --method {wildcards.method}"
        " --seed {wildcards.seed} --threads {threads} > {log:q} 2>&1"


# Controls come with `identity`: the start of a process would cost more than their work.
if STUDY.config.controls:

    ruleorder: evaluate_identity > evaluate

    use rule evaluate as evaluate_identity with:
        output:
            LAYOUT.pairs("{dataset}", "{method}", "{seed}"),
            LAYOUT.panels("{dataset}", "{method}", "{seed}"),
            [
                LAYOUT.run("{dataset}", "{method}", "{seed}") / f"{control}{suffix}"
                for control in CONTROLS
                for suffix in (".parquet", ".npz")
            ],
        wildcard_constraints:
            method=IDENTITY,


def trained(wildcards):
    """The dataset and the method of the runs that a row takes."""
    return wildcards.dataset, STUDY.method(wildcards.method).trained_as


def runs_of_cell(wildcards):
    """The runs that are evaluated on other data."""
    model = STUDY.method(wildcards.method).model.id
    if (wildcards.dataset, model) in LOOKED:
        made_looks(wildcards.dataset, model)
    return [
        file
        for seed in STUDY.seeds(wildcards.method, wildcards.dataset)
        for file in (
            LAYOUT.run_record(*trained(wildcards), seed),
            LAYOUT.checkpoint(*trained(wildcards), seed),
        )
    ]


# The runs of a cell on the test pairs of other data; nothing is trained.
rule transfer:
    input:
        manifest=LAYOUT.manifest("{other}"),
        own=LAYOUT.manifest("{dataset}"),
        runs=runs_of_cell,
    output:
        LAYOUT.transfer("{dataset}", "{method}", "{other}"),
    log:
        LAYOUT.log("transfer/{dataset}/{method}/{other}"),
    conda:
        "../envs/regbench.yaml"
    threads: 1
    resources:
        **needs("transfer"),
    params:
        config=CONFIG_FILE,
        job=spec("transfer"),
    shell:
        "exec regbench transfer {params.config:q} --dataset {wildcards.dataset} --method {wildcards.method}"
        " --on {wildcards.other} --threads {threads} > {log:q} 2>&1"


def runs_of_dataset(wildcards):
    """All its runs: the timing waits for the last look, else what trains meanwhile would be measured too."""
    for place in LOOKED:
        if place[0] == wildcards.dataset:
            made_looks(*place)
    runs = [run for run in STUDY.tuned_runs() if run[0] == wildcards.dataset]
    return [LAYOUT.run_record(*run) for run in runs]


# Takes every core, so that nothing else of the study runs beside a measurement. The computation itself has one thread.
rule runtime:
    input:
        manifest=LAYOUT.manifest("{dataset}"),
        runs=runs_of_dataset,
    output:
        LAYOUT.runtime("{dataset}"),
    log:
        LAYOUT.log("runtime/{dataset}"),
    conda:
        "../envs/regbench.yaml"
    threads: cores()
    resources:
        **needs("runtime"),
    params:
        config=CONFIG_FILE,
        job=spec("timing"),
    shell:
        "exec regbench runtime {params.config:q} --dataset {wildcards.dataset} --threads 1 > {log:q} 2>&1"
