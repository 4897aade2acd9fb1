# The curves of `curve`: further trainings of each run at other lambdas. One job a point, or a cell where one job does it;
# a job of its own either way: a study that gets `curve` later does none of its finished runs again.

if STUDY.config.curve is not None:

    def point_files(seeds):
        """What a job leaves of the points of some runs, all of them or that of the wildcard."""
        points = STUDY.further_points if seeds else ["{point}"]
        return [
            file
            for seed in seeds or ["{seed}"]
            for point in points
            for file in LAYOUT.curve_files("{dataset}", "{method}", seed, point)
        ]

    def cells_where(trained, one_job):
        """The constraint of the wildcard to the cells of a kind."""
        return only(
            method
            for method in CELLS
            if method.needs_training == trained and STUDY.one_job(method.id) == one_job
        )["method"]

    rule curve:
        input:
            manifest=LAYOUT.manifest("{dataset}"),
            selected=chosen_lambda,
        output:
            point_files([]),
        log:
            LAYOUT.log("curve/{dataset}/{method}/seed{seed}.point{point}"),
        wildcard_constraints:
            method=cells_where(trained=True, one_job=False),
        conda:
            "../envs/regbench.yaml"
        threads: 1
        resources:
            **needs("curve"),
        params:
            config=CONFIG_FILE,
            job=spec("curve"),
        shell:
            "exec regbench curve {params.config:q} --dataset {wildcards.dataset} --method {wildcards.method}"
            " --seed {wildcards.seed} --point {wildcards.point} --threads {threads} > {log:q} 2>&1"

    rule curve_cell:
        input:
            manifest=LAYOUT.manifest("{dataset}"),
            selected=[
                LAYOUT.selected("{dataset}", "{method}", replicate)
                for replicate in range(REPLICATES)
            ],
        output:
            point_files(STUDY.config.seeds),
        log:
            LAYOUT.log("curve_cell/{dataset}/{method}"),
        wildcard_constraints:
            method=cells_where(trained=True, one_job=True),
        conda:
            "../envs/regbench.yaml"
        threads: 1
        resources:
            **needs("curve_cell"),
        params:
            config=CONFIG_FILE,
            job=spec("curve", seed=None),
        shell:
            "exec regbench curve {params.config:q} --dataset {wildcards.dataset} --method {wildcards.method}"
            " --threads {threads} > {log:q} 2>&1"

    use rule curve_cell as curve_cell_untrained with:
        output:
            point_files(STUDY.config.seeds[:: len(STUDY.config.seeds) // REPLICATES]),
        log:
            LAYOUT.log("curve_cell_untrained/{dataset}/{method}"),
        wildcard_constraints:
            method=cells_where(trained=False, one_job=True),
        resources:
            **needs("curve_cell_untrained"),
