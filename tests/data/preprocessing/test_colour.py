"""Pictures in colours: to one value by a stated formula; sizes of microscopes; everything undone for landmarks."""

import numpy as np
import pytest
import tifffile
from data_files import shared, spec
from PIL import Image

from regbench.data.cache import load
from regbench.data.prepare import prepare
from regbench.data.preprocessing.colour import grey
from regbench.data.readers.image_file import ImageFile
from regbench.data.space import displacement_to_native
from regbench.system.errors import RegbenchError

RGB = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
UP = RGB.swapaxes(0, 1)[:, ::-1].astype(np.float64)


def one(colour):
    return grey(UP.astype(np.float32), 2, colour, "a.png")


def test_luminance_channels_and_density_are_their_formulas():
    luminance = 0.299 * UP[..., 0] + 0.587 * UP[..., 1] + 0.114 * UP[..., 2]
    np.testing.assert_allclose(one("luminance"), luminance, rtol=1e-6)
    pillow = np.asarray(Image.fromarray(RGB).convert("L")).T[:, ::-1]
    assert np.abs(one("luminance") - pillow).max() <= 0.51
    for k, name in enumerate(("red", "green", "blue")):
        np.testing.assert_array_equal(one(name), UP[..., k])
    np.testing.assert_allclose(one("density"), -np.log10(np.maximum(luminance, 1) / 255), rtol=1e-5, atol=1e-6)
    assert grey(np.full((2, 2, 3), 255, np.float32), 2, "density", "a") == pytest.approx(np.zeros((2, 2)), abs=1e-6)


@pytest.mark.parametrize(("k", "stain"), [(0, "hematoxylin"), (1, "eosin"), (2, "dab")])
def test_stains_are_those_of_scikit_image(k, stain):
    color = pytest.importorskip("skimage.color")
    expected = color.rgb2hed(UP.astype(np.uint8))[..., k]
    np.testing.assert_allclose(one(stain), expected, rtol=1e-5, atol=1e-6)
    # A picture of that stain alone has that one.
    share = np.linspace(0, 1, 5)[:, None]
    matrix = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
    light = 255 * np.exp(-share * matrix[k])[None]
    found = [grey(light.astype(np.float32), 2, name, "a")[0] for name in ("hematoxylin", "eosin", "dab")]
    np.testing.assert_allclose(found[k] * -np.log(1e-6), share[:, 0], atol=1e-5)
    for other in {0, 1, 2} - {k}:
        assert np.abs(found[other]).max() < 1e-6


def test_colours_without_a_choice_are_refused_and_equal_ones_are_grey():
    with pytest.raises(
        RegbenchError, match=r"`a.png` must be a grey 2D picture, but has colours .*preprocessing.colour"
    ):
        one("none")
    same = np.repeat(UP[..., :1], 3, 2).astype(np.float32)
    np.testing.assert_array_equal(grey(same, 2, "none", "a"), same[..., 0])
    volume = np.zeros((4, 5, 3), np.float32)
    assert grey(volume, 3, "dab", "a") is volume, "three slices are no colours"


def folder(root, write, count=6):
    for k in range(count):
        for kind in ("images", "labels"):
            (root / kind).mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(k).integers(0, 256, (20, 24, 3), dtype=np.uint8)
        write(root / "images" / f"s{k}.tif", pixels)
        Image.fromarray(np.pad(np.ones((12, 16), np.uint8), 4)).save(root / "labels" / f"s{k}.png")
    return root


def test_a_study_of_pictures_in_colours(tmp_path):
    root = folder(tmp_path, lambda path, pixels: Image.fromarray(pixels).save(path))
    settings = {"intensity": "none", "multiple_of": 4}
    with pytest.raises(RegbenchError, match=r"subject `s0`: .*s0.tif` must be a grey 2D picture"):
        prepare(spec("folder", {"path": str(root)}, preprocessing=settings), tmp_path / "cache")
    prepare(spec("folder", {"path": str(root)}, preprocessing={**settings, "colour": "eosin"}), tmp_path / "cache")
    data = load(tmp_path / "cache")
    expected = grey(ImageFile(root / "images/s3.tif").read(colours=True)[0], 2, "eosin", "")
    np.testing.assert_array_equal(data.images(("s3",))[0][:24, :20], expected)
    assert data.preparation["colour"] == "eosin"


@pytest.mark.parametrize("mode", ["RGBA", "P"])
def test_opaque_alpha_and_palettes_are_colours(tmp_path, mode):
    image = Image.fromarray(RGB).convert(mode)
    image.save(tmp_path / "a.png")
    values, header = ImageFile(tmp_path / "a.png").read(colours=True)
    assert header.shape == (8, 6)
    np.testing.assert_array_equal(values, np.asarray(image.convert("RGB")).swapaxes(0, 1)[:, ::-1])


def test_what_would_lose_something_is_refused(tmp_path):
    glass = Image.fromarray(RGB).convert("RGBA")
    glass.putpixel((2, 3), (1, 2, 3, 100))
    glass.save(tmp_path / "a.png")
    with pytest.raises(RegbenchError, match=r"a.png` must be a grey 2D picture"):
        ImageFile(tmp_path / "a.png").read(colours=True)
    tifffile.imwrite(tmp_path / "deep.tif", RGB.astype(np.uint16) * 257, photometric="rgb")
    with pytest.raises(
        RegbenchError, match=r"deep.tif` must be a readable picture|must have colours of 8 bits, but has 16"
    ):
        ImageFile(tmp_path / "deep.tif").read(colours=True)
    png = deep_png(RGB.astype(np.uint16) * 257)
    (tmp_path / "deep.png").write_bytes(png)
    with pytest.raises(RegbenchError, match=r"deep.png` must have colours of 8 bits, but has 16"):
        ImageFile(tmp_path / "deep.png").read(colours=True)


