"""File to film: which files are films, and the one function that reads any of them."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

from aasce.readers import dicom, raster
from aasce.types import AasceError, Radiograph

RASTER_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff")
DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")
SUFFIXES = RASTER_SUFFIXES + DICOM_SUFFIXES


def film_name(path: Path | str) -> str:
    """Film id of a file: its name without a film's suffix ("1.2.840.55" keeps its dots)."""
    path = Path(path)
    return path.stem if path.suffix.lower() in SUFFIXES else path.name


def read_film(path: Path | str) -> Radiograph:
    """Reads one film: PNG, JPEG, TIFF (8 or 16 bit, grey or colour) or DICOM, recognised by content.

    Returns:
        A film of uint8 or uint16, one channel, bone bright, with square pixels.

    Raises:
        AasceError: the file is missing, empty, damaged, no film, or a side is under 32 or over 20,000 px.
    """
    path = Path(path)
    content = _content(path)
    # DICOM comes first: its preamble may hold the header of a TIFF, so that programs for either open the file.
    if dicom.is_dicom(content):
        return dicom.read_dicom(path, film_name(path), content)
    if raster.kind(content) is not None:
        return raster.read_raster(path, film_name(path), content)
    # Old archives write DICOM without preamble and mark: there only the suffix says so.
    if path.suffix.lower() in DICOM_SUFFIXES:
        return dicom.read_dicom(path, film_name(path), content)
    raise AasceError(f"{path}: no film that can be read; give PNG, JPEG, TIFF or DICOM")


def film_size(path: Path | str) -> tuple[int, int]:
    """(H, W) of a film as `read_film` gives it, from the header of a raster image; a DICOM is read in full."""
    path = Path(path)
    size = raster.header_size(path) if path.suffix.lower() in RASTER_SUFFIXES else None
    return size if size is not None else read_film(path).size


def find_films(patterns: Sequence[str | Path]) -> list[Path]:
    """Films named by files, folders (their own films, not those of folders inside) and globs.

    Args:
        patterns: at least one; their films in this order, those of one pattern sorted as text.

    Raises:
        AasceError: one matches nothing, a folder holds no film, or two films share a name.
    """
    found: dict[Path, Path] = {}
    for pattern in patterns:
        for path in _matches(pattern):
            found.setdefault(path.resolve(), path)
    if not found:
        raise AasceError("no film named; give files, folders or globs")
    seen: dict[str, Path] = {}
    for path in found.values():
        other = seen.setdefault(film_name(path), path)
        if other is not path:
            raise AasceError(f"{path}: has the same name as {other}; rename one, a film is known by its name")
    return list(found.values())


def _matches(pattern: str | Path) -> list[Path]:
    path = Path(pattern)
    if path.is_dir():
        films = sorted((p for p in path.iterdir() if _is_film(p)), key=str)
        if not films:
            raise AasceError(f"{path}: a folder without films; they end in {', '.join(SUFFIXES)}")
        return films
    if path.exists():
        return [path]
    films = sorted((Path(p) for p in glob.glob(str(pattern)) if _is_film(Path(p))), key=str)
    if not films:
        raise AasceError(f"{pattern}: no such film; give files, folders or globs")
    return films


def _is_film(path: Path) -> bool:
    """True for a film's suffix, and for a file without one of them that carries DICOM's mark."""
    if not path.is_file() or path.name.startswith("."):
        return False
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        return True
    with path.open("rb") as stream:
        return dicom.is_dicom(stream.read(132))


def _content(path: Path) -> bytes:
    if path.is_dir():
        raise AasceError(f"{path}: a folder, not a film; name a film in it")
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise AasceError(f"{path}: no such film; check its name") from None
    except OSError as error:
        raise AasceError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    if not content:
        raise AasceError(f"{path}: is empty; copy or export the film again")
    return content
