"""The command line: parses, calls one stage, prints, exits.

0 done, 1 the work failed, 2 wrong usage, 75 stopped by SIGTERM with its state kept: run the same command again.

Every verb of the workflow is usable by hand: it takes the study's config and says which part to do; files lie where
the workflow would put them. Imports stay inside the verbs: `--help` needs no torch.
"""

import atexit
import errno
import functools
import gc
import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Annotated, NoReturn

import typer

from regbench import __version__
from regbench.cli import (
    data_verbs,
    loss_verbs,
    published_verbs,
    result_verbs,
    run_verbs,
    start_verbs,
    study_verbs,
    tuning_verbs,
)
from regbench.system import slurm
from regbench.system.errors import InterruptedTrainingError, RegbenchError, UsageError
from regbench.system.job_usage import took
from regbench.system.terminal import lost_output, show_everywhere

LOG = logging.getLogger(__name__)
BEGAN = time.monotonic()
# At its end Python looks at every object once more, a second for those of torch; the memory goes with the process.
atexit.register(gc.freeze)
Verb = Callable[..., None]
VERBS: dict[str, Verb] = {  # in the order of a study, as `--help` lists them
    "new": start_verbs.new,
    "run": start_verbs.run,
    "quick": start_verbs.quick,
    "list": study_verbs.list_components,
    "audit": loss_verbs.audit,
    "check": study_verbs.check,
    "plan": study_verbs.plan,
    "freeze": study_verbs.freeze,
    "prepare": data_verbs.prepare,
    "inspect": data_verbs.inspect,
    "lambda-range": tuning_verbs.lambda_range,
    "propose": tuning_verbs.propose,
    "trial": tuning_verbs.trial,
    "select": tuning_verbs.select,
    "cell": tuning_verbs.cell,
    "curve": tuning_verbs.curve,
    "train": run_verbs.train,
    "evaluate": run_verbs.evaluate,
    "transfer": run_verbs.transfer,
    "export-images": data_verbs.export_images,
    "evaluate-fields": run_verbs.evaluate_fields,
    "export": run_verbs.export,
    "fetch": data_verbs.fetch,
    "runtime": run_verbs.runtime,
    "look": result_verbs.look,
    "analyze": result_verbs.analyze,
    "report": result_verbs.report,
    "robustness": result_verbs.robustness,
    "view": result_verbs.view,
    "status": study_verbs.status,
    "track": result_verbs.track,
    "ui": result_verbs.ui,
    "export-optuna": tuning_verbs.export_optuna,
    "cancel": study_verbs.cancel,
    "show": study_verbs.show,
    "verdicts": result_verbs.verdicts,
    "register": run_verbs.register,
    "publish": published_verbs.publish,
    "verify": published_verbs.verify,
    "schema": study_verbs.schema,
}
TIMED = (
    "prepare", "lambda-range", "trial", "cell", "curve", "train", "evaluate", "transfer", "runtime", "analyze",
    "report", "robustness", "track",
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of `regbench`."""
    show_everywhere()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    slurm.go_back_when_preempted()
    words = _one_each(sys.argv[1:] if arguments is None else arguments)
    try:
        status = typer.main.get_command(app())(words, prog_name="regbench", standalone_mode=False)
        if sys.stdout is not None:  # which a shell may close
            sys.stdout.flush()  # here, not when Python ends: a full disk has its message
    except typer.TyperException as error:  # wrong usage, in the words of the library
        _stop(_usage(error), error.exit_code)
    except UsageError as error:
        _stop(error, 2)
    except InterruptedTrainingError as error:
        slurm.requeue_preempted()
        _stop(error, 75)  # EX_TEMPFAIL: run it again
    except RegbenchError as error:
        _stop(error, 1)
    except UnicodeEncodeError as error:  # of a path: the output replaces what it cannot show
        text, encoding = ascii(error.object), error.encoding
        _stop(f"text and paths must be in the encoding of this shell, {encoding}, but got {text}. Set PYTHONUTF8=1.", 1)
    except OSError as error:  # of the disk and the shell: whatever files say themselves has its own message
        _stop_unusable(error)
    if reason := lost_output():
        _stop_unheard(reason)
    if status is not None:  # of `--help`, `--version` and Ctrl-C; a verb returns nothing
        sys.exit(status)


def app() -> typer.Typer:
    """The verbs for the library. Help is plain text: boxes around it would need rich, and its time at each start."""
    settings = {"max_content_width": 120, "help_option_names": ["--help", "-h"]}
    verbs = typer.Typer(rich_markup_mode=None, subcommand_metavar="VERB ...", context_settings=settings)
    verbs.callback()(_regbench)
    for name, verb in VERBS.items():
        verbs.command(name)(_timed(verb) if name in TIMED else verb)
    return verbs


def _version(asked: bool) -> None:
    if asked:
        print(f"regbench {__version__}")
        raise typer.Exit


def _regbench(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Show the version and exit.")
    ] = False,
) -> None:
    """Controlled, repeatable benchmarks of similarities and regularizers for learned image registration."""


def _timed(verb: Verb) -> Verb:
    """The verb, which says in its log what it took."""

    @functools.wraps(verb)
    def timed(**options: object) -> None:
        verb(**options)
        LOG.info(took(time.monotonic() - BEGAN))

    return timed


def _one_each(arguments: Sequence[str]) -> list[str]:
    """``--measured A B`` of `plan` as the library knows it: ``--measured A --measured B``."""
    words: list[str] = []
    for word in arguments:
        if words[:1] == ["plan"] and words[-2:-1] == ["--measured"] and not word.startswith("-"):
            words.append("--measured")
        words.append(word)
    return words


def _usage(error: typer.TyperException) -> str:
    words = " ".join(error.format_message().replace("Value error, ", "").split())
    context = getattr(error, "ctx", None)  # of a verb, or of all
    place = context.command_path if context else "regbench"
    return f"{words}{'' if words.endswith(('.', '?')) else '.'} See `{place} --help`."


def _stop(error: RegbenchError | str, status: int) -> NoReturn:
    with suppress(OSError):  # of a full disk or a reader that has gone; the status says it too
        print(f"regbench: {error}", file=sys.stderr, flush=True)
    lost_output()
    sys.exit(status)


def _stop_unheard(reason: str) -> NoReturn:
    if reason == os.strerror(errno.EPIPE):  # as of `regbench list | head -1`: who reads has what they wanted
        sys.exit(1)
    _stop(f"the output of this command must be usable, but got: {reason}. Free space or change permissions.", 1)


def _stop_unusable(error: OSError) -> NoReturn:
    if not error.filename and (reason := lost_output(ask=True)):
        _stop_unheard(reason)
    what = f"`{error.filename}`" if error.filename else "what this command uses"
    _stop(f"{what} must be usable, but got: {error.strerror or error}. Free space or change permissions.", 1)
