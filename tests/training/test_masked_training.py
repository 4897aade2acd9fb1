"""Trainings, trials, optimisations, evaluations and tables by masks."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from masked_study import masked, masked_folder
from specs import at, changed, evaluate_spec
from tiny_study import run_verbs

from regbench.data.cache import load as load_data
from regbench.data.prepare import prepare
from regbench.evaluation.evaluate import evaluate
from regbench.evaluation.measure import Measured, Registered, measure
from regbench.evaluation.register_files import register_files
from regbench.losses.masks import Masks
from regbench.metrics import displacement_mm, folding_metrics, ndv_percent, tre_mm
from regbench.models.predict import register, registered
from regbench.orchestration.registries import check_component
from regbench.report.caveats import caveats
from regbench.study.config import Augmentation
from regbench.study.job_specs import evaluate_spec as evaluation_of
from regbench.study.job_specs import prepare_spec, train_spec
from regbench.study.load import load
from regbench.study.methods import Study
from regbench.system.errors import RegbenchError, UsageError
from regbench.system.files import read_json
from regbench.training.augment import augment
from regbench.training.batches import Batch, Batches
from regbench.training.checkpoint import load_checkpoint, load_run
from regbench.training.final_run import train
from regbench.training.fit import fit
from regbench.tuning.rehearsal import first_look

METHOD = "voxelmorph.mse.grad_l2"


@pytest.fixture
def files(data, tmp_path):
    return masked_folder(data, tmp_path / "files")


@pytest.fixture
def study(tiny, files):
    """Config to study; both models."""
    tiny["models"] = [*tiny["models"], {"name": "instance", "parameters": {"shrink": [2, 1], "steps": [6, 4]}}]

    def of(**training):
        return Study(load(masked(tiny, files, **training)))

    return of


@pytest.fixture
def masked_data(study, tmp_path):
    prepare(prepare_spec(study(), "brains"), tmp_path / "prepared")
    return load_data(tmp_path / "prepared")


def test_batches_bring_the_masks_of_their_subjects(study, masked_data, data):
    protocol = study(mask="both", images="stream").config.training
    for images in ("stream", "device"):
        batches = Batches(masked_data, protocol.model_copy(update={"images": images}), 0, torch.device("cpu"))
        batch = batches[1]
        for half, rows in zip((batch.fixed_mask, batch.moving_mask), batches.draws[1], strict=True):
            for mask, row in zip(half, rows, strict=True):
                np.testing.assert_array_equal(mask[0], data.label_map(batches.names[row]) > 0)
        assert batch.fixed_mask.dtype == torch.float32
    assert Batches(masked_data, study().config.training, 0, torch.device("cpu"))[0].masks == Masks()
    with pytest.raises(RegbenchError, match=r"`training.mask` must have a mask of every subject of `brains`"):
        Batches(data, protocol, 0, torch.device("cpu"))


def test_masks_are_augmented_as_their_images_are():
    torch.manual_seed(0)
    inside = (torch.rand(3, 1, 20, 18) > 0.5).float()
    images = torch.nn.functional.avg_pool2d(inside, 3, 1, 1)
    wanted = Augmentation(flips=(0, 1), rotation_degrees=20, scaling=0.1, translation_voxels=2)
    batch = Batch(images, images.flip(0), None, None, inside, inside.flip(0))
    for seed in range(4):
        out = augment(batch, wanted, np.random.default_rng(seed))
        plain = augment(batch._replace(fixed_mask=None, moving_mask=None), wanted, np.random.default_rng(seed))
        assert torch.equal(out.fixed, plain.fixed)
        assert torch.equal(out.moving, plain.moving)
        # As labels of the same shape, away from where the edge of the image is repeated for those.
        maps = augment(
            Batch(images, images.flip(0), inside, inside.flip(0), inside, inside.flip(0)),
            wanted,
            np.random.default_rng(seed),
        )
        middle = (..., slice(6, 14), slice(6, 12))
        assert torch.equal(maps.fixed_mask[middle], maps.fixed_labels[middle])
        assert torch.equal(maps.moving_mask[middle], maps.moving_labels[middle])
        assert set(out.fixed_mask.unique().tolist()) <= {0.0, 1.0}


def test_what_lies_outside_the_masks_trains_nothing_but_what_the_network_sees(study, masked_data):
    """The loss of one step from the same weights, with images that differ outside the masks."""
    job = at(changed(train_spec(study(mask="both"), METHOD, seed=0, steps=1), steps=1), 0.1)
    first = fit(job, masked_data).history["similarity"][0]
    plain = fit(changed(job, mask="none"), masked_data).history["similarity"][0]
    batches = Batches(masked_data, job.training, 0, torch.device("cpu"))
    batch = batches[0]
    weights = batch.fixed_mask * batch.moving_mask  # the first displacement is next to nothing
    differences = (batch.fixed - batch.moving).square()
    share = weights.flatten(1).sum(1) / torch.minimum(*(m.flatten(1).sum(1) for m in batch.masks))
    inner = (weights * differences).flatten(1).sum(1) / weights.flatten(1).sum(1)
    assert first == pytest.approx((share * inner + 1 - share).mean().item(), rel=1e-3)
    assert plain == pytest.approx(differences.mean().item(), rel=1e-3)


@pytest.mark.parametrize("method", [METHOD, "instance.mse.grad_l2"])
def test_a_run_by_masks_comes_back_as_it_was_trained(study, masked_data, tmp_path, method):
    one = study(mask="both", mask_regularizer=True)
    job = at(train_spec(one, method, seed=0, steps=3), 0.1)
    train(job, masked_data, tmp_path / "run")
    record, model = load_run(tmp_path / "run")
    assert record["job"]["training"]["mask"] == "both"
    fresh = fit(job, masked_data).model
    for (names, _, u), (_, _, again) in zip(
        registered(model, masked_data, "test"), registered(fresh, masked_data, "test"), strict=True
    ):
        np.testing.assert_array_equal(u, again, err_msg=str(names))
    if method.startswith("instance"):
        plain = fit(changed(job, mask="none", mask_regularizer=False), masked_data).model
        pair = masked_data.pair(*masked_data.pairs("test")[0])
        masks = (pair.fixed_mask, pair.moving_mask)
        assert (
            np.abs(register(plain, pair.fixed, pair.moving) - register(model, pair.fixed, pair.moving, masks)).max()
            > 0.01
        )
        loaded = load_checkpoint(tmp_path / "run" / "checkpoint.pt")
        assert (loaded.mask_use, loaded.objective.rule.regularizer) == ("both", True)
        image = next((tmp_path / "files" / "images").iterdir())
        with pytest.raises(
            RegbenchError,
            match=r"the model optimises each pair by masks \(`training.mask: both`\), so that of the fixed",
        ):
            register_files(loaded, image, image, tmp_path / "out")
    evaluate(evaluation_of(one, method, 0), masked_data, tmp_path / "run", tmp_path / "rows.parquet")
    row = pd.read_parquet(tmp_path / "rows.parquet").iloc[0]
    pair = masked_data.pair(row["fixed"], row["moving"])
    weights = pair.fixed_mask * pair.moving_mask.astype(float)
    share = weights.sum() / min(pair.fixed_mask.sum(), pair.moving_mask.sum())
    inner = (weights * (pair.fixed - pair.moving) ** 2).sum() / weights.sum()
    assert row["similarity_before"] == pytest.approx(share * inner + 1 - share, rel=1e-4)


def test_optimisations_do_not_see_what_lies_outside(study, masked_data, data, tiny, tmp_path):
    """From files with noise around the masks: the same displacements, by `fixed` as by `both`."""
    spoiled_files = masked_folder(data, tmp_path / "spoiled", spoiled=True)
    other = Study(load(masked(tiny, spoiled_files)))
    prepare(prepare_spec(other, "brains"), tmp_path / "other")
    spoiled = load_data(tmp_path / "other")
    for method in ("instance.mse.grad_l2", "instance.lcc.grad_l2"):
        for use, alike in (("both", True), ("none", False)):
            job = at(train_spec(study(mask=use), method, seed=0, steps=1), 0.1)
            fields = [
                np.stack([u for _, _, u in registered(fit(job, each).model, each, "test")])
                for each in (masked_data, spoiled)
            ]
            assert np.abs(fields[0]).max() > 0.2
            assert (np.abs(fields[0] - fields[1]).max() < 0.02) == alike


def test_metrics_inside_the_fixed_mask(masked_data):
    random = np.random.default_rng(0)
    fixed, moving = masked_data.pairs("test")[0]
    pair = masked_data.pair(fixed, moving)
    inside = pair.fixed_mask > 0
    field = random.normal(0, 0.6, (2, *inside.shape)).astype(np.float32)
    corner, middle = [0.0, 0.0], [float(k) for k in np.argwhere(inside)[len(np.argwhere(inside)) // 2]]
    points = np.array([corner, middle, [-3.0, 4.0]])
    pair = pair.__class__(**{**pair.__dict__, "fixed_landmarks": points, "moving_landmarks": points + 1})
    whole, part = (
        measure(Registered(fixed, moving, pair, field), Measured(list(masked_data.labels), landmarks=True, within=w))
        for w in ("none", "fixed")
    )
    length = np.sqrt(((field * 6.0) ** 2).sum(0))
    assert part["displacement_mm"] == pytest.approx(length[inside].mean(), rel=1e-6)
    assert part["displacement_mm"] == displacement_mm(field, (6.0, 6.0), mask=inside)
    assert whole["displacement_mm"] == pytest.approx(length.mean(), rel=1e-6)
    assert part["ndv_percent"] == ndv_percent(field, inside) != whole["ndv_percent"]
    gradient = np.stack([np.stack(np.gradient(component)) for component in field.astype(float)])
    determinant = (1 + gradient[0, 0]) * (1 + gradient[1, 1]) - gradient[0, 1] * gradient[1, 0]
    assert part["fold_central_percent"] == pytest.approx(100 * (determinant[inside] <= 0).mean())
    foreground = pair.fixed_labels > 0
    assert part["fold_foreground_percent"] == pytest.approx(100 * (determinant[inside & foreground] <= 0).mean())
    assert part["sdlogj"] == pytest.approx(np.log(np.maximum(determinant[inside], 1e-9)).std())
    assert part["sdlogj_l2r"] == whole["sdlogj_l2r"]
    assert part["dice"] == whole["dice"]
    assert part["tre_mm"] == pytest.approx(tre_mm(field, points[1:2], points[1:2] + 1, (6.0, 6.0)))
    assert part["tre_mm"] != pytest.approx(whole["tre_mm"])
    assert folding_metrics(field, foreground) == folding_metrics(field, foreground, np.ones_like(inside))
    with pytest.raises(RegbenchError, match=r"`evaluation.mask: fixed` must have a mask of every fixed image"):
        measure(
            Registered(fixed, moving, pair.__class__(**{**pair.__dict__, "fixed_mask": None}), field),
            Measured([1], landmarks=False, within="fixed"),
        )


def test_rows_inside_the_mask(study, masked_data, tmp_path):
    spec = evaluate_spec("identity")
    for mask in ("none", "fixed"):
        evaluate(spec.model_copy(update={"mask": mask}), masked_data, None, tmp_path / f"{mask}.parquet")
    assert (
        spec.to_json()
        == evaluation_of(study(), "identity", 0)
        .model_copy(update={"code": "", "controls": (), "similarities": ()})
        .to_json()
    )
    rows = [pd.read_parquet(tmp_path / f"{mask}.parquet") for mask in ("none", "fixed")]
    assert list(rows[0]) == list(rows[1])


def test_a_whole_study_by_masks(study, tiny, files, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    raw = {**masked(tiny, files, mask="both", mask_regularizer=True), "evaluation": {"mask": "fixed"}, "seeds": [0]}
    raw |= {"grid": {"similarities": ["mse"], "regularizers": ["grad_l2"]}, "models": tiny["models"][1:]}
    run_verbs(raw, tmp_path)
    lay = Study(load(raw)).layout
    words = (lay.root / "tables" / "main.md").read_text()
    assert "Similarity and regularizer are weighted by the fixed mask times the moving mask" in words
    assert "inside the fixed mask alone" in words
    provenance = read_json(lay.root / "tables" / "main.provenance.json")
    assert provenance["config"]["training"]["mask"] == "both"
    assert not any("masks" in warning for warning in provenance["warnings"])


def test_the_page_says_that_masks_are_not_used():
    manifest = {
        "shape": [8, 8],
        "spacing_mm": [1.0, 1.0],
        "labels": {},
        "data_sha256": "0",
        "subjects": ["a", "b", "c"],
    }
    manifests = {"brains": {**manifest, "masked": ["a", "b"]}}
    said = [line for line in caveats([], manifests, {}) if "masks" in line]
    assert said == ["brains: masks of 2 of 3 subjects are not used: `training.mask` and `evaluation.mask` are `none`"]
    assert not any("masks" in line for line in caveats([], manifests, {}, masks_used=True))
    assert not any("masks" in line for line in caveats([], {"brains": manifest}, {}))


def test_masks_of_some_subjects_are_refused_before_any_image(data, tiny, tmp_path):
    few = masked_folder(data, tmp_path / "few", without=2)
    for section, key in (
        ({"training": {"steps": 4, "mask": "fixed"}}, "training.mask"),
        ({"evaluation": {"mask": "fixed"}}, "evaluation.mask"),
    ):
        raw = masked(tiny, few) | section
        with pytest.raises(
            RegbenchError, match=rf"{key}: `fixed` must have a mask of every subject of `brains`, but 2 of 8"
        ):
            first_look(Study(load(raw)), "brains")
    assert any(
        "masks of 6 of 8 subjects are not used" in line for line in first_look(Study(load(masked(tiny, few))), "brains")
    )


def moved_only(fixed, moved, /, *, mask=None):
    """A user's own similarity that knows no weight that is missing."""
    return ((fixed - moved) ** 2 * (1 if mask is None else mask)).mean()


