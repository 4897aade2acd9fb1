"""A method's best network in MLflow's registry, as a pyfunc whose `predict` registers pairs of files."""

import logging
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.pyfunc import save_model
from mlflow.pyfunc.model import PythonModel
from mlflow.types.schema import ColSpec, Schema

from regbench import __version__
from regbench.evaluation.register_files import Output, model_for, register_files
from regbench.study.goals import DEFAULTS, merits
from regbench.study.job_specs import selection_spec
from regbench.study.methods import Study
from regbench.system.errors import RegbenchError
from regbench.system.files import CHECKPOINT, RUN, digest, read_sealed
from regbench.system.identity import identity
from regbench.tracking.experiment import STUDY_ID, TAKEN, beside, of_tags, owner_tags
from regbench.tracking.push import MODEL, Sink

LOG = logging.getLogger(__name__)
PAIR = ("fixed", "moving", "out")  # two NIfTI files, and the folder of what is written
WRITTEN = ("displacement", "moved", "jacobian")
SHA = "checkpoint_sha256"
LONGEST = 240  # letters of a model's name, and room for an id behind it


class Registration(PythonModel):
    """Registers files of any size and spacing as `regbench register` does, with the study's own preparation."""

    def load_context(self, context: Any) -> None:
        """Remember where the checkpoint lies on this machine."""
        self.checkpoint = context.artifacts["checkpoint"]

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        """Register each row.

        Args:
            context: of MLflow.
            model_input: columns `fixed`, `moving` (NIfTI files) and `out` (folder), where files that are there are
                replaced.
            params: none.

        Returns:
            The files that were written, a row a pair: displacement, moved image, Jacobian determinant.
        """
        rows = []
        for pair in model_input.to_dict("records"):
            fixed, moving, out = (Path(str(pair[name])) for name in PAIR)
            network, preparation = model_for(self.checkpoint, fixed, "", "", 0.0)
            written = register_files(
                network, fixed, moving, out, preparation=preparation, output=Output(overwrite=True)
            )
            rows.append(dict(zip(WRITTEN, map(str, written), strict=True)))
        return pd.DataFrame(rows, columns=list(WRITTEN))


def register_models(study: Study, sink: Sink) -> list[str]:
    """Enter the network of each method's best seed (by its validation) in the registry, once for each checkpoint.

    Args:
        study: whose models are entered.
        sink: that its runs were pushed to.

    Returns:
        Name and version of each model that was entered by this call.
    """
    entered = []
    for dataset in study.config.datasets:
        for method in study.methods:
            seeds = study.seeds(method.id, dataset.id) if method.needs_training else ()
            folders = {seed: study.layout.run(dataset.id, method.id, seed) for seed in seeds}
            runs = {seed: read_sealed(folder / RUN) for seed, folder in folders.items() if (folder / RUN).exists()}
            sound = [seed for seed, run in runs.items() if run["status"] == "complete"]
            if sound:
                best = _best(study, {seed: runs[seed]["validation"] for seed in sorted(sound)})
                key = f"{study.name}/{dataset.id}/{method.id}"
                run_id, sha = sink.ids[f"{key}/seed{best}"], runs[best][SHA]
                name = _name(study, sink, key.replace("/", "."))
                entered += _enter(sink.client, name, run_id, sha, folders[best] / CHECKPOINT)
    return entered


def _best(study: Study, validations: Mapping[int, Mapping[str, float | None]]) -> int:
    """The seed of the best validation by what lambda is chosen by; of equal ones, and of none, the first."""
    scores = list(validations.values())
    metrics = selection_spec(study).metrics or [name for name in DEFAULTS if name in scores[0]][:1]
    by_seed = dict(zip(validations, merits(metrics, scores) if metrics else [0.0] * len(scores), strict=True))
    return max(by_seed, key=by_seed.__getitem__)


def _name(study: Study, sink: Sink, wanted: str) -> str:
    """The name of a registered model that is this study's, which is made if there is none."""
    client, owner = sink.client, identity(study.layout.identity)
    wanted = wanted if len(wanted) <= LONGEST else f"{wanted[: LONGEST - 17]}-{digest(wanted)}"
    for name in (wanted, beside(wanted, owner)):
        try:
            description = f"regbench {__version__}: best seed of {wanted}"
            client.create_registered_model(name, tags=owner_tags(owner), description=description)
        except MlflowException as error:
            if error.error_code != TAKEN:
                raise
            tags = client.get_registered_model(name).tags
            if tags.get(STUDY_ID) != owner["id"] and not _made_before_ids(sink, name, tags):
                LOG.warning("the registered model `%s` is of the study %s", name, of_tags(tags))
                continue
        return name
    raise RegbenchError(f"the registered model `{wanted}` must be this study's, but is not. Rename the study.")


def _made_before_ids(sink: Sink, name: str, tags: dict[str, str]) -> bool:
    """Whether a model without an id has only versions from runs of this study's experiment."""
    versions = [] if STUDY_ID in tags else sink.client.search_model_versions(f"name = '{name}'")
    runs = [version.run_id for version in versions]
    return bool(runs) and all(sink.client.get_run(run).info.experiment_id == sink.experiment for run in runs)


def _enter(client: Any, name: str, run_id: str, sha: str, checkpoint: Path) -> list[str]:
    same = {"run": run_id, SHA: sha}
    # A version without the tag of a checkpoint is somebody's own.
    versions = [version for version in client.search_model_versions(f"name = '{name}'") if SHA in version.tags]
    stale = [version for version in versions if {"run": version.run_id, SHA: version.tags[SHA]} != same]
    entered = []
    if len(stale) == len(versions):
        with tempfile.TemporaryDirectory() as folder:
            save_model(
                f"{folder}/{MODEL}",
                python_model=Registration(),
                artifacts={"checkpoint": str(checkpoint)},
                pip_requirements=[f"regbench=={__version__}"],
                signature=ModelSignature(inputs=_schema(PAIR), outputs=_schema(WRITTEN)),
            )
            client.log_artifacts(run_id, f"{folder}/{MODEL}", MODEL)
        source = f"{client.get_run(run_id).info.artifact_uri}/{MODEL}"
        version = client.create_model_version(name, source, run_id, tags={SHA: sha})
        entered = [f"{name} version {version.version}"]
    for old in stale:
        if old.run_id != run_id:  # of a run that was replaced: its files go with it
            client.delete_model_version(name, old.version)
    return entered


def _schema(names: Sequence[str]) -> Schema:
    return Schema([ColSpec("string", name) for name in names])
