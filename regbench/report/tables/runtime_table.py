"""The table of times and memory: the only one that differs between repetitions."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from regbench.report.summary_file import Summary
from regbench.report.tables.table_format import plain, write_table
from regbench.report.tables.table_provenance import provenance_of
from regbench.system.files import write_json
from regbench.system.provenance import CodeVersion


def write_runtime(
    rows: pd.DataFrame,
    summary: Summary,
    folder: Path,
    config: Mapping[str, object],
    made_by: CodeVersion | None = None,
) -> None:
    """Write `runtime.{csv,md,tex,html}` and its provenance (`provenance_of`)."""
    frame = runtime_table(rows)
    words = (
        f"Study {summary['study']}: time and memory of one registration, batch 1, network alone with the copy of the "
        "displacement to the host, first calls discarded, nothing else of the study on the device. Median and "
        "quartiles over the first test pairs (`pairs` says how many; memory: of the first three) of one seed: others "
        "differ in the values of weights, and no time depends on these. Pipeline: the same call from the prepared "
        "images on disk to the written NIfTI displacement. A baseline is timed as a whole, on the CPU threads that its "
        "row names; fields from files have no time. A refined row has the time of its "
        "network and of the refinement of a pair. Training: wall time of a final training, median over seeds; "
        "others may have shared the machine. Memory is the peak above what was held before: "
        "allocated on a GPU, resident on a CPU (of a program that a baseline starts, too)."
    )
    write_table(folder / "runtime", frame, lambda form: plain(frame, form), words, summary["study"])
    write_json(folder / "runtime.provenance.json", provenance_of(summary, config, made_by))


def runtime_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Median and quartiles of inference time, batch 1, and peak memory, one row a method."""
    timed = rows.dropna(subset=["inference_seconds"])
    by_method = ["dataset", "method"]
    trainings = rows.groupby([*by_method, "seed"])["training_seconds"].first().groupby(by_method).median().to_dict()
    lines = []
    for (dataset, method), timings in timed.groupby(by_method, sort=False):
        low, middle, high = timings["inference_seconds"].quantile([0.25, 0.5, 0.75]) * 1000
        lines.append(
            {
                "dataset": dataset,
                "method": method,
                "pairs": len(timings),
                "inference_ms_median": round(middle, 3),
                "inference_ms_q1": round(low, 3),
                "inference_ms_q3": round(high, 3),
                "pipeline_ms_median": round(timings["pipeline_seconds"].median() * 1000, 3),
                "peak_memory_mib_median": round(timings["peak_memory_mib"].median(), 2),
                "parameters": timings["parameters"].iloc[0],
                "training_s_median": round(trainings[dataset, method], 1),
                "device": ", ".join(sorted(set(timings["device"]))),
            }
        )
    frame = pd.DataFrame(lines)
    return frame.astype({"parameters": "Int64"}) if lines else frame  # a baseline has none
