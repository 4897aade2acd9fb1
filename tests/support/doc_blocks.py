"""The blocks of the pages, and what each asks for: YAML is loaded, a command line is parsed, and nothing is left out.

A block without a language is for a shell. An HTML comment right above a block says what else it is:

* ``<!-- file: NAME -->`` over YAML or Python: this is the text of the file NAME; commands of the page find it there.
* ``<!-- site file -->`` over YAML: of a cluster, no config.
* ``<!-- not run: REASON -->`` over a shell block: it names programs of the machine; our own lines in it are parsed.
"""

import re
import shlex
import textwrap
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import typer
from tiny_study import ROOT

from regbench.cli.main import _one_each, app

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
OF_SHELL = {".", "cd", "mkdir", "cp", "pdflatex"}
FENCED = re.compile(r"(?:^ *<!-- ([^>]*) -->\n)?^( *)```([^\n`]*)\n(.*?)^ *```", re.S | re.M)
PLACEHOLDERS = {"N": "1", "FORM": "itk"}  # of numbers and of one word of several; any other text will do for the rest


class Block(NamedTuple):
    """Of a page.

    Attributes:
        page: its name without `.md`.
        line: of its fence.
        language: "" is for a shell.
        text: without the indentation of a list.
        mark: the comment above it.
    """

    page: str
    line: int
    language: str
    text: str
    mark: str

    @property
    def file(self) -> str | None:
        """The file that it is the text of."""
        return self.mark.removeprefix("file: ") if self.mark.startswith("file: ") else None


def blocks(page: Path, language: str | None = None) -> list[Block]:
    """Of one language, or all."""
    text = page.read_text(encoding="utf-8")
    found = [
        Block(page.stem, text[: match.start(2)].count("\n") + 1, match[3], textwrap.dedent(match[4]), match[1] or "")
        for match in FENCED.finditer(text)
    ]
    return [block for block in found if language is None or block.language == language]


def commands(block: Block) -> Iterator[list[str]]:
    """The words of each command of a shell block, its synopsis (`[--json]`, `DIR ...`) as one would type it."""
    for line in block.text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars="&|;")
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, "&&"]:
            if word in ("&&", "|", ";", "&"):
                if words:
                    yield [typed(one) for one in words if one != "..."]
                words = []
            else:
                words.append(word)


def typed(word: str) -> str:
    """A word of a synopsis without brackets, a number for N."""
    if word.startswith("[") and re.match(r"\[-*[A-Za-z]", word):
        word = word[1:]
    if word.endswith("]") and "[" not in word:
        word = word[:-1]
    return PLACEHOLDERS.get(word, word)


def fault(words: list[str], mark: str, files: Collection[str] = ()) -> str | None:
    """What is wrong with a command; None if it may be typed so.

    Args:
        words: of the command.
        mark: of its block.
        files: that the page shows.
    """
    program, *rest = words
    while "=" in program and rest:  # `NAME=value command`
        program, *rest = rest
    if program == "regbench":
        return fault_of_verb(rest)
    if program == "snakemake":
        return fault_of_snakemake(rest)
    if program == "make":
        return fault_of_make(rest)
    if program.endswith("python") and rest and rest[0].endswith(".py"):
        here = rest[0] in files or (ROOT / rest[0]).is_file()
        return None if here else f"there is no {rest[0]}"
    if program in OF_SHELL or mark.startswith("not run: "):
        return None
    return f"`{program}` is no program of ours; say why it is not run"


def fault_of_verb(words: list[str]) -> str | None:
    command = typer.main.get_command(app())
    if not words or words[0].startswith("-"):
        known = {option for parameter in command.params for option in parameter.opts}
        return None if set(words) <= known | {"--help", "--install-completion", "--show-completion"} else str(words)
    verb, *rest = _one_each(words)
    if verb not in command.commands:  # type: ignore[attr-defined]
        return f"there is no verb {verb}"
    if "--help" in rest:
        return None
    try:
        context = command.commands[verb].make_context(verb, rest)  # type: ignore[attr-defined]
    except typer.TyperException as error:
        return error.format_message()
    return fault_of_snakemake(list(context.params.get("options") or ()))


@cache
def snakemake_parser():
    from snakemake.cli import get_argument_parser

    return get_argument_parser()


def in_text(page: Path) -> list[str]:
    """What the sentences of a page call by `regbench ...`."""
    return re.findall(r"(?<!`)`(regbench [^`\n]+)`", FENCED.sub("", page.read_text(encoding="utf-8")))


def fault_in_text(line: str) -> str | None:
    """As `fault`, of a line that leaves arguments out: verb and names of options alone."""
    commands = typer.main.get_command(app()).commands  # type: ignore[attr-defined]
    verb, *rest = line.partition(" -- ")[0].split()[1:]
    if not re.fullmatch(r"[a-z][a-z-]*", verb):
        return None
    if verb not in commands:
        return f"there is no verb {verb}"
    known = {name for parameter in commands[verb].params for name in (*parameter.opts, *parameter.secondary_opts)}
    given = {typed(word).partition("=")[0] for word in rest if word.startswith(("--", "[--"))}
    return None if given <= known | {"--help"} else f"{verb} has no {', '.join(sorted(given - known))}"


def fault_of_snakemake(words: list[str]) -> str | None:
    if not words:
        return None
    try:
        _, unknown = snakemake_parser().parse_known_args(words)
    except SystemExit:
        return f"Snakemake refuses {words}"
    return f"Snakemake does not know {unknown}" if unknown else None


def fault_of_make(words: list[str]) -> str | None:
    text = (ROOT / "Makefile").read_text()
    for word in words:
        name, given, _ = word.partition("=")
        pattern = rf"\$\({name}\)|\$\({name}:" if given else rf"^(?!\.)[\w \-]*\b{re.escape(name)}\b[\w \-]*:(?!=)"
        if not re.search(pattern, text, re.M):
            return f"the Makefile has no {word}"
    return None