def deep_png(values):
    """A PNG of 16 bits a colour, which Pillow does not write."""
    import struct
    import zlib

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    head = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, 2, 0, 0, 0)

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


MICRO = {"PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "\u00b5m", "PhysicalSizeY": 250.0, "PhysicalSizeYUnit": "nm"}
PLAIN = {"axes": "YX", "PhysicalSizeX": 2.0, "PhysicalSizeY": 3.0}
IMAGEJ = {"imagej": True, "resolution": (2.0, 4.0)}
SIZES = {
    "OME": ({"ome": True, "metadata": {"axes": "YX", **MICRO}}, (0.0005, 0.00025)),
    "OME without a unit": ({"ome": True, "metadata": PLAIN}, (0.002, 0.003)),
    "ImageJ": ({**IMAGEJ, "metadata": {"unit": "um"}}, (0.0005, 0.00025)),
    "ImageJ's sign": ({**IMAGEJ, "metadata": {"unit": r"\u00B5m"}}, (0.0005, 0.00025)),
    "centimetres": ({"resolution": (20000.0, 10000.0), "resolutionunit": "CENTIMETER"}, (0.0005, 0.001)),
    "inches": ({"resolution": (72.0, 72.0), "resolutionunit": "INCH"}, (1.0, 1.0)),
    "nothing": ({}, (1.0, 1.0)),
}


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("kind", ["uint8", "uint16"])
def test_the_size_of_a_pixel(tmp_path, name, kind):
    options, expected = SIZES[name]
    values = (np.arange(48) * 5).reshape(6, 8).astype(kind) * (1 if kind == "uint8" else 200)
    tifffile.imwrite(tmp_path / "a.tif", values, **options)
    voxels, header = ImageFile(tmp_path / "a.tif").read()
    np.testing.assert_array_equal(voxels, values.T[:, ::-1])
    assert header.spacing_mm == pytest.approx(expected, rel=1e-6)
    assert ("mm by" in header.notes[0]) == (expected != (1.0, 1.0))


def test_micrometres_come_back_exactly(tmp_path):
    """Landmarks and fields of pictures of 0.25 and 0.5 microns a pixel, on a grid of 0.4: there and back."""
    sizes = {k: 0.25 if k % 2 else 0.5 for k in range(6)}
    for k, side in sizes.items():
        (tmp_path / "images").mkdir(exist_ok=True)
        pixels = np.random.default_rng(k).integers(0, 60000, (40 + k, 48), dtype=np.uint16)
        metadata = {"axes": "YX", "PhysicalSizeX": side, "PhysicalSizeY": side}
        tifffile.imwrite(tmp_path / "images" / f"s{k}.tif", pixels, ome=True, metadata=metadata)
        Image.fromarray(np.ones(pixels.shape, np.uint8)).save(tmp_path / f"label{k}.png")
        points = np.random.default_rng(9).uniform(4, 30, (5, 2)) / side * 0.25
        (tmp_path / f"points{k}.csv").write_text("x,y\n" + "\n".join(f"{x!r},{y!r}" for x, y in points.tolist()))
    rows = [f"s{k},images/s{k}.tif,label{k}.png,points{k}.csv" for k in sizes]
    (tmp_path / "all.csv").write_text("\n".join(["subject,image,label,landmarks", *rows]))
    made = spec(
        "table",
        {"path": str(tmp_path / "all.csv"), "same_affine": False},
        preprocessing={"spacing_mm": 0.0004, "multiple_of": 2},
    )
    prepare(made, tmp_path / "cache")
    data = load(tmp_path / "cache")
    assert data.spacing_mm == pytest.approx((0.0004, 0.0004))
    for k, side in sizes.items():
        native = np.loadtxt(tmp_path / f"points{k}.csv", delimiter=",", skiprows=1)
        native[:, 1] = 39 + k - native[:, 1]
        np.testing.assert_allclose(data.space(f"s{k}").to_native(data.landmarks(f"s{k}")), native, atol=1e-9)
        assert data.record(f"s{k}")["native_spacing_mm"] == pytest.approx([side / 1000] * 2)
    # A displacement that brings landmark to landmark on the grid does so between the files.
    fixed, moving = "s0", "s1"
    shift = data.landmarks(moving)[0] - data.landmarks(fixed)[0]
    field = np.broadcast_to(shift[:, None, None], (2, *data.shape))
    own = displacement_to_native(field, data.space(fixed), data.space(moving))
    start = data.space(fixed).to_native(data.landmarks(fixed))[0]
    end = data.space(moving).to_native(data.landmarks(moving))[0]
    p = np.rint(start).astype(int)
    # Voxels of the moving file are half as large: from p on, the shift of the landmark and what p lies beside it.
    np.testing.assert_allclose(p + own[:, p[0], p[1]] - end, 2 * (p - start), atol=1e-4)


def test_the_two_stains_of_a_real_pair(tmp_path):
    root = shared("histology")
    for stain in ("HE", "proSPC"):
        values, header = ImageFile(root / f"Izd2-29-041-w35_{stain}.jpg").read(colours=True)
        assert values.shape == (*header.shape, 3)
        tissue = grey(values, 2, "density", "") > 0.1
        assert 0.1 < tissue.mean() < 0.9
