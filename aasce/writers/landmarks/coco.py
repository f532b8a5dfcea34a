"""COCO keypoints: all films in one file, each vertebra an annotation with four keypoints.

The level is the category, because every program that reads COCO keeps it; attributes are kept by some alone. Keypoints
are px of the film, the centre of the first pixel at (0, 0): COCO's keypoints are indices of pixels. Its boxes are not:
there the first pixel covers 0 to 1, so that `bbox` lies half a pixel further right and down than the keypoints.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aasce.ensemble.combine import Measurement
from aasce.files import write_text
from aasce.geometry.spine import RING
from aasce.types import CORNERS, VERTEBRAE, FilmFacts
from aasce.writers.landmarks.corner_points import Vertebra, film_keys, source_name, vertebrae_of
from aasce.writers.records import pretty

SKELETON = [[RING[k] + 1, RING[(k + 1) % 4] + 1] for k in range(4)]
"""The outline of a vertebra, as pairs of keypoints counted from 1."""

VISIBLE, LEFT_OUT = 2, 0


def write(folder: Path, rows: Sequence[tuple[FilmFacts, Measurement]]) -> None:
    """Writes landmarks-coco.json.

    Raises:
        AasceError: the file cannot be written.
    """
    write_text(folder / "landmarks-coco.json", pretty(coco_of(rows)))


def coco_of(rows: Sequence[tuple[FilmFacts, Measurement]]) -> dict[str, Any]:
    """The content of the file; images and annotations are counted from 1."""
    films = [vertebrae_of(measurement) for _, measurement in rows]
    names = [*VERTEBRAE, *sorted({v.level for film in films for v in film} - set(VERTEBRAE))]
    categories = {name: k for k, name in enumerate(names, 1)}
    annotations: list[dict[str, Any]] = []
    for image, film in enumerate(films, 1):
        for vertebra in film:
            where = {"id": len(annotations) + 1, "image_id": image, "category_id": categories[vertebra.level]}
            annotations.append({**where, **_annotation(vertebra)})
    return {
        "info": {"description": "Corners of vertebrae"},
        "images": [_image(k, facts) for k, (facts, _) in enumerate(rows, 1)],
        "annotations": annotations,
        "categories": [_category(name, k) for name, k in categories.items()],
    }


def _image(number: int, facts: FilmFacts) -> dict[str, Any]:
    height, width = facts.size
    return {
        "id": number,
        "file_name": source_name(facts),
        "height": height,
        "width": width,
        **film_keys(facts),
    }


def _category(name: str, number: int) -> dict[str, Any]:
    return {
        "id": number,
        "name": name,
        "supercategory": "vertebra",
        "keypoints": list(CORNERS),
        "skeleton": SKELETON,
    }


def _annotation(vertebra: Vertebra) -> dict[str, Any]:
    points = [(*vertebra.corners[c], VISIBLE) if c in vertebra.corners else (0, 0, LEFT_OUT) for c in CORNERS]
    outline = np.array(list(vertebra.corners.values()) or [(0.0, 0.0)]) + 0.5
    corner, sides = outline.min(axis=0), np.ptp(outline, axis=0)
    found: dict[str, Any] = {
        "keypoints": [value for point in points for value in point],
        "num_keypoints": len(vertebra.corners),
        "bbox": [float(v) for v in (*corner, *sides)],
        "area": float(sides[0] * sides[1]),
        "iscrowd": 0,
    }
    if vertebra.confidence:
        found["keypoint_scores"] = [vertebra.confidence.get(corner, 0.0) for corner in CORNERS]
    return found
