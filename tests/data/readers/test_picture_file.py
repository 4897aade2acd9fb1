"""Pictures: what their containers say beside the pixels."""

import io

import numpy as np
import pytest
import tifffile
from PIL import Image

from regbench.data.readers.image_file import ImageFile, read_labels
from regbench.system.errors import RegbenchError

PIXELS = np.arange(48, dtype=np.uint8).reshape(6, 8)
COLOURS = [value for k in range(256) for value in (k, 255 - k, 7)]


def save(path, image, **options):
    image.save(path, **options)
    return path


def palette(colours):
    image = Image.fromarray(PIXELS)
    made = Image.frombytes("P", image.size, image.tobytes())
    made.putpalette(colours)
    return made


@pytest.mark.parametrize("kind", ["uint8", "uint16", ">u2", "int16", "int32", "uint32", "float32", ">f4"])
def test_types_of_tiff(tmp_path, kind):
    tifffile.imwrite(tmp_path / "a.tif", PIXELS.astype(kind), byteorder=">" if kind[0] == ">" else "<")
    np.testing.assert_array_equal(ImageFile(tmp_path / "a.tif").read()[0], PIXELS.T[:, ::-1])


def test_sixteen_bits_of_png(tmp_path):
    values = PIXELS.astype(np.uint16) * 1000
    path = save(tmp_path / "a.png", Image.fromarray(values))
    np.testing.assert_array_equal(ImageFile(path).read()[0], values.T[:, ::-1])
    np.testing.assert_array_equal(read_labels(path)[0], values.T[:, ::-1])


def stack(path, **options):
    tifffile.imwrite(path, np.stack([PIXELS] * 9), **options)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("a.tif", stack),
        ("a.tif", lambda path: stack(path, imagej=True)),
        ("a.tif", lambda path: stack(path, truncate=True)),  # one directory for nine pages
        ("a.tif", lambda path: stack(path, volumetric=True, tile=(16, 16, 16))),
        ("a.tiff", lambda path: save(path, Image.fromarray(PIXELS), save_all=True, append_images=[palette(COLOURS)])),
        (
            "a.png",
            lambda p: save(p, Image.fromarray(PIXELS), save_all=True, append_images=[Image.fromarray(PIXELS + 1)]),
        ),
    ],
)
def test_several_pages_are_refused(tmp_path, name, make):
    make(tmp_path / name)
    with pytest.raises(RegbenchError, match=rf"{name}` must hold one picture, but has [29] pages"):
        ImageFile(tmp_path / name).read()


@pytest.mark.parametrize(
    ("name", "content", "got"),
    [("a.png", "JPEG", "JPEG"), ("a.png", "GIF", "GIF"), ("a.jpg", "PNG", "PNG"), ("a.tif", "WEBP", "WEBP")],
)
def test_another_format_than_the_name_says(tmp_path, name, content, got):
    memory = io.BytesIO()
    Image.fromarray(PIXELS).save(memory, content)
    (tmp_path / name).write_bytes(memory.getvalue())
    with pytest.raises(RegbenchError, match=rf"{name}` must be a \w+ file, as its name says, but is {got}"):
        ImageFile(tmp_path / name).read()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "CMYK"])
def test_colours_and_alpha_are_refused(tmp_path, mode):
    path = save(tmp_path / "a.tif", Image.fromarray(PIXELS).convert(mode))
    for read in (ImageFile(path).read, lambda: read_labels(path)):
        with pytest.raises(RegbenchError, match=r"a\.tif` must be a grey 2D picture"):
            read()


def test_a_palette_gives_greys_to_an_image_and_numbers_to_labels(tmp_path):
    coloured = save(tmp_path / "a.png", palette(COLOURS))
    with pytest.raises(RegbenchError, match=r"a\.png` must be a grey 2D picture, but its palette has colours"):
        ImageFile(coloured).read()
    np.testing.assert_array_equal(read_labels(coloured)[0], PIXELS.T[:, ::-1])
    grey = save(tmp_path / "b.png", palette([255 - k // 3 for k in range(768)]))
    np.testing.assert_array_equal(ImageFile(grey).read()[0], 255 - PIXELS.T[:, ::-1].astype(float))


def test_the_orientation_that_a_camera_notes(tmp_path):
    exif = Image.Exif()
    exif[274] = 6  # shown, the picture is turned by a quarter, clockwise
    path = save(tmp_path / "a.png", Image.fromarray(PIXELS), exif=exif)
    np.testing.assert_array_equal(ImageFile(path).read()[0], np.rot90(PIXELS, -1).T[:, ::-1])
    tifffile.imwrite(tmp_path / "a.tif", PIXELS, extratags=[(274, "H", 1, 6, True)])
    with pytest.raises(RegbenchError, match=r"a\.tif` must be stored upright, but its orientation is 6"):
        ImageFile(tmp_path / "a.tif").read()


def test_lossy_labels_are_refused_whatever_holds_them(tmp_path):
    image = Image.fromarray(PIXELS)
    paths = [save(tmp_path / "a.jpg", image), save(tmp_path / "b.tif", image, compression="jpeg")]
    for path in paths:
        assert ImageFile(path).header.shape == (8, 6)
        with pytest.raises(RegbenchError, match=r"must store labels as they are, but JPEG is lossy"):
            read_labels(path)


def test_white_as_zero_and_signed_bytes(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", PIXELS, photometric="miniswhite")
    np.testing.assert_array_equal(ImageFile(tmp_path / "a.tif").read()[0], 255.0 - PIXELS.T[:, ::-1])
    tifffile.imwrite(tmp_path / "b.tif", PIXELS.astype(np.uint16), photometric="miniswhite")
    tifffile.imwrite(tmp_path / "c.tif", (PIXELS.astype(int) - 20).astype(np.int8))
    tifffile.imwrite(tmp_path / "d.tif", PIXELS.astype(np.uint32) + 2**31)
    for read in (lambda: read_labels(tmp_path / "a.tif"), ImageFile(tmp_path / "b.tif").read):
        with pytest.raises(RegbenchError, match=r"\.tif` must store black as 0"):
            read()
    with pytest.raises(RegbenchError, match=r"c\.tif` must have unsigned bytes"):
        ImageFile(tmp_path / "c.tif").read()
    with pytest.raises(RegbenchError, match=r"d\.tif` must have values below 2147483648"):
        ImageFile(tmp_path / "d.tif").read()
