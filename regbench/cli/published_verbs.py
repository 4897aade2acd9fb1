"""Verbs about published studies: publish, verify."""

from pathlib import Path
from typing import Annotated

import typer

from regbench.cli.options import Overwrite, Threads, load_study, positive
from regbench.system.errors import UsageError


def publish(
    config_file: Annotated[
        Path, typer.Argument(metavar="CONFIG", help="the study's YAML; or a published folder, to renew its tables")
    ],
    *,
    to: Annotated[
        Path, typer.Option(help="folder of published studies; a folder of the study's name is made in it")
    ] = Path("results/reference"),
    with_pictures: Annotated[
        bool, typer.Option("--with-pictures", help="show pairs of your own data too; you may publish them")
    ] = False,
    tables_only: Annotated[
        bool, typer.Option("--tables-only", help="neither page nor figures: a third of the size")
    ] = False,
    overwrite: Overwrite = False,
    threads: Threads = 1,
) -> None:
    """Publish a finished study as a small folder.

    Anyone can verify it. It holds tables, figures, page, rows, config, trials and records of runs, neither weights nor
    images. Pairs are shown of data whose licence allows it. Of a published folder, tables, figures and page are written
    anew by this code: its rows stay.
    """
    if config_file.is_dir():
        from regbench.report.published.renew import renew

        if with_pictures:
            raise UsageError("--with-pictures is of a study, but this is a published folder, which has no images.")
        if tables_only:
            raise UsageError("--tables-only is of a study, but this is a published folder. Publish its study again.")
        print(renew(config_file, processes=threads))
        return
    from regbench.report.published.publish import publish as write

    if with_pictures and tables_only:
        raise UsageError("--with-pictures and --tables-only exclude each other. Leave one of them out.")
    study = load_study(config_file, check=False)
    shown = {"with_pictures": with_pictures, "tables_only": tables_only}
    print(write(study, to, **shown, overwrite=overwrite, processes=threads))


def verify(
    folders: Annotated[list[Path], typer.Argument(metavar="FOLDER...", help="published studies")],
    *,
    threads: Threads = 1,
    rerun: Annotated[bool, typer.Option("--rerun", help="train again from the published config, and compare")] = False,
    data: Annotated[
        Path | None, typer.Option(help="with --rerun: folder of the files and folders that the config names")
    ] = None,
    work: Annotated[
        Path, typer.Option(help="with --rerun: folder that receives the new studies; the same command goes on in it")
    ] = Path("results/rerun"),
    cores: Annotated[
        int | None, typer.Option(parser=positive, help="with --rerun: that jobs may take together; default: all")
    ] = None,
) -> None:
    """Hold published studies to their own rows.

    What is chosen, summarised, tabled and drawn is made anew from the published rows, trials and records, and compared.
    With --rerun a study is trained again: by the same code and packages on a CPU the bytes are the same, else the
    differences between methods lie inside the published intervals. Exit status 1 if anything is otherwise.
    """
    from regbench.report.published import rerun as training
    from regbench.report.published.verify import text
    from regbench.report.published.verify import verify as hold

    if not rerun and (data is not None or cores is not None):
        raise UsageError("--data and --cores are of --rerun, which is not given. Give it, or leave them out.")
    failed = False
    for folder in folders:
        found = hold(folder, processes=threads)
        print(text(found), flush=True)
        failed |= bool(found.differences)
        if rerun:
            repeated = training.rerun(folder, work, data=data, cores=cores)
            print(training.text(repeated), flush=True)
            failed |= repeated.failed
    if failed:
        raise typer.Exit(1)
