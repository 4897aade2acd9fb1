"""Public sets by name: fetched once, compared with a checksum, unpacked whole or not at all."""

import logging
import os
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from regbench.data.native import Raw
from regbench.data.readers.folder import folder
from regbench.data.readers.neurite_oasis import neurite_oasis
from regbench.system.errors import RegbenchError, UsageError, did_you_mean
from regbench.system.file_lock import waiting
from regbench.system.names import given_path

LOG = logging.getLogger(__name__)
TIMEOUT = 60  # seconds without a byte
AGENT = {"User-Agent": "Mozilla/5.0 (compatible; regbench)"}  # some servers refuse a client without one


@dataclass(frozen=True)
class PublicSet:
    """An archive that anybody may fetch.

    Attributes:
        base_url, file: where it lies.
        checksum: ``md5:...`` as its publishers give it.
        megabytes: to download.
        licence: what the user agrees to.
        read: the reader of the unpacked folder.
    """

    base_url: str
    file: str
    checksum: str
    megabytes: int
    licence: str
    read: Callable[[Path], Raw]


def _hippocampus(place: Path) -> Raw:
    raw = folder(path=str(place / "Task04_Hippocampus"), images="imagesTr", labels="labelsTr")
    # Volumes may be of one person: who is who was not published, so a split is a split by volume.
    notes = "Medical Segmentation Decathlon, Task 04: T1 crops of the hippocampus, manual labels; split by volume."
    return replace(raw, names={1: "anterior hippocampus", 2: "posterior hippocampus"}, notes=notes)


SETS: Mapping[str, PublicSet] = {
    "neurite_oasis_2d": PublicSet(
        "https://surfer.nmr.mgh.harvard.edu/ftp/data/neurite/data/",
        "neurite-oasis.2d.v1.0.tar",
        "md5:c9ae5864f250c7e4b8d83a104e51ae8e",
        24,
        "OASIS-1 data use agreement (https://sites.wustl.edu/oasisbrains): cite Marcus et al. 2007, "
        "doi:10.1162/jocn.2007.19.9.1498, and Hoopes et al. 2021, doi:10.1007/978-3-030-78191-0_1",
        lambda place: neurite_oasis(path=str(place)),
    ),
    "msd_hippocampus": PublicSet(
        "https://msd-for-monai.s3-us-west-2.amazonaws.com/",
        "Task04_Hippocampus.tar",
        "md5:9d24dba78a72977dbd1d2e110310f31b",
        28,
        "CC BY-SA 4.0: cite Antonelli et al. 2022, doi:10.1038/s41467-022-30695-9",
        _hippocampus,
    ),
}
_UNPACKED = "Unpack it and name the folder in the config: `source: learn2reg`, `parameters: {path: FOLDER}`."
BY_HAND: Mapping[str, str] = {
    "learn2reg": "Learn2Reg sets (OASIS, AbdomenCTCT, AbdomenMRCT, LungCT, NLST, ThoraxCBCT): download the set from "
    "https://learn2reg.grand-challenge.org/Datasets; no checksum is published, so regbench does not fetch it. "
    + _UNPACKED,
    "lumir": "LUMIR: register at https://learn2reg.grand-challenge.org, accept its terms, and download it there. "
    + _UNPACKED,
    "neurite_oasis_3d": "neurite-OASIS 3D (6.6 GB): download neurite-oasis.v1.0.tar from "
    "https://github.com/adalca/medical-datasets; no checksum is published, so regbench does not fetch it. Unpack it; "
    "in the config: `source: neurite_oasis`, `parameters: {path: FOLDER, dims: 3, labels: 35}`.",
    "ixi": "IXI as TransMorph prepared it comes as pickles, which regbench refuses. Take the images from "
    "https://brain-development.org/ixi-dataset, segment and align them, and use `source: table`.",
}


