"""`regbench new`: a commented config for the data that lie in a folder, which `regbench check` accepts."""

import re
from collections.abc import Iterator
from pathlib import Path

import yaml

from regbench.data.prepare import open_source
from regbench.data.readers.image_file import SUFFIXES, stem, suffix
from regbench.data.subject import Source
from regbench.orchestration.registries import check_component
from regbench.study.data_kind import dataset_of
from regbench.study.job_specs import prepare_spec
from regbench.study.load import load
from regbench.study.methods import Study
from regbench.system.errors import RegbenchError, UsageError
from regbench.system.names import given_path
from regbench.tuning.rehearsal import first_look

FEW = 10  # subjects; of fewer, shares of a tenth and a fifth would leave a split without a pair
FOR_NETWORKS, FOR_PAIRS = 6, 4  # subjects: two, a pair, in each of three splits, or of the two that `instance` needs
OF_LABELS = re.compile(r"label|seg|annot|mask|anat", re.IGNORECASE)  # in the name of a folder
EMBEDDED = """\
datasets: # slices of a real brain, deformed by known maps; your own: `data: FOLDER`, see docs/data.md
  - id: brains
    source: mni152
    parameters: {dims: 2, subjects: 40, shape: [80, 96], spacing_mm: 2.0}
    splits: {train: 24, validation: 6, test: 10}
    pairs: {validation: 10, test: 20}
"""
STUDY = """\
# {found}.
#   regbench check {path}         every mistake at once; runs nothing
#   regbench plan {path}          jobs, hours, disk
#   regbench run {path}           runs it, or goes on with it; results in ./results/{study}
# Paths in this file begin at its folder; results go where commands run. `regbench check --show {path}`: all defaults.
study: {study}

{data}
# One row of the table for each model with each similarity and each regularizer. `regbench list` has all names;
# a function of your own is `my_losses.py:my_function`, in a file beside this one (docs/own_loss.md).
models: {models}
similarities: {similarities}
regularizers: [grad_l2, bending] # more: grad_l1, displacement_l1, curvature, elastic, tv

steps: {steps} # of each training; a trial of the search for lambda takes a third
seeds: [0, 1, 2, 3] # one search for lambda and one training each: the fewest that tell noise from difference
{goal}"""
UNLABELLED = """
# No labels and no landmarks: trials are scored by a similarity, which finds no range of lambda by itself. So the study
# judges similarity, folding and time, and no overlap.
tuning: {objective: similarity.lcc}
lambdas: [{range: [0.01, 10]}]
"""


def write_new(name: str, data: str | None) -> tuple[Path, str]:
    """Write a config beside nothing else of its name.

    Args:
        name: of the study.
        data: folder or file of images, relative to this folder; None for the embedded brains.

    Returns:
        The file, and what was seen of the data.

    Raises:
        UsageError: if the file is there already, or the config would not pass the check.
        RegbenchError: if the data cannot be read.
    """
    study = name.removesuffix(".yaml")
    path = Path(f"{study}.yaml")
    text, seen = _embedded(study, path) if data is None else _of_data(study, path, data)
    _check(text, path)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(f"`{path}` must not exist yet, but does; give the study another name") from None
    except OSError as error:
        raise RegbenchError(f"`{path}` must be writable, but got: {error.strerror}.") from error
    return path, seen


def _check(text: str, path: Path) -> None:
    study = Study(load(yaml.safe_load(text), check_component, where=str(path)))
    for dataset in study.config.datasets:
        first_look(study, dataset.id)


def _embedded(study: str, path: Path) -> tuple[str, str]:
    seen = "2D slices of embedded brains; put your own data in their place"
    return _text(study, path, seen, EMBEDDED, None), seen


def _of_data(study: str, path: Path, data: str) -> tuple[str, str]:
    section = _section(data)
    source = _opened(section)
    if _few(source) and len(source.ids) < FOR_PAIRS:
        raise UsageError(f"`{data}` must have {FOR_PAIRS} subjects or more, but has {len(source.ids)}; add some")
    size = " x ".join(map(str, source.shape))
    has = [
        "no labels" if len(source.unlabelled) == len(source.ids) else "labels",
        *(["landmarks"] if source.landmarked else []),
        *([f"masks of {len(source.masked)}"] if source.masked else []),
        *([f"modalities {', '.join(_modalities(source))}"] if len(_modalities(source)) > 1 else []),
    ]
    seen = f"{len(source.ids)} subjects of `{data}`, {size} voxels ({section['source']}), {', '.join(has)}"
    return _text(study, path, seen, _data_lines(data, section, source), source), seen


