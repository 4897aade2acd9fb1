"""Verbs about data: prepare, inspect, fetch, export-images."""

from pathlib import Path
from typing import Annotated

import typer

from regbench.cli.options import ConfigFile, DatasetId, Overwrite, Threads, dataset_of, load_study, prepared_data


def prepare(config_file: ConfigFile, *, dataset: DatasetId = None, threads: Threads = 1) -> None:
    """Build the arrays and the manifest of a dataset.

    Before it reads an image, it tries every component of the study on the shape of the images.
    """
    from regbench.data.prepare import prepare as build
    from regbench.study.job_specs import prepare_spec
    from regbench.system import memory
    from regbench.tuning.rehearsal import rehearse_source

    memory.give_back()
    study = load_study(config_file)
    name = dataset_of(study, dataset, only_tested=True)
    build(
        prepare_spec(study, name),
        study.layout.data(name),
        threads=threads,
        opened=lambda source: rehearse_source(study, name, source),
    )


def inspect(
    config_file: ConfigFile,
    *,
    dataset: DatasetId = None,
    threads: Threads = 1,
    picture: Annotated[
        Path | None, typer.Option(metavar="PNG", help="write a contact sheet of the first subjects")
    ] = None,
) -> None:
    """Show what the loader reads of a dataset; store nothing."""
    from regbench.data.inspect import inspect as look
    from regbench.study.job_specs import prepare_spec
    from regbench.system import memory

    memory.give_back()
    study = load_study(config_file)
    print(look(prepare_spec(study, dataset_of(study, dataset, only_tested=True)), picture, threads=threads), end="")
    if picture is not None:
        print(f"\npicture  {picture}")


def fetch(
    name: Annotated[str | None, typer.Argument(help="name of the dataset; without it, all are listed")] = None,
    *,
    store: Annotated[Path | None, typer.Option(help="default: $REGBENCH_DATA, else the user's cache folder")] = None,
) -> None:
    """Download a public dataset, or list them."""
    from regbench.data.readers import public

    if name is not None:
        print(public.fetch(name, store))
        return
    for known, entry in public.SETS.items():
        print(f"{known:<18} {entry.megabytes} MB. Licence: {entry.licence}")
    for known, words in public.BY_HAND.items():
        print(f"{known:<18} by hand. {words}")


def export_images(
    config_file: ConfigFile,
    out: Annotated[Path, typer.Argument(metavar="DIR", help="folder for images/, labels/ and pairs.csv")],
    *,
    dataset: DatasetId = None,
    overwrite: Overwrite = False,
) -> None:
    """Write the test images as NIfTI, for other programs."""
    from regbench.evaluation.export import export_images as write

    study = load_study(config_file, check=False)
    data = prepared_data(study, dataset_of(study, dataset, only_tested=True), config_file)
    print(f"{len(write(data, out, overwrite=overwrite))} files in {out}")
