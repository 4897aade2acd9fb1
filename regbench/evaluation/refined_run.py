"""The model of a run as a row of the table has it: the trained network, or the network refined pair by pair."""

from pathlib import Path

from torch import nn

from regbench.models.refined import refined
from regbench.study.grid_config import Refine
from regbench.system.files import CHECKPOINT
from regbench.training.checkpoint import RunRecord, load_run, objective_of, read_checkpoint


def load_row(folder: Path, refine: Refine | None) -> tuple[RunRecord, nn.Module | None]:
    """The record of a run and the model of a row of it; no model where the run failed before it had one.

    Args:
        folder: of the run.
        refine: how each pair is refined; None for the network as it was trained.

    Raises:
        RegbenchError: if a file is missing, altered or no checkpoint of ours.
    """
    record, network = load_run(folder)
    if network is None or refine is None:
        return record, network
    stored = read_checkpoint(folder / CHECKPOINT)
    return record, refined(network, stored.model, objective_of(stored), refine)
