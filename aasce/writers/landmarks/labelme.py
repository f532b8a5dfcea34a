"""LabelMe: one file a film, each vertebra a polygon of its four corners with the level as label.

Lay the files beside the films: LabelMe looks for a film where its file is. Its plane begins at the outer corner of the
first pixel, so that 0.5 is added to px of the film. A corner's confidence has no place in the format.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aasce.ensemble.combine import Measurement
from aasce.files import file_name, write_text
from aasce.geometry.spine import RING
from aasce.readers.landmarks.labelme import CENTRE
from aasce.types import CORNERS, FilmFacts
from aasce.writers.landmarks.corner_points import Vertebra, film_keys, source_name, vertebrae_of
from aasce.writers.records import pretty

VERSION = "5.5.0"
"""Of LabelMe, whose format this is."""


def write(folder: Path, rows: Sequence[tuple[FilmFacts, Measurement]]) -> None:
    """Writes labelme/<film>.json for each film; one without landmarks has no shapes, to draw them in.

    Raises:
        AasceError: a file cannot be written.
    """
    for facts, measurement in rows:
        write_text(
            folder / "labelme" / file_name(facts.film_id, ".json"), pretty(labelme_of(facts, measurement))
        )


def labelme_of(facts: FilmFacts, measurement: Measurement) -> dict[str, Any]:
    """The content of one film's file; the keys after `imageWidth` are the kit's, and LabelMe keeps them."""
    height, width = facts.size
    return {
        "version": VERSION,
        "flags": {},
        "shapes": [_polygon(vertebra) for vertebra in vertebrae_of(measurement)],
        "imagePath": source_name(facts),
        "imageData": None,
        "imageHeight": height,
        "imageWidth": width,
        **film_keys(facts),
    }


def _polygon(vertebra: Vertebra) -> dict[str, Any]:
    ring = [vertebra.corners[CORNERS[k]] for k in RING if CORNERS[k] in vertebra.corners]
    return {
        "label": vertebra.level,
        "points": [[x + CENTRE, y + CENTRE] for x, y in ring],
        "group_id": None,
        "description": "",
        "shape_type": "polygon",
        "flags": {},
        "mask": None,
    }