def no_mask(fixed, moved, /):
    """A user's own similarity without a mask."""
    return ((fixed - moved) ** 2).mean()


def matrix_only(displacement, /):
    """A user's own regularizer without a mask."""
    return displacement.square().mean()


def test_own_losses_that_take_no_mask_are_refused(tiny, files, monkeypatch):
    own = Path(__file__).stem
    monkeypatch.syspath_prepend(str(Path(__file__).parent))

    def said(similarity, regularizer="grad_l2", **training):
        raw = masked(tiny, files, **training)
        raw["grid"] = {"similarities": [{"name": f"{own}:{similarity}", "id": "mine"}], "regularizers": [regularizer]}
        try:
            load(raw, check=check_component)
        except UsageError as error:
            return str(error)
        return ""

    assert said("no_mask") == ""
    assert "grid.similarities[0]" in said("no_mask", mask="fixed")
    assert "takes no keyword `mask`" in said("no_mask", mask="fixed")
    assert said("moved_only", mask="fixed") == ""
    assert "takes no keyword `expected`" in said("moved_only", mask="moving")
    regularizer = {"name": f"{own}:matrix_only", "id": "own"}
    assert said("moved_only", regularizer, mask="fixed") == ""
    assert "grid.regularizers[0]" in said("moved_only", regularizer, mask="fixed", mask_regularizer=True)
    assert "mask_regularizer has no effect" in said("moved_only", mask_regularizer=True)
    assert "training.mask" in said("moved_only", mask="movin")
