TABLES = (
    "main",
    "verdicts",
    "variance",
    "per_structure",
    "selection",
    "significance",
    "grid",
    "runtime",
    *(["controls"] if STUDY.controls else []),
)
FIGURES = (
    "lambda",
    "verdict_grid",
    "dice",
    "pareto",
    "critical_difference",
    "rank_stability",
    "structures",
    "training",
    "panels",
    "runtime_dice",
)


rule analyze:
    input:
        pairs=[
            LAYOUT.pairs(*run)
            for run in (*plan.runs(STUDY), *plan.control_runs(STUDY))
        ],
        runtime=[LAYOUT.runtime(dataset.id) for dataset in STUDY.datasets],
        selected=selections(),
    output:
        LAYOUT.rows,
        LAYOUT.summary,
    log:
        LAYOUT.log("analyze"),
    conda:
        "../envs/regbench.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        config=CONFIG_FILE,
        job=job(plan.study_job(STUDY, "report.analyze")),
    shell:
        "exec regbench analyze {params.config:q} > {log:q} 2>&1"


rule report:
    input:
        LAYOUT.rows,
        LAYOUT.summary,
        panels=[
            LAYOUT.panels(*run)
            for run in (*plan.runs(STUDY), *plan.control_runs(STUDY))
        ],
        runs=[LAYOUT.run(*run) / "history.parquet" for run in plan.tuned_runs(STUDY)],
    output:
        report(LAYOUT.page, category="Report", caption="../report/page.rst"),
        LAYOUT.tables / "main_long.csv",
        LAYOUT.tables / "main.provenance.json",
        LAYOUT.tables / "runtime.provenance.json",
        [
            LAYOUT.tables / f"{stem}{suffix}"
            for stem in TABLES
            for suffix in (".md", ".tex", ".html")
        ],
        [
            report(
                LAYOUT.tables / f"{stem}.csv",
                category="Tables",
                caption="../report/table.rst",
            )
            for stem in TABLES
        ],
        [
            LAYOUT.figures / f"{stem}{suffix}"
            for stem in FIGURES
            for suffix in (".csv", ".png")
        ],
        LAYOUT.figures / "verdict_grid.pdf",
        LAYOUT.figures / "verdict_grid.tex",
        [
            report(
                LAYOUT.figures / f"{stem}.svg",
                category="Figures",
                caption="../report/figure.rst",
            )
            for stem in FIGURES
        ],
    log:
        LAYOUT.log("report"),
    conda:
        "../envs/regbench.yaml"
    threads: 2
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        config=CONFIG_FILE,
        job=job(plan.study_job(STUDY, "report.write")),
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
        mem_mb=4000,
        runtime=60,
    params:
        config=CONFIG_FILE,
        job=job(plan.track_job(STUDY)),
    shell:
        "exec regbench track {params.config:q} > {log:q} 2>&1"
