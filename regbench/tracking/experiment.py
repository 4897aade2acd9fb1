"""The experiment of a study on a store that others may use too: it belongs to a folder of results, not to a name.

A second study of the same name goes beside the first, under a name of its own; nothing of others is changed. MLflow
keeps where the artifacts of an experiment lie, and never changes it: a folder that was moved or copied gets a new
experiment, or a push would write into the folder that it came from.
"""

import logging
from pathlib import Path
from typing import Any

from regbench.study.methods import Study
from regbench.system.files import read_json
from regbench.system.identity import Identity, identity, whose

LOG = logging.getLogger(__name__)
STUDY_ID = "regbench.study_id"
OWNER, HOST, FOLDER = "regbench.owner", "regbench.host", "regbench.folder"
TAKEN = "RESOURCE_ALREADY_EXISTS"


def find(client: Any, study: Study) -> Any | None:
    """The experiment of the study's folder where it lies now, a deleted one too; None where there is none.

    Args:
        client: of MLflow.
        study: whose folder is there.
    """
    from mlflow.entities import ViewType  # noqa: PLC0415  see store.imported

    known = identity(study.layout.identity)["id"]
    wanted = f"tags.`{STUDY_ID}` = '{known}'"
    ours = client.search_experiments(view_type=ViewType.ALL, filter_string=wanted, order_by=["creation_time ASC"])
    here = [experiment for experiment in ours if _lies_here(experiment, study)]
    if here:
        return here[0]
    named = client.get_experiment_by_name(f"regbench/{study.name}")
    return named if named is not None and _lies_here(named, study) and _made_before_ids(named, study) else None


def make(client: Any, study: Study) -> str:
    """The id of the study's experiment, made if there is none; restored if it was deleted.

    Args:
        client: of MLflow.
        study: that it is for.
    """
    owner = identity(study.layout.identity)
    experiment = find(client, study)
    if experiment is None:
        return _create(client, study, owner)
    number = str(experiment.experiment_id)
    if experiment.lifecycle_stage == "deleted":
        client.restore_experiment(number)
    for name, value in owner_tags(owner).items():
        if experiment.tags.get(name) != value:  # the folder was moved
            client.set_experiment_tag(number, name, value)
    return number


def owner_tags(owner: Identity) -> dict[str, str]:
    """The tags that say whose something is."""
    return {STUDY_ID: owner["id"], OWNER: owner["owner"], HOST: owner["host"], FOLDER: owner["folder"]}


def of_tags(tags: dict[str, str]) -> str:
    """Words for the owner of what has these tags."""
    return whose(tags.get(OWNER, ""), tags.get(HOST, ""), tags.get(FOLDER, ""))


def beside(name: str, owner: Identity) -> str:
    """The name of ours where `name` is somebody else's."""
    return f"{name}-{owner['id'][:8]}"


def _artifacts(study: Study) -> str | None:
    """Where our artifacts lie; None where a server keeps them itself. A database has no place of its own for them."""
    served = (study.config.tracking.uri or "").startswith(("http:", "https:"))
    return None if served else (Path(study.config.results).resolve() / "mlartifacts").as_uri()


def _lies_here(experiment: Any, study: Study) -> bool:
    folder = _artifacts(study)
    return folder is None or str(experiment.artifact_location).rstrip("/") == folder


def _create(client: Any, study: Study, owner: Identity) -> str:
    from mlflow.exceptions import MlflowException  # noqa: PLC0415  see store.imported

    folder = _artifacts(study)
    # The tag lets the UI open its pages for model training and not those for language models.
    tags = {"mlflow.experimentKind": "custom_model_development"} | owner_tags(owner)
    name = f"regbench/{study.name}"
    try:
        return str(client.create_experiment(name, folder, tags))
    except MlflowException as error:
        if error.error_code != TAKEN:
            raise
    if (ours := find(client, study)) is not None:
        return str(ours.experiment_id)  # another process of this study was faster
    other = client.get_experiment_by_name(name)
    if other is not None and (study.config.tracking.uri is None or other.tags.get(STUDY_ID) == owner["id"]):
        # Of this very store, or of this very study: nobody else's. It keeps its runs, whose artifacts lay elsewhere.
        client.rename_experiment(other.experiment_id, f"{name} (from {other.artifact_location})")
        LOG.warning(
            "`%s` was moved or copied from `%s`; its runs go into a new experiment", name, other.artifact_location
        )
        return str(client.create_experiment(name, folder, tags))
    ours_is = beside(name, owner)
    LOG.warning(
        "the experiment `%s` is the study %s; this one goes beside it, as `%s`",
        name, of_tags(other.tags if other else {}), ours_is,
    )  # fmt: skip
    return str(client.create_experiment(ours_is, folder, tags))


def _made_before_ids(experiment: Any, study: Study) -> bool:
    """Whether an experiment of the study's name is its own: in its own store, or by the list of its last push."""
    if study.config.tracking.uri is None:
        return True
    if STUDY_ID in experiment.tags or not study.layout.run_ids.exists():
        return False
    return bool(read_json(study.layout.run_ids).get("experiment_id") == experiment.experiment_id)
