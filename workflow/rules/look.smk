# Decisions in looks: after each batch of seeds a job judges the cells of a model, and only those that are in a pair that
# is not decided yet get more. How many runs there are is known when the last look is made: rules over all runs wait.

LOOKED = [
    (dataset.id, model)
    for dataset in STUDY.config.datasets
    for model in STUDY.looked_models
]


def made_looks(dataset, model):
    """The files of all looks at the cells of a model. Snakemake makes those that are not there, one after the other."""
    files, goes_on = [], True
    while goes_on:
        names = {"dataset": dataset, "model": model, "look": len(files) + 1}
        files.append(checkpoints.look.get(**names).output[0])
        goes_on = read_look(Path(files[-1]))["further"]
    return files


def looks_of(dataset, model):
    """A function for `input`: one of each model, so that none waits for the looks at another."""

    def files(wildcards):
        return made_looks(dataset, model)

    return files


ALL_LOOKS = {f"looks{number}": looks_of(*place) for number, place in enumerate(LOOKED)}


def when_looked(of_study):
    """A function for `input` that asks the study when all its looks are made; without looks, the answer itself."""
    if not LOOKED:
        return of_study()

    def files(wildcards):
        for place in LOOKED:
            made_looks(*place)
        return of_study()

    return files


def seen_by_look(wildcards):
    """The rows that a look sees, and the look before it."""
    dataset, model, number = wildcards.dataset, wildcards.model, int(wildcards.look)
    before = []
    if number > 1:
        names = {"dataset": dataset, "model": model, "look": number - 1}
        before = [checkpoints.look.get(**names).output[0]]
    cells = STUDY.cells_of(model)
    return before + [
        LAYOUT.pairs(dataset, cell, seed)
        for cell in cells
        for seed in STUDY.seeds(cell, dataset, number)
    ]


if LOOKED:

    checkpoint look:
        input:
            seen_by_look,
            manifest=LAYOUT.manifest("{dataset}"),
        output:
            LAYOUT.look("{dataset}", "{model}", "{look}"),
        wildcard_constraints:
            model="[A-Za-z0-9_-]+",
        priority: 2  # further seeds wait for it
        conda:
            "../envs/regbench.yaml"
        threads: 1
        resources:
            **needs("look"),
        params:
            config=CONFIG_FILE,
            job=spec("look"),
            log=str(LAYOUT.log("look/{dataset}/{model}/look{look}")),
        shell:
            quiet(
                "regbench look {params.config:q} --dataset {wildcards.dataset} --model {wildcards.model}"
                " --number {wildcards.look}"
            )
