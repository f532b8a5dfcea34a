"""`aasce ct score`: the vertebrae of a scan against the truth."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from aasce.files import write_text
from aasce.readers.centroids import Places, read_centroids
from aasce.readers.scans import read_scan
from aasce.readers.vertebrae import HEAD_TO_FOOT, level_name, region_of
from aasce.scoring.segmentation import LabelScore, RegionScore, by_region, mask_middles, score_labels
from aasce.types import AasceError, Array
from aasce.volume import Volume
from aasce.writers.scans import LABELS_FILE, VERSE_FILE

if TYPE_CHECKING:
    from rich.table import Table

SCORED: tuple[int, ...] = tuple(label for label in HEAD_TO_FOOT if label != 26)
"""C1 to L6 and T13: the sacrum is labelled neither in VerSe nor by the kit's methods."""

APART_MM = 0.01
"""Largest distance of the corners of two grids that count as one."""

COLUMNS: tuple[str, ...] = ("vertebra", *(field.name for field in fields(RegionScore)[1:]))


@dataclass(frozen=True, slots=True)
class Side:
    """What is known of one side.

    Attributes:
        path: as named.
        places: by label (3,) world mm.
        labels: label map, None where only centroids are given.
        measured: whether the centroids are the middles of the masks, for want of a file.
    """

    path: Path
    places: Places
    labels: Volume | None
    measured: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """Scores of one scan.

    Attributes:
        predicted, truth: the two sides.
        scores: one a vertebra, from the head.
    """

    predicted: Side
    truth: Side
    scores: tuple[LabelScore, ...]

    @property
    def levels(self) -> list[RegionScore]:
        """Measures of each vertebra, under its name."""
        return by_region(self.scores, level_name)[:-1]

    @property
    def regions(self) -> list[RegionScore]:
        """Means by region, then over all."""
        return by_region(self.scores, region_of)


def score_scan(
    predicted: Path, truth: Path, centroids: Path | None = None, grid: Path | None = None
) -> Comparison:
    """Compares two label maps, two files of centroids, or one with the other.

    Args:
        predicted, truth: a label map, a file of centroids, or a folder that `aasce ct` wrote.
        centroids: true centroids where `truth` is a label map; else the middles of its masks stand in.
        grid: the scan whose voxels VerSe's centroids count, where neither side has a label map.

    Raises:
        AasceError: a file cannot be read, holds no vertebra, or the two label maps lie on two grids.
    """
    files = [_files(predicted, None), _files(truth, centroids)]
    maps = [None if labels is None else _label_map(labels) for labels, _ in files]
    common = next((m for m in (maps[1], maps[0]) if m is not None), None)
    if common is None and grid is not None:
        common = read_scan(grid)
    sides = [
        _side(path, labels, file, labels or common)
        for path, labels, (_, file) in zip((predicted, truth), maps, files, strict=True)
    ]
    masks = affine = None
    if sides[0].labels is not None and sides[1].labels is not None:
        masks = (_on_grid_of(sides[0], sides[1].labels), sides[1].labels.data)
        affine = sides[1].labels.affine
    scores = score_labels((sides[0].places, sides[1].places), masks, affine)
    ordered = sorted(scores, key=lambda score: HEAD_TO_FOOT.index(score.label))
    return Comparison(sides[0], sides[1], tuple(ordered))


def _files(path: Path, centroids: Path | None) -> tuple[Path | None, Path | None]:
    """Label map and centroids of a side."""
    if not path.exists():
        raise AasceError(f"{path}: no such file; name a label map, centroids, or a folder of 'aasce ct'")
    if path.is_dir():
        labels, places = path / LABELS_FILE, path / VERSE_FILE
        if not places.is_file():
            raise AasceError(f"{path}: holds no {VERSE_FILE}; name a folder that 'aasce ct' wrote, or a file")
        return (labels if labels.is_file() else None), centroids or places
    return (None, centroids or path) if path.suffix.lower() == ".json" else (path, centroids)


