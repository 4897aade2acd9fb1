"""Files of displacement fields: what their headers say, and their vectors; nothing in them is trusted.

A header says in which form the vectors are, or the file is refused by name. What it leaves open the caller has to say.
"""

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from regbench.data.readers.damage import DAMAGE, check_claim, check_member, check_nifti_head
from regbench.data.readers.npz import array_header
from regbench.data.readers.vector_image import VECTOR_IMAGES, open_vector_image
from regbench.system.errors import RegbenchError, UsageError

Array = NDArray[Any]
Form = Literal["auto", "l2r", "itk", "nifti"]
Kind = Literal["l2r", "itk", "nifti"]
FORMS: dict[Kind, str] = {"l2r": "voxels of the fixed array", "itk": "mm along LPS", "nifti": "mm along RAS"}
FIELDS = (".nii.gz", ".nii", ".npz", *VECTOR_IMAGES)
UNREADABLE = (*DAMAGE, zipfile.BadZipFile, NotImplementedError, RuntimeError)
NONE, DISPVECT, VECTOR = 0, 1006, 1007  # intents of NIfTI
# Names that programs write beside the intent `vector` for something else: positions, splines, velocities.
NO_DISPLACEMENT = {"NREG_TRANS": "NiftyReg's transformation", "Mapping": "SPM's map of positions"}
UNITS = {0: ("unknown", 1.0), 1: ("meter", 1000.0), 2: ("mm", 1.0), 3: ("micron", 0.001)}  # of NIfTI, and in mm


@dataclass(frozen=True)
class FieldFile:
    """A file of vectors, its header read.

    Attributes:
        path: of the file.
        shape: as stored.
        dtype: as stored.
        form: what the header says of the vectors; empty where it leaves that open.
        possible: forms that do not contradict the header.
        words: what the header says, for messages.
        doubt: what keeps vectors in mm from being placed; empty where nothing does.
        affine: ``(4, 4)``, voxels to mm, axes RAS; None where the file has none.
        stored: the numbers, in the stored shape.
    """

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    form: Kind | Literal[""]
    possible: tuple[Kind, ...]
    words: str
    doubt: str
    affine: Array | None
    stored: Callable[[], Array]

    @property
    def has_components_last(self) -> bool:
        """Whether the container itself says which axis the components are on; an npz does not."""
        return self.path.suffix.lower() != ".npz"

    def resolved(self, asked: Form) -> Kind:
        """The form of the vectors, from what the header says and what was asked for.

        Raises:
            RegbenchError: if they contradict each other, neither says it, or vectors in mm cannot be placed.
        """
        form: Kind | Literal[""] = self.form if asked == "auto" else asked
        if asked == "itk" and self.possible == ("nifti",):
            form = "nifti"  # ITK turns such vectors to LPS when it reads them
        if not form:
            raise RegbenchError(
                f"`{self.path}` must say what its vectors are, but has {self.words}, which is used for several forms. "
                f"Say it by `--form` (in a config: `form`): {_forms()}."
            )
        if form not in self.possible:
            own = self.possible[0]
            raise RegbenchError(
                f"`{self.path}` must have the form `{form}` ({FORMS[form]}), as was asked for, but has {self.words}: "
                f"`{own}` ({FORMS[own]}). Leave `form` out, or write the field in the form `{form}`."
            )
        if form != "l2r" and self.doubt:
            raise RegbenchError(
                f"`{self.path}` must say where its vectors point ({FORMS[form]}), but has {self.words}, {self.doubt}. "
                "Write vectors and header in mm, with one affine."
            )
        return form

    def numbers(self) -> Array:
        """The numbers as float64, in the stored shape.

        Raises:
            RegbenchError: if the file is not whole; names it.
        """
        try:
            with np.errstate(all="ignore"):
                return np.asarray(self.stored(), dtype=np.float64).reshape(self.shape)
        except UNREADABLE as error:
            raise _unreadable(self.path, error) from error


def open_field(path: Path) -> FieldFile:
    """Read the header of a field's file.

    Raises:
        RegbenchError: if it is damaged, or holds something other than a displacement; names it.
        UsageError: if a package that reads it is missing.
    """
    ending = next((known for known in FIELDS if path.name.lower().endswith(known)), "")
    read = {".npz": _npz, ".nii": _nifti, ".nii.gz": _nifti, **dict.fromkeys(VECTOR_IMAGES, _vector_image)}.get(ending)
    if read is None:
        raise RegbenchError(f"`{path}` must end in one of {', '.join(FIELDS)}.")
    try:
        with np.errstate(all="ignore"):  # nonsense in a damaged header overflows; what comes of it is checked
            field = read(path)
    except UsageError:
        raise
    except UNREADABLE as error:
        raise _unreadable(path, error) from error
    if field.dtype.kind not in "fiu":
        raise _unreadable(path, ValueError(f"{field.dtype} where real numbers are meant"))
    return field


