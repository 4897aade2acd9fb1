"""Verbs about runs and registrations: train, evaluate, runtime, export, evaluate-fields, register."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from regbench.cli.options import (
    ConfigFile,
    DatasetId,
    MethodId,
    Overwrite,
    SaveEvery,
    Seed,
    Threads,
    bar,
    dataset_of,
    load_study,
    number,
    prepared_data,
    take_device,
    take_device_of,
)
from regbench.system.errors import UsageError, did_you_mean


def train(
    config_file: ConfigFile,
    *,
    dataset: DatasetId = None,
    method: MethodId,
    seed: Seed,
    threads: Threads = 1,
    lam: Annotated[
        float | None, typer.Option(parser=number, help="weight of the regularizer; default: what `select` chose")
    ] = None,
    weight: Annotated[
        list[str] | None,
        typer.Option(metavar="ID=NUMBER", help="with --lam: weight of a further term; several are possible"),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="folder of the run; default: its place in the study")] = None,
    save_every: SaveEvery = 300,
) -> None:
    """Train one model."""
    from regbench.training import final_run
    from regbench.tuning.chosen_run import chosen_run, run_at

    study = load_study(config_file)
    take_device_of(study, threads)
    name, lay = dataset_of(study, dataset), study.layout
    if lam is None and weight:
        raise UsageError("--weight must stand beside --lam: without it both are what `select` chose")
    run = chosen_run(study, name, method, seed) if lam is None else run_at(study, method, seed, lam, weight or ())
    state = out / "state.pt" if out else lay.training_state(name, method, seed)
    folder = out or lay.run(name, method, seed)
    data = prepared_data(study, name, config_file).of_draw(study.split_of(seed))
    final_run.train(run.spec, data, folder, reason=run.reason, state_path=state, save_every=save_every, bar=bar())
    print(final_run.outcome(folder), flush=True)


def evaluate(
    config_file: ConfigFile,
    *,
    dataset: DatasetId = None,
    method: MethodId,
    seed: Seed,
    threads: Threads = 1,
    run: Annotated[
        Path | None, typer.Option(help="folder that `train --out` wrote; the rows go there; default: the study's run")
    ] = None,
) -> None:
    """Evaluate one run on all test pairs."""
    from regbench.evaluation.run_rows import evaluate_run, scores_of

    study = load_study(config_file)
    take_device_of(study, threads)
    name, lay = dataset_of(study, dataset), study.layout
    owner = run / ".owner" if run else lay.evaluation_state(name, method, seed)
    folder = run or lay.run(name, method, seed)
    source = run or lay.run(name, study.method(method).trained_as, seed)
    data = prepared_data(study, name, config_file)
    evaluate_run(study, method, seed, data, folder=folder, owner=owner, run=source)
    print(scores_of(folder), flush=True)


def transfer(
    config_file: ConfigFile,
    *,
    dataset: DatasetId = None,
    method: MethodId,
    on: Annotated[str, typer.Option(metavar="ID", help="a dataset or test set that `evaluate_on` names")],
    threads: Threads = 1,
) -> None:
    """Evaluate the runs of a cell on other data.

    Nothing is trained: these are the test pairs of a dataset or test set that `evaluate_on` names.
    """
    from regbench.evaluation.transfer import evaluate_transfer

    study = load_study(config_file)
    name = dataset_of(study, dataset)
    if (name, method, on) not in set(study.transfers()):
        known = sorted({f"--method {cell} --on {other}" for of, cell, other in study.transfers() if of == name})
        hint = did_you_mean(f"--method {method} --on {on}", known)
        raise UsageError(f"the runs of --method {method} of `{name}` are not evaluated on `{on}`; {hint}")
    take_device_of(study, threads)
    evaluate_transfer(study, name, method, prepared_data(study, on, config_file))


def runtime(config_file: ConfigFile, *, dataset: DatasetId = None, threads: Threads = 1) -> None:
    """Time every method on a dataset.

    Let nothing else run on the machine meanwhile.
    """
    from regbench.evaluation import timing
    from regbench.study.job_specs import timing_spec
    from regbench.system.ownership import owning

    study = load_study(config_file)
    take_device_of(study, threads)
    name, lay = dataset_of(study, dataset), study.layout
    folders = [lay.run(*run) for run in study.tuned_runs() if run[0] == name]
    with owning(lay.runtime_owner(name), f"timing of {name}"):
        job = timing_spec(study)
        timing.runtime(
            job, prepared_data(study, name, config_file), folders, lay.runtime_state(name), lay.runtime(name)
        )


def export(
    config_file: ConfigFile,
    *,
    dataset: DatasetId = None,
    method: MethodId,
    seed: Seed,
    threads: Threads = 1,
    out: Annotated[
        Path | None, typer.Option(help="folder of the files; default: `displacements` in the folder of the run")
    ] = None,
    prepared: Annotated[
        bool, typer.Option("--prepared", help="write on the prepared grid, not on the grids of the subjects' files")
    ] = False,
    form: Annotated[Literal["l2r", "itk"], typer.Option(help="l2r: in voxels; itk: in mm, LPS (ITK, ANTs)")] = "l2r",
    overwrite: Overwrite = False,
) -> None:
    """Write the displacements of a method as NIfTI."""
    from regbench.evaluation.export import Target
    from regbench.evaluation.export import export as write
    from regbench.study.job_specs import evaluate_spec

    study = load_study(config_file)
    take_device_of(study, threads)
    name, lay = dataset_of(study, dataset), study.layout
    row = study.method(method)
    if row.model is None and row.baseline is None:
        raise UsageError(f"--method must name a method that registers, but `{method}` moves nothing")
    folder = lay.run(name, method, seed)
    target = Target(out or folder / "displacements", not prepared, form, overwrite or out is None)
    run, rows = lay.run(name, row.trained_as, seed), lay.pairs(name, method, seed)
    spec, data = evaluate_spec(study, method, seed), prepared_data(study, name, config_file)
    print("\n".join(write(spec, data, run, rows, target)))


def evaluate_fields(
    config_file: ConfigFile,
    fields: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", help="folder with disp_<fixed>_<moving>.nii.gz (.nii, .npz, .mha, .nrrd) of each pair"
        ),
    ],
    *,
    dataset: DatasetId = None,
    form: Annotated[
        Literal["auto", "l2r", "itk", "nifti"],
        typer.Option(help="auto: as each header says; l2r: in voxels; itk: in mm, LPS (ITK, ANTs); nifti: in mm, RAS"),
    ] = "auto",
    out: Annotated[Path | None, typer.Option(help="parquet file of the rows; default: pairs.parquet in DIR")] = None,
) -> None:
    """Evaluate displacement fields of any program."""
    from regbench.evaluation import run_rows
    from regbench.study.layout import PAIRS

    study = load_study(config_file)
    target = out or fields / PAIRS
    data = prepared_data(study, dataset_of(study, dataset), config_file)
    print(f"{run_rows.evaluate_fields(data, fields, form, target, study.config.evaluation.mask)}\nrows {target}")


def register(
    *,
    model: Annotated[str, typer.Option(help="a checkpoint, the folder of a run, or `instance` (no network)")],
    fixed: Annotated[Path, typer.Option(help="fixed image: NIfTI, MGH, PNG, JPEG, BMP or TIFF")],
    moving: Annotated[Path, typer.Option(help="moving image")],
    out: Annotated[Path, typer.Option(help="folder of the results")],
    threads: Threads = 1,
    labels: Annotated[
        Path | None, typer.Option(help="label map on the grid of the moving image, to warp it too")
    ] = None,
    fixed_mask: Annotated[
        Path | None,
        typer.Option(help="mask on the grid of the fixed image, by which `instance` (or the study's run of it) counts"),
    ] = None,
    moving_mask: Annotated[Path | None, typer.Option(help="mask on the grid of the moving image")] = None,
    intensity: Annotated[
        Literal["percentile", "minmax", "zscore", "none"] | None,
        typer.Option(help="scaling of the images; default: as in the checkpoint's study, `percentile` for `instance`"),
    ] = None,
    colour: Annotated[
        Literal["luminance", "density", "red", "green", "blue", "hematoxylin", "eosin", "dab"] | None,
        typer.Option(help="what is taken of pictures in colours; default: as in the checkpoint's study"),
    ] = None,
    fixed_modality: Annotated[
        str | None, typer.Option(help="of the fixed image, where the study scales each modality by a rule of its own")
    ] = None,
    moving_modality: Annotated[str | None, typer.Option(help="of the moving image")] = None,
    by: Annotated[
        Literal["header", "centre"],
        typer.Option(help="initial position of the images: by their headers, or centre on centre"),
    ] = "header",
    itk: Annotated[bool, typer.Option("--itk", help="write the displacement for ITK too")] = False,
    overwrite: Overwrite = False,
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="where to compute")] = "auto",
    similarity: Annotated[str | None, typer.Option(help="similarity of `instance`; default: lcc")] = None,
    regularizer: Annotated[str | None, typer.Option(help="regularizer of `instance`; default: grad_l2")] = None,
    lam: Annotated[
        float | None, typer.Option(parser=number, help="weight of the regularizer of `instance`; default: 1")
    ] = None,
    refine: Annotated[
        int | None,
        typer.Option(
            metavar="STEPS", min=1, help="refine the network's displacement by the objective that it was trained with"
        ),
    ] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CODE",
            help="module or Python file that a checkpoint names and that you trust; several are possible",
        ),
    ] = None,
) -> None:
    """Register two image files."""
    chosen = {"--similarity": similarity, "--regularizer": regularizer, "--lam": lam}
    idle = [option for option, value in chosen.items() if value is not None and model != "instance"]
    if idle:
        raise UsageError(
            f"{idle[0]} is of `--model instance`, but `{model}` has what it was trained with. Leave it out"
        )
    similarity, regularizer, lam = similarity or "lcc", regularizer or "grad_l2", 1.0 if lam is None else lam
    if lam < 0:
        raise UsageError(f"--lam must be 0 or more, but got {lam:g}")
    from regbench.evaluation.register_files import Beside, Output, model_for, register_files
    from regbench.orchestration.registries import check_component
    from regbench.study import components
    from regbench.study.grid_config import Refine
    from regbench.system import device as devices

    components.allow([similarity, regularizer, *(allow or [])])
    take_device(device, threads)
    settings = None if refine is None else Refine(steps=refine)
    beside = Beside(labels, fixed_mask, moving_mask)
    if model == "instance" and beside.mask_use != "none":
        for _, message in check_component("masked similarity", similarity, {"use": beside.mask_use}):
            raise UsageError(f"--similarity must count by masks, but {message}")
    network, preparation = model_for(model, fixed, similarity, regularizer, lam, refine=settings, masks=beside.mask_use)
    if intensity is not None:
        preparation = preparation._replace(intensity=intensity, by_modality={}, modalities=None)
    if colour is not None:
        preparation = preparation._replace(colour=colour)
    if fixed_modality is not None or moving_modality is not None:
        if fixed_modality is None or moving_modality is None:
            raise UsageError("--fixed-modality and --moving-modality go together; give both or none")
        preparation = preparation._replace(modalities=(fixed_modality, moving_modality))
    written = register_files(
        network.to(devices.choose(device)),
        fixed,
        moving,
        out,
        preparation=preparation,
        by=by,
        beside=beside,
        output=Output(itk, overwrite),
    )
    print("\n".join(str(path) for path in written))