def _label_map(path: Path) -> Volume:
    labels = read_scan(path, "label")
    low, high = int(labels.data.min()), int(labels.data.max())
    if low < 0 or high > 255:
        raise AasceError(f"{path}: numbers from {low} to {high} are no labels of vertebrae; give a label map")
    return labels


def _side(path: Path, labels: Volume | None, file: Path | None, grid: Volume | None) -> Side:
    if file is not None:
        places = read_centroids(file, grid)
    else:
        assert labels is not None
        places = mask_middles(labels.data, labels.affine)
    kept = {label: place for label, place in places.items() if label in SCORED}
    if not kept:
        raise AasceError(f"{file or path}: holds no vertebra of VerSe (1 to 25, 28); check its numbers")
    return Side(path, kept, labels, file is None)


def _on_grid_of(side: Side, wanted: Volume) -> Array:
    """The side's labels with the axes of `wanted`.

    Raises:
        AasceError: they lie on another grid.
    """
    assert side.labels is not None
    turned = side.labels.reorient(wanted.axcodes)
    corners = np.array([np.zeros(3), np.array(wanted.shape) - 1.0])
    if turned.shape != wanted.shape or (
        np.abs(turned.to_world(corners) - wanted.to_world(corners)).max() > APART_MM
    ):
        raise AasceError(
            f"{side.path}: lies on another grid ({turned.shape} voxels) than the truth ({wanted.shape}); "
            "resample it with nearest neighbours"
        )
    return turned.data


def score_table(comparison: Comparison) -> Table:
    """Vertebrae, then regions, for the terminal."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD)
    headings = (
        "vertebra",
        "labelled",
        "missed",
        "false",
        "identified",
        "distance",
        "Dice",
        "surface",
        "Hausdorff95",
    )
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "vertebra" else "right")
    for rows in (comparison.levels, comparison.regions):
        for row in rows:
            table.add_row(*_cells(row))
        table.add_section()
    return table


def _cells(row: RegionScore) -> list[str]:
    counts = [str(row.vertebrae), str(row.missed), str(row.false)]
    forms = (
        (row.identified, ".1f", " %"),
        (row.distance_mm, ".2f", " mm"),
        (row.dice, ".3f", ""),
        (row.surface_mm, ".2f", " mm"),
        (row.hausdorff95_mm, ".2f", " mm"),
    )
    return [row.region, *counts, *("-" if math.isnan(v) else f"{v:{form}}{unit}" for v, form, unit in forms)]


def caption(comparison: Comparison) -> str:
    """One line: what was compared, and where the centroids are from."""
    named = [
        f"{side.path} ({'middles of the masks' if side.measured else 'centroids as given'})"
        for side in (comparison.predicted, comparison.truth)
    ]
    return f"{named[0]} against {named[1]}"


def write_scores(path: Path, comparison: Comparison) -> None:
    """Writes vertebrae and regions as .csv (one row each) or .json.

    Raises:
        AasceError: another suffix, or the file cannot be written.
    """
    if path.suffix.lower() == ".csv":
        write_text(path, _csv([*comparison.levels, *comparison.regions]))
    elif path.suffix.lower() == ".json":
        content = {
            "predicted": str(comparison.predicted.path),
            "truth": str(comparison.truth.path),
            "vertebrae": [_plain(row) for row in comparison.levels],
            "regions": [_plain(row) for row in comparison.regions],
        }
        write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")
    else:
        raise AasceError(f"--out {path}: a score is a table; end the name with .csv or .json")


def _plain(row: RegionScore) -> dict[str, Any]:
    """Plain numbers, None for what could not be measured."""
    values = asdict(row)
    rounded = {k: round(v, 6) if isinstance(v, float) else v for k, v in values.items()}
    named = {"vertebra": rounded.pop("region"), **rounded}
    return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in named.items()}


def _csv(rows: Sequence[RegionScore]) -> str:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows([_plain(row) for row in rows])
    return stream.getvalue()
