"""Vertebrae of a scan to files: label map, centroids for VerSe and Slicer, table, angles."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aasce.ct.angles import SpineAngles, VertebraMeasures
from aasce.ct.base import VertebraSet
from aasce.files import write_text
from aasce.geometry.description import UNDER, region_of, severity_of
from aasce.readers.centroids import slicer_form, verse_form
from aasce.readers.scans import write_scan
from aasce.readers.vertebrae import level_name
from aasce.types import VERTEBRAE, AasceError, CobbAngles
from aasce.volume import Volume

LABELS_FILE, VERSE_FILE, SLICER_FILE = "labels.nii.gz", "centroids.json", "centroids.mrk.json"
TABLE_FILE, ANGLES_FILE = "vertebrae.csv", "angles.json"

COLUMNS: tuple[str, ...] = (
    "level",
    "label",
    "x_mm",
    "y_mm",
    "z_mm",
    "confidence",
    "volume_ml",
    "anterior_mm",
    "middle_mm",
    "posterior_mm",
    "wedge_sagittal_deg",
    "wedge_coronal_deg",
    "flags",
)
"""Of vertebrae.csv: world mm are RAS+; what could not be measured is empty."""


def write_label_map(path: Path, found: VertebraSet, grid: Volume) -> None:
    """Writes the masks as NIfTI, uint8, with the scan's own affine.

    Args:
        path: ends in .nii or .nii.gz.
        found: with masks.
        grid: the scan.

    Raises:
        AasceError: there are no masks, they lie on another grid than the scan, or the file cannot be written.
    """
    masks = found.masks
    if masks is None:
        raise AasceError(f"{found.scan_id}: has no masks to write; segment it first")
    if masks.shape != grid.shape or not np.allclose(masks.affine, grid.affine, atol=1e-4):
        raise AasceError(f"{found.scan_id}: the masks lie on another grid than the scan; segment this scan")
    write_scan(Volume(masks.data.astype(np.uint8), grid.affine, "label"), path)


def write_centroids(folder: Path, found: VertebraSet, grid: Volume) -> None:
    """Writes centroids.json (VerSe's form, voxels of the scan) and centroids.mrk.json (3D Slicer, LPS mm).

    Raises:
        AasceError: the files cannot be written.
    """
    places = dict(zip(found.labels.tolist(), found.centroids, strict=True))
    write_text(folder / VERSE_FILE, json.dumps(verse_form(places, grid)) + "\n")
    write_text(folder / SLICER_FILE, json.dumps(slicer_form(places), indent=1) + "\n")


def table_rows(
    found: VertebraSet, measured: Sequence[VertebraMeasures], flags: Mapping[int, Sequence[str]]
) -> list[dict[str, Any]]:
    """One row a vertebra in the columns of vertebrae.csv; None where a number is unknown.

    Args:
        found: the vertebrae.
        measured: of the same scan.
        flags: by label, of single vertebrae.
    """
    known = {vertebra.label: vertebra for vertebra in measured}
    rows = []
    for label, place, confidence in zip(
        found.labels.tolist(), found.centroids, found.confidence.tolist(), strict=True
    ):
        numbers = [*(round(float(v), 2) for v in place), round(confidence, 3), *_numbers(known.get(label))]
        rows.append(
            dict(
                zip(
                    COLUMNS, [level_name(label), label, *numbers, ";".join(flags.get(label, ()))], strict=True
                )
            )
        )
    return rows


def _numbers(vertebra: VertebraMeasures | None) -> list[float | None]:
    """Volume, three heights and two angles of wedging."""
    if vertebra is None:
        return [None] * 6
    volume = None if vertebra.volume_ml is None else round(vertebra.volume_ml, 2)
    body = vertebra.body
    if body is None:
        return [volume, *[None] * 5]
    heights = [round(float(v), 1) if np.isfinite(v) else None for v in body.heights_mm]
    return [volume, *heights, round(body.wedge_sagittal, 1), round(body.wedge_coronal, 1)]


def write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes vertebrae.csv.

    Raises:
        AasceError: the file cannot be written.
    """
    stream = io.StringIO()
    writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, stream.getvalue())


def angles_record(found: VertebraSet, angles: SpineAngles) -> dict[str, Any]:
    """Everything measured of the spine as plain JSON: degrees, mm, names of levels."""
    space = None
    if angles.space is not None and angles.space_ends is not None:
        upper, lower = (level_name(label) for label in angles.space_ends)
        space = {"degrees": round(angles.space, 2), "upper": upper, "lower": lower}
    return {
        "scan": found.scan_id,
        "method": found.method,
        "flags": list(found.flags),
        "levels": [level_name(label) for label in angles.labels],
        "measured_on": angles.source,
        "coronal": {
            "clinical": coronal_record(angles, angles.clinical),
            "challenge": coronal_record(angles, angles.challenge),
            "from_centroids": coronal_record(angles, angles.centroid_line, angles.line_labels),
        },
        "space": space,
        "landmarks_mm": {
            "frame": "frontal film: x = -x and y = -z of the world (RAS+)",
            "corners": ["top left", "top right", "bottom left", "bottom right"],
            "points": np.round(angles.landmarks, 2).tolist(),
        },
    }


def coronal_record(
    angles: SpineAngles, cobb: CobbAngles | None, labels: Sequence[int] | None = None
) -> list[dict[str, Any]] | None:
    """Degrees, region by the apex, end vertebrae and apex of three coronal angles; None where there are none.

    Args:
        angles: the spine's.
        cobb: of these vertebrae.
        labels: of the vertebrae that `cobb` counts; those of the landmarks when None.
    """
    if cobb is None:
        return None
    record = []
    for number, degrees in enumerate(cobb.degrees):
        ends = angles.ends(cobb, number, labels)
        names = dict(zip(("upper", "lower", "apex"), ends or (None,) * 3, strict=True))
        region = "" if ends is None or severity_of(degrees) == UNDER else _region(ends[2])
        record.append({"degrees": round(float(degrees), 2), "region": region, **names})
    return record


def _region(apex: str) -> str:
    """Of a curve by its apical vertebra; "" for a cervical or sacral one."""
    level = {"T13": 11.5, "L6": 17.0}.get(apex)  # T13 lies between T12 and L1, L6 below L5
    if level is None and apex in VERTEBRAE:
        level = float(VERTEBRAE.index(apex))
    return "" if level is None else region_of(level)


def write_angles(path: Path, record: Mapping[str, Any]) -> None:
    """Writes angles.json.

    Raises:
        AasceError: the file cannot be written.
    """
    write_text(path, json.dumps(record, indent=1, allow_nan=False) + "\n")
