# One job does whole cells: where each pair is optimised by itself, and with `one_job_per` of networks too, where the start
# of a process would cost more than the work of most stages. It writes the files of the other rules, proposals and trials
# included. Snakemake deletes the outputs of a job that failed or begins again: what is done waits in state/.

import re

BY_REGULARIZER = STUDY.config.one_job_per == "regularizer"
SIMILARITIES = [similarity.id for similarity in STUDY.config.grid.similarities]
# Ids have no dots.
JOB_OF_CELLS = "{model}.{regularizer}" if BY_REGULARIZER else "{method}"


def cells_of_job(wildcards):
    """The cells of a job: one, or one of each similarity."""
    if not BY_REGULARIZER:
        return [wildcards.method]
    return [
        f"{wildcards.model}.{name}.{wildcards.regularizer}" for name in SIMILARITIES
    ]


def ranges_of_cells(wildcards):
    """The ranges of their lambdas that no rule of the config gives."""
    losses = [
        STUDY.method(cell).losses
        for cell in cells_of_job(wildcards)
        if STUDY.finds_range(cell)
    ]
    return [LAYOUT.lambda_range(wildcards.dataset, names) for names in losses]


def cells_spec(wildcards):
    """All that a job of whole cells depends on, as text."""
    made_of = job_specs.cells_spec(STUDY, wildcards.dataset, cells_of_job(wildcards))
    return canonical_json(made_of.to_json())


def whole_cells(seeds):
    """What a job leaves of the searches and runs of its cells."""
    names = ["{method}"]
    if BY_REGULARIZER:
        names = [f"{{model}}.{name}.{{regularizer}}" for name in SIMILARITIES]
    runs = [("{dataset}", name, seed) for name in names for seed in seeds]
    of_run = ("checkpoint", "history", "run_record", "pairs", "panels")
    searches = [
        LAYOUT.selected("{dataset}", name, r)
        for name in names
        for r in range(REPLICATES)
    ]
    return searches + [getattr(LAYOUT, name)(*run) for run in runs for name in of_run]


def only(methods):
    """The constraints of wildcards to these cells; where there are none they match nothing."""
    names = {"method": [], "model": []}
    for method in methods:
        names["method"].append(method.id)
        names["model"].append(method.model.id)
    return {
        wildcard: "|".join(map(re.escape, dict.fromkeys(known))) or "(?!)"
        for wildcard, known in names.items()
    }


ruleorder: cell_untrained > cell > select
ruleorder: cell > train
ruleorder: cell > evaluate
ruleorder: cell_untrained > train
ruleorder: cell_untrained > evaluate


rule cell:
    input:
        manifest=LAYOUT.manifest("{dataset}"),
        ranges=ranges_of_cells,
    output:
        whole_cells(STUDY.config.seeds),
    log:
        LAYOUT.log("cell/{dataset}/" + JOB_OF_CELLS),
    wildcard_constraints:
        **only(
            method
            for method in CELLS
            if method.needs_training and STUDY.one_job(method.id)
        ),
    priority: 1  # the longest first, so that no core is left waiting for one at the end
    conda:
        "../envs/regbench.yaml"
    threads: 1
    resources:
        **needs("cell"),
    params:
        config=CONFIG_FILE,
        methods=lambda wildcards: [
            f"--method {method}" for method in cells_of_job(wildcards)
        ],
        job=cells_spec,
    shell:
        "exec regbench cell {params.config:q} --dataset {wildcards.dataset} {params.methods}"
        " --threads {threads} > {log:q} 2>&1"


# Without weights nothing is drawn: the first seed of each search is all there is.
use rule cell as cell_untrained with:
    output:
        whole_cells(STUDY.config.seeds[:: len(STUDY.config.seeds) // REPLICATES]),
    log:
        LAYOUT.log("cell_untrained/{dataset}/" + JOB_OF_CELLS),
    wildcard_constraints:
        **only(
            method
            for method in CELLS
            if not method.needs_training and STUDY.one_job(method.id)
        ),
    priority: 0
    resources:
        **needs("cell_untrained"),
