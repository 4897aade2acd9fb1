"""Losses whose parameters name code, files and other losses: what is imported, checked, pinned and fingerprinted."""

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from encoders import made_2d

from regbench.orchestration.registries import check_component
from regbench.study import components
from regbench.study.checks import imported_names
from regbench.study.fingerprint import fingerprint
from regbench.study.job_specs import evaluate_spec, final_spec, range_spec
from regbench.study.load import load
from regbench.study.methods import Study
from regbench.system.errors import UsageError
from regbench.system.files import file_sha256


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "weights.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, of TorchScript as such
        torch.jit.script(made_2d()).save(path)
    return path


def with_similarities(tiny: dict[str, Any], *similarities: dict[str, Any]) -> dict[str, Any]:
    tiny["grid"]["similarities"] = list(similarities)
    return tiny


def deep(encoder: str) -> dict[str, Any]:
    return {"name": "features", "id": "deep", "parameters": {"encoder": encoder}}


def pyramid(similarity: str, **parameters: Any) -> dict[str, Any]:
    return {"name": "multi_scale", "id": "pyramid", "parameters": {"similarity": similarity, "parameters": parameters}}


def of_run(config: dict[str, Any]) -> Any:
    study = Study(load(config))
    return final_spec(study, next(method.id for method in study.methods if method.similarity), 0)


def test_code_is_named_before_it_is_imported(tiny: dict[str, Any]) -> None:
    config = with_similarities(tiny, deep("a/weights.pt"), pyramid("lab.losses:mine"), pyramid("lcc", window=3))
    assert imported_names(config) == ["a/weights.pt", "lab.losses:mine"]
    inner = pyramid("features", encoder="lab.nets:encoder")
    assert imported_names(with_similarities(tiny, inner)) == ["lab.nets:encoder"]
    assert imported_names({"similarities": [deep("w.pt"), "mse"]}) == ["w.pt"]


@pytest.mark.parametrize("nested", [False, True])
def test_a_checksum_of_the_weights_stands_in_the_spec(tiny: dict[str, Any], weights: Path, nested: bool) -> None:
    similarity = pyramid("features", encoder=str(weights)) if nested else deep(str(weights))
    before = of_run(with_similarities(tiny, similarity))
    given = before.similarity.parameters
    assert (given["parameters"] if nested else given)["sha256"] == file_sha256(weights)
    study = Study(load(with_similarities(tiny, similarity)))
    part = study.config.grid.similarities[0]
    regularizer = study.config.grid.regularizers[0].id
    assert str(file_sha256(weights)) in str(range_spec(study, part.id, regularizer).to_json())
    weights.write_bytes(weights.read_bytes() + b" ")
    assert of_run(with_similarities(tiny, similarity)).to_json() != before.to_json()


def test_other_specs_are_as_they_were(tiny: dict[str, Any]) -> None:
    spec = of_run(with_similarities(tiny, {"name": "lcc", "parameters": {"window": 5}}))
    assert spec.similarity.parameters == {"window": 5}


def test_the_fingerprint_covers_what_is_named(tiny: dict[str, Any]) -> None:
    def code(*modules: str) -> str:
        return fingerprint("regbench.training.final_run", *modules)

    rest = ("regbench.models.voxelmorph", "regbench.losses.grad")
    assert of_run(with_similarities(tiny, pyramid("lcc", window=3))).code == code(
        *rest, "regbench.losses.multi_scale", "regbench.losses.lcc"
    )
    assert of_run(with_similarities(tiny, deep("encoders:edges"))).code == code(
        *rest, "regbench.losses.features", "encoders"
    )
    # The controls are measured by every similarity of the grid.
    controls = [
        evaluate_spec(Study(load(with_similarities(tiny, pyramid(name)))), "identity", 0).code
        for name in ("ngf", "mind")
    ]
    assert controls[0] != controls[1]


@pytest.mark.parametrize(
    ("similarity", "message"),
    [
        (pyramid("lccc"), "did you mean `lcc`"),
        (pyramid("lcc", windoww=3), "has no parameter `windoww`"),
        (pyramid("lcc", window=4), "window must be odd"),
        (deep("nowhere.pt"), "encoder must be a TorchScript file"),
        (deep("encoders:vector"), "must give features"),
        (deep("encoders:nans"), "must give finite features"),
        (deep("encoders:difference"), "must be a function"),
        ({"name": "features"}, "`features` needs the parameter `encoder`"),
        ({"name": "lcc", "parameters": {"windows": [3, 4]}}, "window must be odd"),
        ({"name": "lcc", "parameters": {"kernel": "round"}}, "'box', 'gaussian' or 'triangular'"),
    ],
)
def test_mistakes_are_said_before_any_job(tiny: dict[str, Any], similarity: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load(with_similarities(tiny, similarity), check_component)


@pytest.mark.parametrize(
    "similarity",
    [
        pyramid("lcc", window=21),
        pyramid("lcc", window=[3, 3, 3]),
        deep("encoders:picky"),  # may take the study's own shape
        deep("encoders:made_2d"),
        {"name": "lcc", "parameters": {"windows": [3, 61], "kernel": "gaussian", "sigma": 4.5}},
        {"name": "multi_scale", "parameters": {"similarity": "lcc", "parameters": {"window": 33}, "levels": 5}},
    ],
    ids=str,
)
def test_what_fits_some_image_passes(tiny: dict[str, Any], similarity: dict[str, Any]) -> None:
    load(with_similarities(tiny, similarity), check_component)


def test_a_file_of_somebody_else_is_not_loaded(weights: Path) -> None:
    """As one that a checkpoint names."""
    (mistake,) = check_component("similarity", "features", {"encoder": str(weights)})
    assert "must be allowed before it is loaded" in mistake[1]
    components.allow([str(weights)])


def test_a_goal_is_a_similarity_that_needs_nothing() -> None:
    (mistake,) = check_component("goal", "similarity.features", {})
    assert "needs the parameter `encoder`: name the id of a similarity of the grid" in mistake[1]
    assert not check_component("goal", "similarity.ssim", {})
