"""Verbs that begin a study: new, run, quick."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from regbench.cli.options import ConfigFile, positive

VERBOSE = ["--printshellcmds"]  # of Snakemake: the display leaves the terminal to it
Cores = Annotated[
    int | None, typer.Option(parser=positive, help="that jobs may take together; default: all of this machine")
]
Profile = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="where jobs run: slurm, local (a GPU each), kubernetes, or the folder of a profile"
    ),
]
Verbose = Annotated[bool, typer.Option("--verbose", help="Snakemake's own words, with every command")]
SnakemakeOptions = Annotated[
    list[str] | None, typer.Argument(metavar="-- SNAKEMAKE...", help="any options of Snakemake, behind --")
]


def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="of the study; NAME.yaml is written in this folder")],
    *,
    data: Annotated[
        str | None,
        typer.Option(metavar="FOLDER", help="images/ and labels/, a CSV, .npz, Learn2Reg or neurite-OASIS data"),
    ] = None,
) -> None:
    """Write a commented config for your data.

    It passes `regbench check`. Without data it takes the embedded brains. No file is replaced.
    """
    from regbench.orchestration.new_study import write_new

    path, found = write_new(name, data)
    print(f"{path}: {found}\nnext: regbench run {path}")


def run(
    config_file: ConfigFile,
    options: SnakemakeOptions = None,
    *,
    cores: Cores = None,
    profile: Profile = None,
    verbose: Verbose = False,
) -> None:
    """Run a study, or go on with it.

    It prepares, tunes, trains, evaluates and reports; the same command goes on after any interruption. Results go to
    `results/` of this folder, unless the config names another. Snakemake does the work and gives the exit status.
    """
    _become_snakemake(config_file, cores, profile, [*(VERBOSE if verbose else []), *(options or [])])


def quick(options: SnakemakeOptions = None, *, cores: Cores = None, verbose: Verbose = False) -> None:
    """Run the embedded study into ./results.

    Some ten minutes on two free cores, without a GPU; no data are needed.
    """
    from regbench.orchestration.shipped import root

    options = [*(VERBOSE if verbose else []), *(options or [])]
    _become_snakemake(root() / "configs" / "quick.yaml", cores, None, options)


def _become_snakemake(config: Path, cores: int | None, profile: str | None, options: list[str]) -> None:
    """Replace this process, so that signals and the exit status are Snakemake's own."""
    from regbench.orchestration import shipped
    from regbench.study.yaml_file import read_yaml

    read_yaml(config)  # what is no config at all has our message, at once
    folder = None if profile is None else shipped.profile(profile)
    words = shipped.command(config, cores=cores, profile_folder=folder, options=options)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(words[0], words)
