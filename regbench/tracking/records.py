"""What the runs of a study should hold in MLflow, from its files: finished, running and stopped ones.

A run's key, name, params and tags are the same from its first step to the table; points, artifacts and what only the
analysis knows are added. So a push that comes later completes what an earlier one wrote.
"""

from collections.abc import Iterator
from pathlib import Path

from regbench.study.methods import Study
from regbench.system.files import whole_files, write_text
from regbench.tracking.cell_files import CellFiles, modified_ms
from regbench.tracking.limits import LIMIT, WHOLE, is_long
from regbench.tracking.method_records import method_record
from regbench.tracking.mlflow_run import Item, Record
from regbench.tracking.mlflow_views import study_pages
from regbench.tracking.run_description import NOTE, short_headline
from regbench.tracking.run_records import curve_items, run_items
from regbench.tracking.study_files import StudyFiles
from regbench.tracking.trial_records import trial_items


def study_items(study: Study) -> Iterator[Item]:
    """The whole study's tables, a parent a method, a child a trial and a seed, as far as their files exist."""
    study_files = StudyFiles(study)
    if study_files.summary is not None:
        yield _item(_report(study_files))
    for dataset in study.config.datasets:
        for method in study.methods:
            cell = CellFiles(study_files, dataset.id, method)
            if cell.begun:
                yield _item(method_record(cell))
                yield from trial_items(cell)
                yield from run_items(cell)
                yield from curve_items(cell)


def _item(record: Record) -> Item:
    return Item(record.key, record.parent, record.digest(), lambda: record)


def _report(study_files: StudyFiles) -> Record:
    """The page, the config, and all tables and figures of the study."""
    study, lay = study_files.study, study_files.lay
    time_ms = modified_ms(lay.summary)
    ours = {lay.run_ids.name, lay.views.name}  # what a push writes is no part of what is pushed
    artifacts = [(path, "tables") for path in whole_files(lay.tables) if path.name not in ours]
    artifacts += [(path, "figures") for path in whole_files(lay.figures, "*.png")]
    artifacts += [(path, folder) for folder, path in study_pages(lay).items() if path.exists()]
    about = f"The report, all tables and figures of study **{study.name}**. {study.config.description}"
    artifacts += list(_cut_texts(study_files))
    headline = short_headline(study_files.summary) if study_files.summary else ""
    tags = study_files.tags | {"stage": "report", NOTE: "\n\n".join(filter(None, [about, headline]))}
    tags |= {"headline": headline} if headline else {}
    return Record(
        study.name, f"{study.name} · tables", None, {}, tags, artifacts=artifacts, time_ms=time_ms, end_ms=time_ms
    )


def _cut_texts(study_files: StudyFiles) -> Iterator[tuple[Path, str]]:
    """File and folder of each text of the config that MLflow shows cut."""
    study, lay = study_files.study, study_files.lay
    description = study.config.description
    if len(description) > LIMIT // 2:  # beside it stand the headline and links
        path = lay.state / "description.md"
        if not path.exists() or path.read_text(encoding="utf-8") != description:
            write_text(path, description)
        yield path, WHOLE
    for dataset in study.config.datasets:
        if is_long(study_files.source(dataset.id)) and lay.manifest(dataset.id).exists():
            yield lay.manifest(dataset.id), f"{WHOLE}/{dataset.id}"
