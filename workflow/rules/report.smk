rule analyze:
    input:
        pairs=[LAYOUT.pairs(*run) for run in plan.runs(STUDY)],
        runtime=[LAYOUT.runtime(dataset.id) for dataset in STUDY.datasets],
        selected=selections(),
    output:
        LAYOUT.rows,
        LAYOUT.summary,
    log:
        LAYOUT.log("analyze"),
    benchmark:
        LAYOUT.benchmark("analyze")
    conda:
        "../envs/regbench.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        config=CONFIG_FILE,
        job=job(plan.study_job(STUDY, "analyze")),
    shell:
        "regbench analyze {params.config:q} > {log:q} 2>&1"


rule report:
    input:
        LAYOUT.rows,
        LAYOUT.summary,
    output:
        multiext(str(LAYOUT.tables / "main"), ".csv", ".md", ".tex", ".provenance.json"),
        multiext(
            str(LAYOUT.tables / "runtime"), ".csv", ".md", ".tex", ".provenance.json"
        ),
        multiext(str(LAYOUT.figures / "lambda"), ".csv", ".svg", ".png"),
        multiext(str(LAYOUT.figures / "dice"), ".csv", ".svg", ".png"),
    log:
        LAYOUT.log("report"),
    benchmark:
        LAYOUT.benchmark("report")
    conda:
        "../envs/regbench.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        config=CONFIG_FILE,
        job=job(plan.study_job(STUDY, "report.write")),
    shell:
        "regbench report {params.config:q} > {log:q} 2>&1"


# One writer, from files, at the end: MLflow is a sink, and no training waits for it.
rule track:
    input:
        LAYOUT.summary,
        multiext(str(LAYOUT.tables / "main"), ".csv", ".md", ".tex", ".provenance.json"),
        multiext(str(LAYOUT.figures / "lambda"), ".csv", ".svg", ".png"),
    output:
        LAYOUT.tracked,
    log:
        LAYOUT.log("track"),
    benchmark:
        LAYOUT.benchmark("track")
    conda:
        "../envs/regbench.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        config=CONFIG_FILE,
        job=job(
            {"uri": STUDY.tracking.uri, "code": plan.fingerprint("regbench.tracking")}
        ),
    shell:
        "regbench track {params.config:q} > {log:q} 2>&1"
