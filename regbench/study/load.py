"""From what YAML or Snakemake read to the typed study, every mistake reported at once."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from regbench.study import components
from regbench.study.checks import Checker, component_checks, cross_checks, imported_names
from regbench.study.config import SHORT, Config
from regbench.study.config_paths import missing_files
from regbench.study.methods import Study
from regbench.study.mistakes import TOO_MANY, Mistake, readable
from regbench.study.plain import plain
from regbench.study.short_form import as_written, expanded
from regbench.system.errors import UsageError
from regbench.system.files import SEAL

MOST_SHOWN = 100  # mistakes; more are counted


def load(
    raw: Mapping[str, Any],
    check: Checker | None = None,
    *,
    where: str = "config",
    trusted: bool = True,
    data_there: bool = False,
) -> Config:
    """The typed study in `raw`.

    Args:
        raw: what `read_config` or Snakemake read, paths from the working folder on.
        check: looks names and parameters of components up; None where they were checked before.
        where: the file, for the message.
        trusted: the config is the user's own: the functions that it names may be imported.
        data_there: whether a folder or file of data that is not there, and not prepared, is a mistake.

    Raises:
        UsageError: listing every mistake with its key.
    """
    mistakes: list[Mistake] = []
    config = None
    # The seal is of a study's own `config.json`, which `load_study` holds to it.
    bare = {key: value for key, value in raw.items() if key != SEAL}
    long_form = expanded(plain(bare, mistakes), mistakes, look=check is not None)
    raw = long_form.raw
    if trusted:
        components.allow(imported_names(raw))
    named = {mistake.key for mistake in mistakes}  # whose values were replaced: what else is said of them is of that
    try:
        # Through JSON text: pydantic's strict mode then takes lists for tuples and nothing else for anything.
        text = json.dumps(raw, ensure_ascii=False)
        text.encode()
        config = Config.model_validate_json(text)
    except ValidationError as error:
        found = [readable(dict(item)) for item in error.errors()]
        mistakes += [mistake for mistake in found if mistake.key not in named]
    except UnicodeEncodeError as error:
        half = error.object[error.start : error.end]
        mistakes.append(Mistake("(whole file)", f"must be text, but holds {half!a}, half a letter"))
    except (TypeError, ValueError) as error:
        mistakes.append(Mistake("(whole file)", f"must hold only what JSON can express, but got: {error}"))
    if not any(mistake.message.startswith(TOO_MANY) for mistake in mistakes):  # of which each would be compared
        mistakes += list(cross_checks(raw))
        mistakes += list(component_checks(raw, check)) if check is not None else []
        absent = missing_files(raw, prepared=_prepared(config)) if data_there else ()
        mistakes += [mistake for mistake in absent if as_written(mistake, long_form).key not in named]
    mistakes = list(dict.fromkeys(as_written(mistake, long_form) for mistake in mistakes))
    if mistakes or config is None:
        shown = [f"  {key}: {message}" for key, message in mistakes[:MOST_SHOWN]]
        more = [f"  and {len(mistakes) - MOST_SHOWN} more"] if len(mistakes) > MOST_SHOWN else []
        lines = "\n".join([*shown, *more])
        count = f"{len(mistakes)} mistake{'s' if len(mistakes) != 1 else ''}"
        raise UsageError(f"`{where}` has {count}; nothing was started:\n{lines}")
    return config


def _prepared(config: Config | None) -> list[str]:
    """Datasets that need their files no more."""
    if config is None:
        return []
    layout = Study(config).layout
    return [part.id for part in (*config.datasets, *config.test_sets) if layout.manifest(part.id).exists()]


def json_schema() -> dict[str, Any]:
    """The JSON schema of a config, for editors and for Snakemake's users."""
    schema = Config.model_json_schema(mode="validation")
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    # A bare name is short for a component without parameters; the validator knows, the schema must say.
    either = [{"required": ["name"]}, {"required": ["terms"]}]
    for kind, more in (("Component", {}), ("Model", {}), ("Term", {}), ("Regularizer", {"oneOf": either})):
        long = {**schema["$defs"][kind], **more, "title": f"{kind}WithParameters"}
        schema["$defs"][kind] = {"anyOf": [{"type": "string"}, long]}
    _with_short_keys(schema)
    return schema


def _with_short_keys(schema: dict[str, Any]) -> None:
    """Let each short key stand for what it is short for; what it fills in is then not required."""
    properties, definitions = schema["properties"], schema["$defs"]
    parts = {**definitions["Grid"]["properties"], **definitions["Training"]["properties"]}
    path = {"type": "string", "minLength": 1, "title": "Data"}
    for key in SHORT:
        words = f"short for `{'`, `'.join(SHORT[key])}`; README.md has the form of six lines"
        properties[key] = {**parts.get(key, path), "description": words}
    schema["required"] = ["study", "models"]
    definitions["Grid"].pop("required")
    definitions["Training"].pop("required")
    definitions["Tuning"].pop("required")
    either: list[tuple[dict[str, Any], str]] = [({"required": ["datasets"]}, "data")]
    either += [
        ({"required": ["grid"], "properties": {"grid": {"required": [key]}}}, key)
        for key in ("similarities", "regularizers")
    ]
    long = {"training": {"required": ["steps"]}, "tuning": {"required": ["steps", "trials"]}}
    either.append(({"required": ["training", "tuning", "seeds"], "properties": long}, "steps"))
    schema["allOf"] = [{"oneOf": [form, {"required": [key]}]} for form, key in either]
