"""A published study is trained once more from its config, and what comes out is compared with what was published."""

import json
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from regbench.orchestration.shipped import command
from regbench.report.analyze import KEY
from regbench.report.published.agreement import Agreement, agreement
from regbench.report.published.compare import Difference, compared
from regbench.report.published.contents import RECORDS
from regbench.report.published.derive import summary_of
from regbench.report.published.environments import PROVENANCE, differences_here
from regbench.report.published.listing import files_in, read_list
from regbench.report.published.neutral import CODE
from regbench.report.published.publish import publish
from regbench.report.published.verify import first
from regbench.study.config_paths import with_paths
from regbench.study.layout import Layout
from regbench.study.load import load
from regbench.study.methods import Study
from regbench.system.errors import RegbenchError, UsageError
from regbench.system.files import (
    MANIFEST,
    SEAL,
    canonical_json,
    read_json,
    read_sealed,
    write_json,
    write_sealed,
    write_text,
)
from regbench.system.parquet import read_table, write_table

# What two trainings of one thing have of their own: times, machines, fingerprints of code.
OWN_KEYS = (SEAL, "seconds", "environment", "code", "digest")
# Tables and figures of times.
OF_TIME = ("tables/runtime.", "figures/runtime_scores.")
NUMBERS = (".csv", ".md", ".tex", ".html", ".parquet", ".jsonl", MANIFEST)


class Repeated(NamedTuple):
    """What came of it.

    Attributes:
        folder: that was published.
        differences: of files that are to be the same to the byte.
        promised: whether the same bytes were promised: the same code and packages, on a CPU of the same kind.
        agreement: of the verdicts.
        notes: how the environments differ.
    """

    folder: Path
    differences: list[str]
    promised: bool
    agreement: Agreement
    notes: list[str]

    @property
    def failed(self) -> bool:
        """Whether something is not as it should be: other bytes where they were promised, else no agreement."""
        lost = self.promised or self.agreement.outside or not self.agreement.compared
        return bool(self.differences and lost)


def rerun(folder: Path, work: Path, *, data: Path | None = None, cores: int | None = None) -> Repeated:
    """Train a published study again.

    Args:
        folder: that is published.
        work: folder of studies that receives the new one, `work/<study>`; the same call goes on where it was stopped.
        data: folder with the files and folders that the config names.
        cores: that jobs may take together; all unless given.

    Raises:
        UsageError: if the config names data and no folder of them is given.
        RegbenchError: if the folder is no published one, or a job fails.
    """
    folder, work = folder.resolve(), work.resolve()
    listed, work_folder = read_list(folder), work / ".published"
    config = work / f"{folder.name}.json"
    study = _written(folder, work, data, config)
    _run(config, work, cores)
    publish(study, work_folder, overwrite=True)
    again = work_folder / study.name
    environments = [read_json(Layout(place).tables / PROVENANCE)["runs_made_by"] for place in (folder, again)]
    found = [*_differences(folder, again)]
    on_cpu = all(str(one.get("device", "")).startswith("cpu") for one in environments[0])
    summaries = [summary_of(place) for place in (folder, again)]
    promised = on_cpu and environments[0] == environments[1]
    notes = [*differences_here(folder, listed.made_by)]
    return Repeated(folder, found, promised, agreement(summaries[0], summaries[1]), notes)


def text(repeated: Repeated) -> str:
    """What came of it, for a terminal."""
    lines = [f"note: {note}" for note in repeated.notes]
    if not repeated.differences:
        lines.append(
            f"{repeated.folder}: trained again; every row, trial, choice, weight and number is the same to the byte"
        )
        return "\n".join(lines)
    lines += [f"  {difference}" for difference in repeated.differences]
    count, outside, contradicted = repeated.agreement
    lines += [f"  outside its interval: {one}" for one in outside]
    lines += [f"  contradicted: {one}" for one in contradicted]
    promise = (
        "they were promised: the same code, packages and kind of CPU"
        if repeated.promised
        else "they were not promised: code, packages or machine are other ones"
    )
    lines.append(
        f"{repeated.folder}: trained again; not the same bytes ({promise}). Of {count} differences between methods "
        f"{count - len(outside)} lie inside the published intervals; {len(contradicted)} verdicts are contradicted"
    )
    return "\n".join(lines)


def _written(folder: Path, work: Path, data: Path | None, path: Path) -> Study:
    """Write the config of the new study."""
    published = read_sealed(Layout(folder).config)
    named: list[str] = []
    place = partial(_place, folder, None if data is None else data.resolve(), named)
    raw = {**with_paths(published, place), "results": str(work)}
    if named and data is None:
        raise UsageError(
            f"--data must name the folder that holds what the config of `{folder.name}` names: {', '.join(named)}."
        )
    study = Study(load(raw, where=str(path)))
    write_sealed(path, study.config.model_dump(mode="json"))
    return study


def _place(folder: Path, data: Path | None, named: list[str], name: str) -> str:
    """Where a file of the config lies here."""
    if not name.strip():
        return name
    if name.startswith(f"{CODE}/"):
        return str(folder / name)
    named.append(name)
    return str((data or Path()) / name)


def _run(config: Path, work: Path, cores: int | None) -> None:
    """Run the study by the workflow, as `regbench run` does."""
    words = command(config, cores=cores, profile_folder=None, options=["--directory", str(work)])
    status = subprocess.run(words, check=False).returncode
    if status:
        raise RegbenchError(
            f"the study must run to its end in `{work}`, but Snakemake ended with status {status}. The same command "
            "goes on from there."
        )


def _differences(folder: Path, again: Path) -> Iterator[str]:
    """Where numbers differ that two trainings of one study have in common."""
    with tempfile.TemporaryDirectory() as place:
        plain = [Path(place) / name for name in ("published", "again")]
        names = sorted({*_numbers(folder), *_numbers(again)})
        for name in names:
            for source, target in zip((folder, again), plain, strict=True):
                if (source / name).is_file():
                    _plain(source, name, target / name)
            found: list[Difference] = compared(plain[0] / name, plain[1] / name, name, exact=True)
            yield from first([one._replace(file=f"{name} (again)") for one in found])


def _numbers(folder: Path) -> list[str]:
    """The files whose numbers a repetition has in common."""
    return [
        name
        for name in files_in(folder)
        if name.endswith(NUMBERS) and not name.startswith((*OF_TIME, "runtime/")) and name != "report.html"
    ]


def _plain(folder: Path, name: str, target: Path) -> None:
    """A file without what is a matter of the machine."""
    target.parent.mkdir(parents=True, exist_ok=True)
    source = folder / name
    if name == RECORDS:
        lines = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()]
        write_text(target, "".join(f"{canonical_json(_without(line))}\n" for line in lines))
    elif name.endswith(".json"):
        write_json(target, _without(read_json(source)))
    elif name == "analysis/rows.parquet":
        timed = {column for path in folder.glob("runtime/*.parquet") for column in read_table(path)} - set(KEY)
        rows = read_table(source)
        write_table(target, rows.drop(columns=[column for column in rows if column in timed]))
    else:
        target.write_bytes(source.read_bytes())


def _without(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without(entry) for key, entry in value.items() if key not in OWN_KEYS}
    return [_without(entry) for entry in value] if isinstance(value, list) else value
