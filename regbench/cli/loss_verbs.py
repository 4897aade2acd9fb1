"""Verbs about losses: audit."""

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from regbench.cli.options import Threads, bar
from regbench.system.errors import UsageError

if TYPE_CHECKING:
    from pydantic import JsonValue


def audit(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="a loss of ours, or file.py:function or package.module:function (or :Class) of your own",
        ),
    ],
    *,
    kind: Annotated[
        Literal["similarity", "regularizer", "consistency"] | None,
        typer.Option("--as", help="what it is; default: by its signature"),
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="a parameter; several are possible")
    ] = None,
    threads: Threads = 1,
    as_json: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="write it as JSON too")] = None,
    as_html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="write it as one page too")] = None,
) -> None:
    """Say of any loss what it sees and where it breaks.

    And whether it may enter a study. To name a function of your own is leave to import it, which runs its code. Exit
    status: 0 it may enter, 1 it may not, 2 it could not be audited.
    """
    from regbench.losses.audit.audited import resolve
    from regbench.losses.audit.certificate import audit as certify
    from regbench.report.certificate_text import text
    from regbench.report.page.certificate_page import write_page
    from regbench.study import components
    from regbench.system import device
    from regbench.system.files import write_json

    if ":" in name:
        components.allow([name])
    device.set_up(threads, "cpu")
    parameters = _parameters(settings or [])
    components.allow(components.code_within(parameters))
    certificate = certify(resolve(name, kind, parameters), _progress if bar() else None)
    if bar():
        _progress("")
    if as_json is not None:
        write_json(as_json, certificate.to_json())
    if as_html is not None:
        write_page(certificate, as_html)
    print(text(certificate, shutil.get_terminal_size((120, 40)).columns))
    if not certificate.may_enter:
        raise typer.Exit(1)


def _progress(probe: str) -> None:
    """One line that the next one overwrites."""
    print(f"\r{probe:<30}\r", end="", file=sys.stderr, flush=True)


def _parameters(settings: list[str]) -> "dict[str, JsonValue]":
    """Keywords and values, which are read as YAML reads them."""
    import yaml

    values: dict[str, JsonValue] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key.isidentifier() or key in values:
            raise UsageError(f"--set must be KEY=VALUE, each KEY once, but got {setting!r}")
        try:
            values[key] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            problem = " ".join(str(error).split())
            raise UsageError(f"--set {key} must be a value as in a config, but got {value!r}: {problem}") from error
    return values
