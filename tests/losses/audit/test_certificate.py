"""The audit names what is wrong with the losses that the field copies, and finds nothing wrong with ours."""

import re

import pytest
from loss_references import row_of

from regbench.losses import AFFINE_REGULARIZERS, CONSISTENCIES, REGULARIZERS, SIMILARITIES
from regbench.losses.audit import cost
from regbench.losses.audit.audited import resolve
from regbench.losses.audit.certificate import audit, quick
from regbench.losses.audit.findings import Certificate
from regbench.study import components

OURS = [*SIMILARITIES, *REGULARIZERS, *AFFINE_REGULARIZERS, *CONSISTENCIES]
# What anchors.md measured of the blog's formulas: topic, verdict, words.
BLOG = {
    "LCC": [
        ("raw intensities", "fail", r"offset \+1000: gradient wrong by \de\+1\d"),
        ("raw intensities", "fail", r"raw CT .* gradient wrong by \de\+(09|1\d)"),
        ("constant images", "fail", "moved image constant: rounding makes a gradient"),
        ("precision", "note", r"contrast x 0.01: off by 0\.0\d"),
        ("half precision", "note", "0..255 under float16 autocast: NaN"),
        ("half precision", "note", "float16 tensors: raises RuntimeError"),
        ("border", "note", r"two constant images cost 0\.\d+ on .* as where zeros pad an image"),
        ("window", "note", r"5 voxels; an image of 3 x 3 is smaller, and gives \S+ without a word"),
    ],
    "GCC": [
        ("constant images", "fail", "both images constant: the value is .*, the gradient not finite"),
        ("batch", "note", "a batch counts as one image"),
        ("raw intensities", "fail", r"offset \+1000"),
        ("window", "pass", "the whole image"),
    ],
    "Mismatch": [
        ("sign", "fail", "it trains mismatch, unless it is negated"),
        ("axes in 3D", "fail", "it descends away"),
    ],
    "Grad": [
        ("axes in 2D", "fail", "axis 1 is not seen"),
        ("axes in 3D", "fail", "axis 2 is not seen"),
        (
            "translation in 2D",
            "fail",
            r"of 3 voxels costs 4.5, 4.5 .* 0 along all at once: components \(axis 1\) are compared",
        ),
    ],
    "GradMended": [("axes in 3D", "pass", "all are seen"), ("translation in 3D", "pass", "costs nothing")],
    "BendPenalty": [
        ("axes in 2D", "pass", "all are seen"),
        ("axes in 3D", "fail", "axis 2 is not seen: what varies along axes 0 to 2 costs .*, .*, 0$"),
        ("resolution in 2D", "note", r"costs 0\.25\d* times as much"),
    ],
    "IDloss": [
        ("runs", "note", "in 2D alone; in 3D it raises RuntimeError"),
        ("entries in 2D", "pass", "all are seen"),
    ],
}
RELATIVES = {
    "LCC": r"it = lcc\(window=5, border='zero'\)",
    "GCC": "it = gcc",
    "Mismatch": r"it = 1 - lcc\(window=5, border='zero'\)",
    "Grad": "in 2D like none of ours; .*; in 3D like none of ours",
    "GradMended": "it = grad_l2",
    "BendPenalty": "in 2D it = bending; in 3D (like none of ours|it is nearly)",
    "IDloss": "it = affine_identity_l1",
}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times of small images: what they are is no matter here."""
    monkeypatch.setattr(cost, "SHAPES", {2: (24, 25), 3: (12, 13, 14)})


def certificate(name: str, **parameters: object) -> Certificate:
    components.allow([name])
    return audit(resolve(name, None, parameters))


def lines(name: str, findings: object) -> dict[str, list[tuple[str, str]]]:
    by_topic: dict[str, list[tuple[str, str]]] = {}
    for finding in findings:
        by_topic.setdefault(finding.topic, []).append((finding.verdict, finding.seen))
    assert by_topic, name
    return by_topic


@pytest.mark.parametrize("name", BLOG)
def test_the_blogs_formulas_are_seen_through(name: str) -> None:
    narrow = {"side": 5} if name in ("LCC", "Mismatch") else {}
    result = certificate(f"blog_losses:{name}", **narrow)
    by_topic = lines(name, result.findings)
    for topic, verdict, words in BLOG[name]:
        assert [seen for v, seen in by_topic[topic] if v == verdict and re.search(words, seen)], by_topic[topic]
    assert result.may_enter == (name in ("GradMended", "IDloss"))
    assert re.match(RELATIVES[name], result.relative), result.relative
    short = name.lower()
    assert f"def my_{short}(" in result.adapter
    assert by_topic["form"][0][1].startswith("a config names it by an adapter of three lines")
    boxed = name in ("Grad", "GradMended")  # which return a list of one number
    assert result.adapter.endswith(".squeeze()") == boxed


@pytest.mark.parametrize("name", OURS)
def test_ours_pass_the_quick_half(name: str) -> None:
    assert [finding for finding in quick(resolve(name, None, row_of(name).needs)) if finding.verdict == "fail"] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", OURS)
def test_ours_may_enter_a_study(name: str) -> None:
    result = certificate(name, **row_of(name).needs)
    assert [finding for finding in result.findings if finding.verdict == "fail"] == []
    assert result.conclusion.startswith("may enter a study")
    assert not result.adapter


@pytest.mark.parametrize("name", ["mse", "grad_l2", "displacement_l1", "affine_identity_l1", "gradicon"])
def test_the_whole_of_some_of_ours(name: str) -> None:
    result = certificate(name)
    assert result.may_enter, result.conclusion
    topics = [finding.topic for finding in result.findings]
    assert "precision" in topics
    assert "finite differences" in topics
    assert ("cost in 3D" in topics) == (name not in AFFINE_REGULARIZERS)


@pytest.mark.filterwarnings("ignore:Using a non-tuple sequence")  # inside MONAI
@pytest.mark.parametrize(
    ("name", "parameters", "enters", "relative", "words"),
    [
        (
            "monai.losses:LocalNormalizedCrossCorrelationLoss",
            {"spatial_dims": 2, "kernel_size": 9},
            False,
            r"it = -1 \+ lcc\(border='zero', denominator='clamp'\)$",
            r"offset \+1000: gradient wrong by \d+e\+",
        ),
        ("monai.losses:BendingEnergyLoss", {}, True, r"it = bending\(stencil='central'\)$", r"spacing\^\+2"),
        ("monai.losses:DiffusionLoss", {}, True, "like none of ours|in 2D", "costs the same on a finer grid"),
        ("neurite.nn.modules:NCC", {"window_size": 3}, False, r"it = 1 - lcc\(window=3, border='zero'\)$", "mismatch"),
        ("neurite.nn.modules:SpatialGradient", {}, True, "it = grad_l2$", "all are seen, and alike"),
        ("neurite.nn.modules:MSE", {}, True, "it = mse$", "none: voxel by voxel"),
    ],
    ids=lambda value: value.rpartition(":")[2] if isinstance(value, str) and ":" in value else "",
)
def test_peers(name: str, parameters: dict[str, object], enters: bool, relative: str, words: str) -> None:
    pytest.importorskip(name.partition(".")[0])
    result = certificate(name, **parameters)
    assert result.may_enter == enters, result.conclusion
    assert re.match(relative, result.relative), result.relative
    assert any(re.search(words, finding.seen) for finding in result.findings)


def test_a_fail_on_raw_intensities_alone_says_where_it_serves() -> None:
    result = certificate("monai.losses:LocalNormalizedCrossCorrelationLoss", spatial_dims=2)
    assert [finding.topic for finding in result.findings if finding.verdict == "fail"] == ["raw intensities"]
    assert "on images of order one it serves" in result.conclusion
