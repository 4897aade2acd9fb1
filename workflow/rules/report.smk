def all_pairs():
    return [LAYOUT.pairs(*run) for run in (*STUDY.runs(), *STUDY.control_runs())]


def all_drawn():
    return list(STUDY.drawn_files())


def all_choices():
    return [
        LAYOUT.selected(dataset.id, method.id, replicate)
        for dataset in STUDY.config.datasets
        for method in CELLS
        for replicate in STUDY.replicates(method.id, dataset.id)
    ]


rule analyze:
    input:
        **ALL_LOOKS,
        pairs=when_looked(all_pairs),
        runtime=[LAYOUT.runtime(dataset.id) for dataset in STUDY.config.datasets],
        selected=when_looked(all_choices),
        transfers=[LAYOUT.transfer(*cell) for cell in STUDY.transfers()],
        curves=[LAYOUT.curve_pairs(*point) for point in STUDY.curve_points()],
        drawn=when_looked(all_drawn),
    output:
        LAYOUT.rows,
        LAYOUT.summary,
        LAYOUT.drawn,
        [LAYOUT.transfer_rows] if STUDY.config.evaluate_on else [],
        [] if STUDY.config.curve is None else [LAYOUT.curve_rows],
    log:
        LAYOUT.log("analyze"),
    conda:
        "../envs/regbench.yaml"
    threads: 1
    resources:
        **needs("analyze"),
    params:
        config=CONFIG_FILE,
        job=spec("study", stage="report.analyze"),
    shell:
        "exec regbench analyze {params.config:q} > {log:q} 2>&1"


rule report:
    input:
        LAYOUT.rows,
        LAYOUT.summary,
        LAYOUT.drawn,
    output:
        report(LAYOUT.page, category="Report", caption="../report/page.rst"),
        [
            LAYOUT.tables / name
            for name in report_files.beside_tables(STUDY.optional_tables)
        ],
        [
            LAYOUT.figures / name
            for name in report_files.beside_figures(STUDY.optional_figures)
        ],
        [
            report(
                LAYOUT.tables / f"{name}.csv",
                category="Tables",
                caption="../report/table.rst",
            )
            for name in TABLES
        ],
        [
            report(
                LAYOUT.figures / f"{name}.svg",
                category="Figures",
                caption="../report/figure.rst",
            )
            for name in FIGURES
        ],
    log:
        LAYOUT.log("report"),
    conda:
        "../envs/regbench.yaml"
    threads: 2
    resources:
        **needs("report"),
    params:
        config=CONFIG_FILE,
        job=spec("study", stage="report.write"),
    shell:
        "exec regbench report {params.config:q} --threads {threads} > {log:q} 2>&1"


# MLflow is a sink, and no training waits for it. Whatever was pushed while the study ran, this push is the whole.
rule track:
    input:
        LAYOUT.summary,
        multiext(str(LAYOUT.tables / "main"), ".csv", ".md", ".tex", ".provenance.json"),
        multiext(str(LAYOUT.figures / "lambda"), ".csv", ".svg", ".png"),
    output:
        LAYOUT.tracked,
    log:
        LAYOUT.log("track"),
    conda:
        "../envs/regbench.yaml"
    threads: 1
    resources:
        **needs("track"),
    params:
        config=CONFIG_FILE,
        job=spec("track"),
    shell:
        "exec regbench track {params.config:q} > {log:q} 2>&1"
