"""Pages of the site that are made from the code at each build: keys of a config, verbs, components."""

import inspect
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import typer
from docutils import nodes
from reference_table import reference_table
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from typer.core import TyperArgument, TyperOption

from regbench.cli.main import app
from regbench.data import DATASETS
from regbench.losses import AFFINE_REGULARIZERS, CONSISTENCIES, REGULARIZERS, SIMILARITIES
from regbench.models import AFFINE_MODELS, MODELS

SCHEMA = Path(__file__).parents[1] / "workflow" / "config.schema.json"
SORTABLE = ("published_studies",)  # whose tables docs/sortable.js sorts
PARTS: dict[str, Any] = json.loads(SCHEMA.read_text(encoding="utf-8"))["$defs"]


def keyed(part: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The form of a part that has keys; a component may also be a bare name."""
    forms = [part, *part.get("anyOf", ())]
    return next((form for form in forms if "properties" in form), None)


def type_words(schema: Mapping[str, Any]) -> str:
    """What a key takes, in a few words: `integer`, `list of string`, `a | b`, or a link to the keys of a part."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#{name.lower()})" if keyed(PARTS[name]) else "any JSON value"
    values = schema.get("enum", [schema["const"]] if "const" in schema else [])
    if values:
        return " or ".join(f"`{value}`" for value in values)
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(type_words(choice) for choice in schema["anyOf"]))
    if schema.get("type") == "array":
        parts = schema.get("prefixItems")
        if parts:
            return "list of " + ", ".join(type_words(part) for part in parts)
        return f"list of {type_words(schema.get('items', {}))}"
    return str(schema.get("type", "any JSON value"))


def limits_words(schema: Mapping[str, Any]) -> str:
    words = {
        "minimum": "at least",
        "exclusiveMinimum": "more than",
        "maximum": "at most",
        "exclusiveMaximum": "less than",
        "pattern": "pattern",
    }
    return ", ".join(f"{word} `{schema[key]}`".replace("|", "\\|") for key, word in words.items() if key in schema)


def key_table(part: Mapping[str, Any]) -> Iterator[str]:
    """A Markdown table of the keys of one part of the schema."""
    yield "| key | meaning | takes | default |"
    yield "|---|---|---|---|"
    required = set(part.get("required", ()))
    for key, schema in part["properties"].items():
        if key in required:
            default = "(required)"
        else:
            default = f"`{json.dumps(schema['default'])}`" if "default" in schema else ""
        meaning = "; ".join(filter(None, (schema.get("description", ""), limits_words(schema))))
        yield f"| `{key}` | {meaning} | {type_words(schema)} | {default} |"


def config_reference() -> Iterator[str]:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    yield "## The file"
    yield ""
    yield from key_table(schema)
    for name, part in schema["$defs"].items():
        if form := keyed(part):
            yield from ("", f"## {name}", "", " ".join(form.get("description", "").split()), "")
            yield from key_table(form)


def parameter_row(parameter: TyperArgument | TyperOption) -> str:
    words = " ".join((getattr(parameter, "help", None) or "").split()).replace("|", "\\|")
    if isinstance(parameter, TyperArgument):
        name = parameter.metavar or parameter.name or ""
        return f"| `{name.upper()}` | {words} |"
    names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
    return f"| {names} | {words} |"


def verb_reference() -> Iterator[str]:
    command = typer.main.get_command(app())
    for name, verb in command.commands.items():  # type: ignore[attr-defined]
        yield from ("", f"## {name}", "", inspect.cleandoc(verb.help or ""), "")
        shown = [parameter for parameter in verb.params if not getattr(parameter, "hidden", False)]
        if shown:
            yield from ("| argument or option | meaning |", "|---|---|")
            yield from map(parameter_row, shown)


def parameters_of(component: Callable[..., object]) -> str:
    """Its keyword-only parameters with their defaults, as a config writes them."""
    return ", ".join(
        f"`{parameter.name}`" if parameter.default is parameter.empty else f"`{parameter.name}: {parameter.default}`"
        for parameter in inspect.signature(component).parameters.values()
        if parameter.kind is parameter.KEYWORD_ONLY and parameter.name not in {"mask", "expected"}
    )


def component_reference() -> Iterator[str]:
    registries: Mapping[str, Mapping[str, Callable[..., object]]] = {
        "Similarities": SIMILARITIES,
        "Regularizers": REGULARIZERS,
        "Regularizers of a matrix": AFFINE_REGULARIZERS,
        "Consistencies": CONSISTENCIES,
        "Models": {**MODELS, **AFFINE_MODELS},
        "Sources of data": DATASETS,
    }
    for title, registry in registries.items():
        yield from ("", f"## {title}", "", "| name | what it is | parameters |", "|---|---|---|")
        for name, component in registry.items():
            first = " ".join((inspect.getdoc(component) or "").split("\n\n")[0].split()).replace("|", "\\|")
            yield f"| `{name}` | {first} | {parameters_of(component)} |"


def loss_functions() -> Iterator[str]:
    registries = (SIMILARITIES, REGULARIZERS, AFFINE_REGULARIZERS, CONSISTENCIES)
    yield "```{eval-rst}"
    for registry in registries:
        for name, function in registry.items():
            yield f".. autofunction:: {function.__module__}.{name}"
    yield "```"


class Generated(SphinxDirective):
    """Text that a function of this module writes, read as Markdown."""

    required_arguments = 1
    WRITERS = {  # noqa: RUF012
        "config": config_reference,
        "verbs": verb_reference,
        "components": component_reference,
        "loss_functions": loss_functions,
        "published_studies": reference_table,
    }

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(SCHEMA)
        self.env.note_reread()
        lines = list(self.WRITERS[self.arguments[0]]())
        parsed = self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)
        return [nodes.container("", *parsed, classes=["sortable"])] if self.arguments[0] in SORTABLE else parsed


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("generated", Generated)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
