"""Whether the runs of a study are there and of its config."""

from collections.abc import Sequence

from regbench.study.differences import differences
from regbench.study.methods import Study
from regbench.system.errors import RegbenchError
from regbench.system.files import read_sealed
from regbench.tuning.chosen_run import chosen_run


def check_finished(study: Study, runs: Sequence[tuple[str, str, int]]) -> None:
    """Hold runs of a study, and its analysis, to its config.

    Args:
        study: with the runs.
        runs: dataset, method and seed of each; of a refined row, the run that trained it is compared.

    Raises:
        RegbenchError: if one is missing or was trained by another config.
    """
    lay = study.layout
    for path in (*(lay.pairs(*run) for run in runs), lay.summary):
        if not path.is_file():
            raise RegbenchError(f"`{path}` must exist: the study has to be finished. Run `regbench run` again.")
    for dataset, method, seed in runs:
        trained_as = study.method(method).trained_as
        record = read_sealed(lay.run_record(dataset, trained_as, seed))
        asked = chosen_run(study, dataset, trained_as, seed).spec.to_json()
        jobs = [{key: value for key, value in job.items() if key != "code"} for job in (record["job"], asked)]
        if changed := next(differences(*jobs), ""):
            raise RegbenchError(
                f"run `{lay.run(dataset, trained_as, seed)}` must be of this config, but {changed}. Run Snakemake."
            )