def _section(data: str) -> dict[str, object]:
    """The dataset of a folder; where images and labels lie under other names, these."""
    try:
        section = dataset_of(data)
    except UsageError as error:
        raise UsageError(f"--data {error}") from None
    folder = given_path(data)
    if section["source"] != "folder":
        return section
    holding = {name: stems for name, stems in _folders_of_images(folder) if name not in ("masks", "landmarks")}
    labels = [name for name in holding if OF_LABELS.search(name)]
    images = [name for name in holding if name not in labels]
    if (folder / "labels").is_dir():  # which may hold a folder for each modality
        labels = ["labels"]
    if (folder / "images").is_dir():
        images = ["images"]
    if len(images) != 1 or len(labels) > 1:
        there = ", ".join(f"`{name}` ({len(stems)})" for name, stems in holding.items()) or "none"
        raise UsageError(
            f"`{data}` must have a folder of images and one of labels with equal file names (images/ and labels/), or "
            f"a CSV with the columns subject and image, but its folders of images are: {there}. docs/data.md has more"
        )
    others = {kind: names[0] for kind, names in (("images", images), ("labels", labels)) if names and names != [kind]}
    return {**section, "parameters": {"path": data, **others}} if others else section


def _folders_of_images(folder: Path) -> Iterator[tuple[str, set[str]]]:
    """Folders in a folder that hold images, and the names of these without their suffix."""
    for inner in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        if stems := {stem(file) for file in inner.iterdir() if suffix(file) in SUFFIXES}:
            yield inner.name, stems


def _opened(section: dict[str, object]) -> Source:
    """What headers tell of a dataset, on the grid that it would get."""
    raw = {
        **yaml.safe_load(_text("new", Path("new.yaml"), "", EMBEDDED, None)),
        "datasets": [{**section, "splits": {"test": "rest"}}],
    }
    study = Study(load(raw))
    return open_source(prepare_spec(study, str(section["id"])))


def _modalities(source: Source) -> list[str]:
    return sorted(set(source.modalities.values()))


def _data_lines(data: str, section: dict[str, object], source: Source) -> str:
    """`data`, or the long form where the short one would not find the files or split them well."""
    short, few = section == dataset_of(data), _few(source)
    if short and not few:
        return f"data: {yaml_word(data)} # read as `{section['source']}`\n"
    lines = ["datasets:", f"  - id: {section['id']}", f"    source: {section['source']}"]
    lines.append(f"    parameters: {yaml_flow(section['parameters'])}")
    if few:
        train = "train: rest, " if len(source.ids) >= FOR_NETWORKS else ""
        lines.append(f"    splits: {{{train}validation: 2, test: {'2' if train else 'rest'}}} # so few decide little")
    else:
        lines.append("    most_pairs: {validation: 20, test: 100}")
    return "\n".join(lines) + "\n"


def _few(source: Source) -> bool:
    """Whether there are hardly subjects for three splits, and nothing but their number says who goes where."""
    return len(source.ids) < FEW and not source.given and not source.groups


def yaml_flow(value: object) -> str:
    """A value on one line of YAML."""
    return yaml.safe_dump(value, default_flow_style=True, width=10_000, sort_keys=False, allow_unicode=True).strip()


def yaml_word(text: str) -> str:
    """A text as it stands behind a key of YAML, in quotes where it needs them."""
    return yaml_flow([text])[1:-1]


def _text(study: str, path: Path, seen: str, data: str, source: Source | None) -> str:
    several = source is not None and len(_modalities(source)) > 1
    unscored = source is not None and not source.landmarked and len(source.unlabelled) == len(source.ids)
    similarities = "[lcc, mse] # more: gcc, mi, ngf, mind, ssim"
    if several:
        similarities = "[nmi, mind] # several modalities; more: mi, ngf, correlation_ratio"
    goal = UNLABELLED if unscored and not (source is not None and source.true_maps) else ""
    if several:
        goal = goal.replace("similarity.lcc", "similarity.nmi")
    models = "[voxelmorph] # instance: optimises each pair by itself, without training"
    if source is not None and _few(source) and len(source.ids) < FOR_NETWORKS:
        models = "[instance] # too few subjects to train a network: each pair is optimised by itself"
    steps = 300 if source is None else 2000
    return STUDY.format(
        **{"found": seen, "path": path, "study": study, "data": data, "models": models},
        **{"similarities": similarities, "steps": steps, "goal": goal},
    )
