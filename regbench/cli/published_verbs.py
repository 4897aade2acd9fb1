"""Verbs about published studies: publish, verify."""

from pathlib import Path
from typing import Annotated

import typer

from regbench.cli.options import ConfigFile, Overwrite, Threads, load_study


def publish(
    config_file: ConfigFile,
    *,
    to: Annotated[
        Path, typer.Option(help="folder of published studies; a folder of the study's name is made in it")
    ] = Path("results/reference"),
    with_pictures: Annotated[
        bool, typer.Option("--with-pictures", help="show pairs of your own data too; you may publish them")
    ] = False,
    overwrite: Overwrite = False,
    threads: Threads = 1,
) -> None:
    """Publish a finished study as a small folder.

    Anyone can verify it. It holds tables, figures, page, rows, config, trials and records of runs, neither weights nor
    images. Pairs are shown of data whose licence allows it.
    """
    from regbench.report.published.publish import publish as write

    study = load_study(config_file, check=False)
    print(write(study, to, with_pictures=with_pictures, overwrite=overwrite, processes=threads))


def verify(
    folders: Annotated[list[Path], typer.Argument(metavar="FOLDER...", help="published studies")],
    *,
    threads: Threads = 1,
) -> None:
    """Hold published studies to their own rows.

    What is chosen, summarised, tabled and drawn is made anew from the published rows, trials and records, and compared.
    Exit status 1 if anything differs.
    """
    from regbench.report.published.verify import text
    from regbench.report.published.verify import verify as hold

    found = [hold(folder, processes=threads) for folder in folders]
    print("\n".join(map(text, found)))
    if any(one.differences for one in found):
        raise typer.Exit(1)
