"""Vector images of ITK in MetaImage and NRRD files, read by SimpleITK: shape, place and numbers."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from regbench.system.errors import UsageError

Array = NDArray[Any]
VECTOR_IMAGES = (".mha", ".nrrd")
LPS = ("left-posterior-superior", "lps")
HEAD = 2**14  # bytes that hold the lines before the numbers


class VectorImage(NamedTuple):
    """A vector image, its header read.

    Attributes:
        shape: ``(*S, components)``.
        real: whether its numbers are real; else they are integers.
        words: what the header says.
        affine: ``(4, 4)``, voxels to mm, axes RAS.
        stored: the numbers, in `shape`.
    """

    shape: tuple[int, ...]
    real: bool
    words: str
    affine: Array
    stored: Callable[[], Array]


def open_vector_image(path: Path) -> VectorImage:
    """Read the header.

    Raises:
        ValueError: if the file holds no vectors, or its vectors are not along LPS in mm.
        RuntimeError: if SimpleITK cannot read it.
        UsageError: if SimpleITK is not installed.
    """
    try:
        import SimpleITK
    except ImportError as error:
        raise UsageError(f"`{path}` needs SimpleITK to be read. Install it: pip install simpleitk") from error
    sitk: Any = SimpleITK
    entries = _entries(path)
    _check_frame(entries)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    sitk.ProcessObject.GlobalWarningDisplayOff()
    reader.ReadImageInformation()
    size, components = reader.GetSize(), reader.GetNumberOfComponents()
    kind = sitk.GetPixelIDValueAsString(reader.GetPixelID())
    dims = len(size)
    if dims not in (2, 3) or "vector" not in kind or "complex" in kind:
        raise ValueError(f"{dims} axes of {kind}, where vectors in two or three axes are meant")
    inner = np.reshape(reader.GetDirection(), (dims, dims)) * np.array(reader.GetSpacing())
    affine = np.eye(4)
    affine[:dims, :dims], affine[:dims, 3] = inner, reader.GetOrigin()
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    axes = tuple(reversed(range(dims)))

    def stored() -> Array:
        return np.asarray(sitk.GetArrayFromImage(reader.Execute()).transpose(*axes, dims))

    shape = (*(int(n) for n in size), int(components))
    return VectorImage(
        shape, "float" in kind, f"a {path.suffix.lower()} of ITK of shape {shape} ({kind})", affine, stored
    )


def _entries(path: Path) -> dict[str, str]:
    """The lines ``key = value`` (MetaImage) or ``key: value`` (NRRD) of a header; SimpleITK gives not all."""
    with path.open("rb") as file:
        text = file.read(HEAD).decode("latin-1")
    separator = ":=?" if text.startswith("NRRD") else "="
    lines = re.split(r"\r?\n\r?\n", text)[0] if text.startswith("NRRD") else text.partition("ElementDataFile")[0]
    pairs = (re.split(rf"\s*{separator}\s*", line, maxsplit=1) for line in lines.splitlines())
    return {pair[0].strip().lower(): pair[1].strip() for pair in pairs if len(pair) == 2}


def _check_frame(entries: dict[str, str]) -> None:
    """Vectors are along LPS in mm.

    Raises:
        ValueError: naming the line of the header that says something else.
    """
    space = entries.get("space", LPS[0])
    if space.lower() not in LPS:
        raise ValueError(f"`space: {space}`, so nothing says whether its vectors run along LPS. Write it by ITK")
    frame = [float(number) for number in re.findall(r"[-+\d.eE]+", entries.get("measurement frame", ""))]
    side = round(len(frame) ** 0.5)
    if frame and frame != np.eye(side).ravel().tolist():
        raise ValueError("a `measurement frame`, which ITK does not apply. Write it by ITK without one")
    units = {*re.findall(r'"([^"]*)"', entries.get("space units", "")), entries.get("distanceunits", "mm")}
    wrong = sorted(unit for unit in units if unit.lower() not in ("mm", "millimeter", "", "?", "unknown"))
    if wrong:
        raise ValueError(f"the unit `{wrong[0]}`, which ITK does not apply. Write spacing and vectors in mm")
