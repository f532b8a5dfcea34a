"""Middles of vertebrae from and to the two files that people use: VerSe's json and 3D Slicer's markups json.

VerSe's README: "given in voxels in the image space", counted from 0 at the centre of the first voxel (its tools take
them from `scipy.ndimage.center_of_mass`), along the axes that "direction" names. They have no meaning without the
scan's grid. Slicer's are in mm, LPS or RAS as the file states. Here everything is world mm, RAS+.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from aasce.readers.vertebrae import HEAD_TO_FOOT, VERSE, level_name
from aasce.types import AasceError, Array
from aasce.volume import Volume

Places: TypeAlias = dict[int, NDArray[np.float64]]

SLICER_SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/"
    "markups-schema-v1.0.3.json#"
)
_LPS = np.array([-1.0, -1.0, 1.0])
_FAULTS = (KeyError, TypeError, ValueError, IndexError, AttributeError)


def read_centroids(path: Path | str, grid: Volume | None = None) -> Places:
    """Reads centroids; the content decides the format.

    Args:
        path: VerSe's .json or Slicer's .mrk.json.
        grid: the scan or its label map, whose voxels VerSe's numbers count; not needed for Slicer's.

    Returns:
        By label of VerSe (3,) world mm, from the head.

    Raises:
        AasceError: the file is missing or damaged, holds no centroid, names a level twice or one that is none, or is
            VerSe's and no grid is given or its direction is no orientation.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no JSON"
        raise AasceError(f"{path}: no centroids that can be read ({reason}); check its name") from error
    if isinstance(content, dict) and "markups" in content:
        found = _from_slicer(path, content)
    elif isinstance(content, list):
        found = _from_verse(path, content, grid)
    else:
        raise AasceError(f"{path}: neither VerSe's centroids nor Slicer's markups; give one of these")
    return _checked(path, found)


def verse_form(places: Mapping[int, Array], grid: Volume) -> list[dict[str, Any]]:
    """Centroids in VerSe's form: {"direction": ...}, then {"label", "X", "Y", "Z"} in voxels of the grid.

    Args:
        places: by label of VerSe (3,) world mm.
        grid: the scan; voxels are counted along its own axes.
    """
    form: list[dict[str, Any]] = [{"direction": list(grid.axcodes)}]
    for label in _ordered(places):
        x, y, z = (round(float(v), 2) for v in grid.to_index(places[label]))
        form.append({"label": label, "X": x, "Y": y, "Z": z})
    return form


def slicer_form(places: Mapping[int, Array]) -> dict[str, Any]:
    """Centroids as Slicer's point list, named by level, in LPS mm.

    Args:
        places: by label of VerSe (3,) world mm.
    """
    points = [
        {
            "id": str(number),
            "label": level_name(label),
            "position": [round(float(v), 3) + 0.0 for v in np.asarray(places[label]) * _LPS],
            "positionStatus": "defined",
        }
        for number, label in enumerate(_ordered(places), 1)
    ]
    markup = {
        "type": "Fiducial",
        "coordinateSystem": "LPS",
        "coordinateUnits": "mm",
        "controlPoints": points,
    }
    return {"@schema": SLICER_SCHEMA, "markups": [markup]}


def _ordered(places: Mapping[int, Array]) -> list[int]:
    return sorted(places, key=HEAD_TO_FOOT.index)


def _from_verse(path: Path, content: Sequence[Any], grid: Volume | None) -> list[tuple[int, Array]]:
    if grid is None:
        raise AasceError(f"{path}: counts voxels; name the scan that they belong to with --grid")
    try:
        directions = [entry["direction"] for entry in content if "direction" in entry]
        places = [
            (int(entry["label"]), np.array([entry[axis] for axis in "XYZ"], np.float64))
            for entry in content
            if "label" in entry
        ]
    except _FAULTS as error:
        raise AasceError(f"{path}: a centroid lacks its label, X, Y or Z; write it again") from error
    if len(directions) != 1:
        raise AasceError(
            f"{path}: names no direction of its axes, so that its voxels are unknown; "
            'add {"direction": ["R", "A", "S"]} or what they are as first entry'
        )
    affine = _affine_along(path, directions[0], grid)
    return [(label, index @ affine[:3, :3].T + affine[:3, 3]) for label, index in places]


def _affine_along(path: Path, direction: Any, grid: Volume) -> NDArray[np.float64]:
    """(4, 4) from voxels counted along `direction` to world mm, on the same grid."""
    from nibabel import orientations  # saves import time where only films are read

    codes = tuple(str(code).upper() for code in direction) if isinstance(direction, list | tuple) else ()
    if sorted(codes, key="RLAPSI".find) not in [[r, a, s] for r in "RL" for a in "AP" for s in "SI"]:
        raise AasceError(f"{path}: direction {direction!r} is none; give one of R/L, of A/P and of S/I")
    change = orientations.ornt_transform(
        orientations.io_orientation(grid.affine), orientations.axcodes2ornt(codes)
    )
    return np.asarray(grid.affine @ orientations.inv_ornt_aff(change, grid.shape), np.float64)


def _from_slicer(path: Path, content: Mapping[str, Any]) -> list[tuple[int, Array]]:
    try:
        markups = [m for m in content["markups"] if m.get("controlPoints")]
        return [place for markup in markups for place in _points(path, markup)]
    except _FAULTS as error:
        raise AasceError(
            f"{path}: damaged markups ({type(error).__name__}); save the point list again in 3D Slicer"
        ) from error


def _points(path: Path, markup: Mapping[str, Any]) -> list[tuple[int, Array]]:
    system = str(markup.get("coordinateSystem"))
    if system not in ("LPS", "RAS"):
        raise AasceError(f"{path}: coordinateSystem is {system}, not LPS or RAS; save it again in 3D Slicer")
    if markup.get("coordinateUnits", "mm") != "mm":
        raise AasceError(f"{path}: in {markup['coordinateUnits']}; save the point list in mm")
    sign = _LPS if system == "LPS" else np.ones(3)
    return [
        (_label(path, str(point["label"])), np.array(point["position"], np.float64).reshape(3) * sign)
        for point in markup["controlPoints"]
        if point.get("positionStatus", "defined") == "defined"
    ]


def _label(path: Path, name: str) -> int:
    label = VERSE.get(name.strip().upper())
    if label is None:
        raise AasceError(f"{path}: point {name!r} is no level; name each point by its level (C1 ... T12, L5)")
    return label


def _checked(path: Path, found: Sequence[tuple[int, Array]]) -> Places:
    """The centroids by label, from the head.

    Raises:
        AasceError: there is none, one is unknown, stands twice or is not finite.
    """
    if not found:
        raise AasceError(f"{path}: holds no centroid; give one for each vertebra")
    labels = [label for label, _ in found]
    unknown = sorted(set(labels) - set(HEAD_TO_FOOT))
    if unknown:
        raise AasceError(f"{path}: labels {unknown} are no vertebrae of VerSe (1 to 26, 28); remove them")
    twice = sorted({level_name(label) for label in labels if labels.count(label) > 1})
    if twice:
        raise AasceError(f"{path}: {', '.join(twice)} stands twice; leave one")
    if not all(np.isfinite(place).all() for _, place in found):
        raise AasceError(f"{path}: a centroid is not finite; write it again")
    places = {label: np.asarray(place, np.float64) for label, place in found}
    return {label: places[label] for label in _ordered(places)}