def _npz(path: Path) -> FieldFile:
    with zipfile.ZipFile(path) as archive:
        inner = archive.infolist()
        if len(inner) != 1:
            names = ", ".join(f"`{Path(info.filename).stem}`" for info in inner)
            raise ValueError(f"{len(inner)} arrays where one is meant ({names})" if inner else "0 arrays")
        with archive.open(inner[0]) as file:
            shape, dtype = array_header(file)
        check_member(inner[0], shape, dtype)

    def stored() -> Array:
        with np.load(path, allow_pickle=False) as arrays:
            return np.asarray(arrays[arrays.files[0]])

    return FieldFile(path, shape, dtype, "l2r", tuple(FORMS), f"an array of shape {shape}", "", None, stored)


def _nifti(path: Path) -> FieldFile:
    import nibabel as nib

    check_nifti_head(path)
    try:
        image: Any = nib.load(path)
    except (nib.filebasedimages.ImageFileError, nib.spatialimages.HeaderDataError) as error:
        raise ValueError(str(error)) from error
    if not isinstance(image.header, nib.Nifti1Header):
        raise ValueError(f"a file of {type(image).__name__}, not NIfTI")
    header: Any = image.header
    shape, dtype = tuple(int(n) for n in image.shape), header.get_data_dtype()
    check_claim(shape, dtype, path.stat().st_size, packed=path.name.lower().endswith("z"))
    if dtype.kind in "iu" and (image.dataobj.slope, image.dataobj.inter) != (1.0, 0.0):
        dtype = np.dtype(np.float64)  # scaled integers are real numbers
    intent, name = int(header["intent_code"]), bytes(header["intent_name"].item()).decode("latin-1").strip("\0 ")
    code = int(header["xyzt_units"]) & 7
    if code not in UNITS:
        raise ValueError(f"unit of length {code}, which NIfTI does not know")
    unit, unit_mm = UNITS[code]
    axes = {3: "three", 4: "four", 5: "five"}.get(len(shape), len(shape))
    words = f"{axes} axes {shape}, intent {_intent(intent)}, unit {unit}"
    if name in NO_DISPLACEMENT:
        raise ValueError(f"intent name `{name}`, {NO_DISPLACEMENT[name]}; convert it to displacements")
    form, possible = _nifti_form(shape, intent, words)
    doubt, affine = _nifti_affine(header, image.affine)
    if unit not in ("mm", "unknown"):
        doubt = f"so vectors in {unit} or in mm"
    affine = np.diag([unit_mm] * 3 + [1.0]) @ affine
    return FieldFile(path, shape, dtype, form, possible, words, doubt, affine, lambda: np.asarray(image.dataobj))


def _nifti_form(shape: tuple[int, ...], intent: int, words: str) -> tuple[Kind | Literal[""], tuple[Kind, ...]]:
    """What shape and intent say of the vectors, and what they may be. ITK reads five axes with an intent as vectors."""
    if intent not in (NONE, DISPVECT, VECTOR):
        raise ValueError(f"{words}. It must be a field: the intent `vector`, `displacement vector` or none")
    if len(shape) not in (3, 4, 5) or (len(shape) == 5 and shape[3] != 1):
        raise ValueError(f"{words}. It must be a field: (X, Y, Z, d), (X, Y, d) or (X, Y, Z, 1, d)")
    if len(shape) < 5:
        return "l2r" if intent == NONE else "", tuple(FORMS)
    if intent == NONE:
        return "", tuple(FORMS)
    return ("itk", ("itk", "nifti")) if intent == VECTOR else ("nifti", ("nifti",))


def _nifti_affine(header: Any, affine: Array) -> tuple[str, Array]:
    """What is doubtful about the place of a NIfTI, and voxels to mm; its spacings alone where it gives no place."""
    codes = int(header["sform_code"]), int(header["qform_code"])
    if codes == (0, 0):
        zooms = [float(side) for side in header.get_zooms()[:3]]
        return "neither sform nor qform", np.diag([*zooms, *[1.0] * (4 - len(zooms))])
    apart = np.abs(header.get_sform() - header.get_qform()).max() if 0 not in codes else 0.0
    doubt = "an sform and a qform that differ" if not apart <= 1e-3 * np.abs(affine[:3, :3]).max() else ""
    return doubt, np.asarray(affine, dtype=np.float64)


def _vector_image(path: Path) -> FieldFile:
    image = open_vector_image(path)
    check_claim(image.shape, np.uint8, path.stat().st_size, packed=True)
    dtype = np.dtype(np.float64) if image.real else np.dtype(np.int64)
    return FieldFile(path, image.shape, dtype, "itk", ("itk",), image.words, "", image.affine, image.stored)


def _intent(code: int) -> str:
    import nibabel as nib

    names = {NONE: "none"}
    try:
        return f"{code} ({names.get(code) or nib.nifti1.intent_codes.label[code]})"
    except KeyError:
        return str(code)


def _forms() -> str:
    return ", ".join(f"`{form}` ({words})" for form, words in FORMS.items())


def _unreadable(path: Path, error: Exception) -> RegbenchError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return RegbenchError(f"`{path}` must be a readable field of displacements, but got: {reason}. Write it again.")