def public(
    *, name: Literal["neurite_oasis_2d", "msd_hippocampus"], store: str | None = None, base_url: str | None = None
) -> Raw:
    """A public set by its name: fetched once (with a checksum and its licence shown), then read from disk.

    On a machine without network, fetch it beforehand elsewhere with `regbench fetch NAME` and a shared `store`.

    Args:
        name: of the set; `regbench fetch` lists them.
        store: folder of fetched sets; ``$REGBENCH_DATA``, else the user's cache folder, unless given.
        base_url: a mirror to fetch from; the checksum stays the same.

    Raises:
        RegbenchError: if it cannot be fetched, is not what it should be, or there is no room.
    """
    raw = SETS[name].read(fetch(name, given_path(store) if store else None, base_url=base_url))
    return replace(raw, licences=(SETS[name].licence,))


def fetch(name: str, store: Path | None = None, *, base_url: str | None = None) -> Path:
    """The folder of a public set, downloaded and unpacked if it is not there yet.

    Raises:
        UsageError: if there is none of that name, or it can only be had by hand; then with the way.
        RegbenchError: as `public`.
    """
    if name in BY_HAND:
        raise UsageError(f"`{name}` must be fetched by hand. {BY_HAND[name]}")
    if name not in SETS:
        raise UsageError(f"public set `{name}` is unknown; {did_you_mean(name, [*SETS, *BY_HAND])}")
    import pooch

    root = store or Path(os.environ.get("REGBENCH_DATA") or pooch.os_cache("regbench"))
    place, wanted = root / name, SETS[name]
    if place.is_dir():
        return place
    url = (base_url or wanted.base_url).rstrip("/") + "/" + wanted.file
    try:
        with waiting(root / f".{name}.lock"):
            if not place.is_dir():  # nobody else fetched it while this process waited
                LOG.info("fetching %s (%d MB) into %s. Licence: %s", url, wanted.megabytes, place, wanted.licence)
                _fetch(url, wanted, place)
    except OSError as error:
        raise RegbenchError(
            f"`{place}` must be writable, but got: {error.strerror or error}. Set REGBENCH_DATA to a folder with room."
        ) from error
    return place


def _fetch(url: str, wanted: PublicSet, place: Path) -> None:
    import pooch
    import requests

    # Beside its place, so that the last step is a rename: a folder of that name is always whole.
    with TemporaryDirectory(dir=place.parent, prefix=f".{place.name}.") as temporary:
        download = pooch.HTTPDownloader(timeout=TIMEOUT, headers=AGENT)
        try:
            archive = pooch.retrieve(url, wanted.checksum, fname=wanted.file, path=temporary, downloader=download)
        except requests.RequestException as error:
            raise RegbenchError(
                f"`{url}` must be downloadable, but got: {error}. Check the network and run again; nothing was kept. "
                f"Or download it elsewhere and unpack it into `{place}`."
            ) from error
        except ValueError as error:
            raise RegbenchError(
                f"`{url}` must have the checksum {wanted.checksum}, but has another: the download was damaged, or the "
                "file was replaced. Nothing was kept; run again, and if it stays so do not trust the file."
            ) from error
        unpacked = Path(temporary) / "unpacked"
        try:
            with tarfile.open(archive) as tar:
                _check_members(tar, unpacked)
                if hasattr(tarfile, "data_filter"):
                    tar.extractall(unpacked, filter="data")
                else:  # Python before 3.11.4
                    tar.extractall(unpacked)
        except tarfile.TarError as error:
            raise RegbenchError(f"`{url}` must be a tar archive, but got: {error}. Nothing was kept.") from error
        unpacked.replace(place)


def _check_members(tar: tarfile.TarFile, folder: Path) -> None:
    """Refuse links, devices and paths that lead outside of `folder`.

    Raises:
        tarfile.TarError: naming one.
    """
    for member in tar:
        inside = (folder / member.name).resolve().is_relative_to(folder.resolve())
        if not (member.isfile() or member.isdir()) or not inside:
            raise tarfile.TarError(f"`{member.name}` is a link or leads outside")
