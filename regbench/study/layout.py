"""Where every file and folder of a study lies: paths alone, nothing is read or written."""

from dataclasses import dataclass
from pathlib import Path

from regbench.system.files import CHECKPOINT, HISTORY, MANIFEST, RUN

IDENTITY = "identity"  # the method of no registration: one row of every table
CONTROLS = ("control_self", "control_sort")  # of `regbench.evaluation.controls`: rows that say what a table is worth
REFINED = "_refined"  # behind the id of a model: its rows with each pair refined
PAIRS = "pairs.parquet"  # a run's rows
PANELS = "panels.npz"  # slices for the figures, beside a run's rows


@dataclass(frozen=True)
class Layout:
    """Where everything of a study lies. Its methods take wildcards as well as names."""

    root: Path

    def data(self, dataset: str) -> Path:
        return self.root / "data" / dataset

    def manifest(self, dataset: str) -> Path:
        return self.data(dataset) / MANIFEST

    def search(self, dataset: str, method: str, replicate: int | str = 0) -> Path:
        """All that one of a cell's independent searches writes."""
        return Path(self.root, "tuning", dataset, method, f"replicate{replicate}")

    def lambda_range(self, dataset: str, losses: str) -> Path:
        """The range of lambda that was found for ``similarity.regularizer``, for all models of the study."""
        return Path(self.root, "ranges", dataset, f"{losses}.json")

    def lambda_range_state(self, dataset: str, losses: str) -> Path:
        """What the search for it has registered so far."""
        return Path(self.state, "ranges", dataset, f"{losses}.json")

    def lambda_range_owner(self, dataset: str, losses: str) -> Path:
        return Path(self.state, "ranges", dataset, f"{losses}.owner")

    def proposals(self, dataset: str, method: str, number: int | str, replicate: int | str = 0) -> Path:
        return Path(self.search(dataset, method, replicate), f"round{number}", "proposals.json")

    def trials(
        self, dataset: str, method: str, number: int | str, slots: tuple[int | str, int | str], replicate: int | str = 0
    ) -> Path:
        """The results of one job: those of the slots from the first to the last."""
        first, last = slots
        return Path(self.search(dataset, method, replicate), f"round{number}", f"trials{first}-{last}.json")

    @property
    def identity(self) -> Path:
        """Whose this folder is: the id by which shared servers know it."""
        return self.root / "identity.json"

    @property
    def frozen(self) -> Path:
        """What the study promised before its results were known."""
        return self.root / "frozen.json"

    @property
    def state(self) -> Path:
        """What must survive a kill, and who is at work: nothing of it is a result."""
        return self.root / "state"

    @property
    def workflow_lock(self) -> Path:
        """Owned by the head."""
        return self.state / "workflow.lock"

    @property
    def head_note(self) -> Path:
        """Where the log of the last head lies."""
        return self.state / "head.json"

    @property
    def optuna_owner(self) -> Path:
        """Owned by who exports to Optuna."""
        return self.state / "optuna.owner"

    def trial_state(self, dataset: str, method: str, replicate: int | str = 0) -> Path:
        return Path(self.state, "trials", dataset, method, f"replicate{replicate}")

    def trial_owner(self, dataset: str, method: str, job: str, replicate: int | str = 0) -> Path:
        """Of the trials of one job, such as ``round0.trials0-3``."""
        return self.trial_state(dataset, method, replicate) / f"{job}.owner"

    def training_state(self, dataset: str, method: str, seed: int | str) -> Path:
        return Path(self.state, "training", dataset, method, f"seed{seed}.pt")

    def training_owner(self, dataset: str, method: str, seed: int | str) -> Path:
        return self.training_state(dataset, method, seed).with_suffix(".owner")

    def waiting(self, dataset: str, method: str, seed: int | str) -> Path:
        """Where a run of a cell that is one job lies, whole, until all runs of the cell are done."""
        return Path(self.state, "cells", dataset, method, f"seed{seed}")

    def cell_owner(self, dataset: str, method: str) -> Path:
        return Path(self.state, "cells", dataset, f"{method}.owner")

    def evaluation_state(self, dataset: str, method: str, seed: int | str) -> Path:
        return Path(self.state, "evaluation", dataset, method, f"seed{seed}.owner")

    def runtime_state(self, dataset: str) -> Path:
        """What the timing of a dataset has so far."""
        return Path(self.state, "runtime", dataset)

    def runtime_owner(self, dataset: str) -> Path:
        return self.runtime_state(dataset).with_suffix(".owner")

    def selected(self, dataset: str, method: str, replicate: int | str = 0) -> Path:
        return self.search(dataset, method, replicate) / "selected.json"

    def run(self, dataset: str, method: str, seed: int | str) -> Path:
        return Path(self.root, "runs", dataset, method, f"seed{seed}")

    def run_record(self, dataset: str, method: str, seed: int | str) -> Path:
        """What a run is made of and what came of it; its training writes it last."""
        return self.run(dataset, method, seed) / RUN

    def checkpoint(self, dataset: str, method: str, seed: int | str) -> Path:
        return self.run(dataset, method, seed) / CHECKPOINT

    def history(self, dataset: str, method: str, seed: int | str) -> Path:
        """Every step of a run's training."""
        return self.run(dataset, method, seed) / HISTORY

    def pairs(self, dataset: str, method: str, seed: int | str) -> Path:
        """Rows of a run; those of the controls lie beside the rows of `identity`, whose job writes them."""
        if method in CONTROLS:
            return self.run(dataset, IDENTITY, seed) / f"{method}.parquet"
        return self.run(dataset, method, seed) / PAIRS

    def panels(self, dataset: str, method: str, seed: int | str) -> Path:
        """Slices for the figures, beside the rows."""
        return self.pairs(dataset, method, seed).with_name(f"{method}.npz" if method in CONTROLS else PANELS)

    def curve_point(self, dataset: str, method: str, seed: int | str, point: int | str) -> Path:
        """The folder of a further training of a run's curve: the files of a run, rows included."""
        return Path(self.root, "curves", dataset, method, f"seed{seed}", f"point{point}")

    def curve_files(self, dataset: str, method: str, seed: int | str, point: int | str) -> list[Path]:
        """What a job leaves of a point."""
        folder = self.curve_point(dataset, method, seed, point)
        return [folder / name for name in (CHECKPOINT, HISTORY, RUN, PAIRS, PANELS)]

    def curve_pairs(self, dataset: str, method: str, seed: int | str, point: int | str) -> Path:
        return self.curve_point(dataset, method, seed, point) / PAIRS

    def curve_state(self, dataset: str, method: str, seed: int | str, point: int | str) -> Path:
        """Where a point lies until it is whole, in the folder `run`, and what its training goes on from."""
        return Path(self.state, "curves", dataset, method, f"seed{seed}", f"point{point}")

    def curve_owner(self, dataset: str, method: str, seed: int | str, point: int | str) -> Path:
        return self.curve_state(dataset, method, seed, point).with_suffix(".owner")

    def curve_cell_owner(self, dataset: str, method: str) -> Path:
        """Of a job that does all points of a cell."""
        return Path(self.state, "curves", dataset, f"{method}.owner")

    def look(self, dataset: str, model: str, look: int | str) -> Path:
        """What a look at the cells of a model says, from 1 on: which pairs are decided, and who gets further seeds."""
        return Path(self.root, "looks", dataset, model, f"look{look}.json")

    def runtime(self, dataset: str) -> Path:
        return self.root / "runtime" / f"{dataset}.parquet"

    def transfer(self, dataset: str, method: str, other: str) -> Path:
        """Rows of all runs of a cell on the test pairs of other data."""
        return Path(self.root, "transfers", dataset, method, f"{other}.parquet")

    def transfer_owner(self, dataset: str, method: str, other: str) -> Path:
        return Path(self.state, "transfers", dataset, method, f"{other}.owner")

    def log(self, job: str) -> Path:
        return self.root / "logs" / f"{job}.log"

    @property
    def rows(self) -> Path:
        return self.root / "analysis" / "rows.parquet"

    @property
    def transfer_rows(self) -> Path:
        return self.root / "analysis" / "transfers.parquet"

    @property
    def curve_rows(self) -> Path:
        """Rows of the further points of all curves."""
        return self.root / "analysis" / "curves.parquet"

    @property
    def drawn(self) -> Path:
        """Versions of what a report draws beside rows and summary: it changes with any of these files."""
        return self.state / "drawn.json"

    @property
    def summary(self) -> Path:
        return self.root / "analysis" / "summary.json"

    @property
    def robustness(self) -> Path:
        """What other conventions make of the study's verdicts."""
        return self.root / "robustness"

    def convention_rows(self, dataset: str, method: str, seed: int | str) -> Path:
        """Rows of a run with what its displacements are worth by other conventions."""
        return Path(self.robustness, "rows", dataset, method, f"seed{seed}.parquet")

    @property
    def robustness_owner(self) -> Path:
        return self.state / "robustness.owner"

    @property
    def tracked(self) -> Path:
        return self.state / "tracked.json"

    @property
    def optuna_database(self) -> Path:
        """Where `export-optuna` writes the trials, unless it is told another storage."""
        return self.root / "optuna.db"

    @property
    def own_optuna_url(self) -> str:
        return f"sqlite:///{self.optuna_database}"

    @property
    def config(self) -> Path:
        return self.root / "config.json"

    @property
    def tables(self) -> Path:
        return self.root / "tables"

    @property
    def partial(self) -> Path:
        """The table of an unfinished study, away from the one that counts."""
        return self.root / "partial"

    @property
    def run_ids(self) -> Path:
        """The MLflow run of each run key, beside the tables; written by every push."""
        return self.tables / "mlflow_runs.json"

    @property
    def views(self) -> Path:
        """Links to the prepared views on an MLflow server, beside the tables; written by every push to one."""
        return self.tables / "mlflow.html"

    @property
    def page(self) -> Path:
        return self.root / "report.html"

    @property
    def figures(self) -> Path:
        return self.root / "figures"

    def thumbnail(self, dataset: str, method: str) -> Path:
        """One pair of a method in one small picture."""
        return Path(self.figures, "methods", dataset, f"{method}.png")
