"""3D Slicer: one file of markups a film, each corner a control point labelled with level and corner ("T1 TL").

Positions are LPS in mm, where Slicer shows the film's pixels: `placing_of` says how that follows from the film's file.
What is known of the film stands as JSON in the description of each point, because Slicer keeps a point's description
when it saves a file, and drops what it does not know.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aasce.ensemble.combine import Measurement
from aasce.files import file_name, write_text
from aasce.readers.landmarks.slicer import SUFFIX
from aasce.types import FilmFacts
from aasce.writers.landmarks.corner_points import film_keys, source_name, vertebrae_of
from aasce.writers.landmarks.placing import Placing, placing_of
from aasce.writers.records import pretty

SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/"
    "Modules/Loadable/Markups/Resources/Schema/markups-schema-v1.0.3.json#"
)


def write(folder: Path, rows: Sequence[tuple[FilmFacts, Measurement]]) -> None:
    """Writes slicer/<film>.mrk.json for each film; one without landmarks has an empty list of points.

    Raises:
        AasceError: a file cannot be written.
    """
    for facts, measurement in rows:
        content = markups_of(facts, measurement, placing_of(facts))
        write_text(folder / "slicer" / file_name(facts.film_id, SUFFIX), pretty(content))


def markups_of(facts: FilmFacts, measurement: Measurement, placing: Placing) -> dict[str, Any]:
    """The content of one film's file."""
    about = {**film_keys(facts), "file": source_name(facts), "size": list(facts.size), **placing.to_json()}
    points: list[dict[str, Any]] = []
    for vertebra in vertebrae_of(measurement):
        for corner, (x, y) in vertebra.corners.items():
            confidence = vertebra.confidence.get(corner)
            described = about if confidence is None else {**about, "confidence": confidence}
            points.append(
                {
                    "id": str(len(points) + 1),
                    "label": f"{vertebra.level} {corner}",
                    "description": json.dumps(described),
                    "position": placing.position(x, y),
                    "selected": True,
                    "locked": False,
                    "visibility": True,
                    "positionStatus": "defined",
                }
            )
    markup = {
        "type": "Fiducial",
        "coordinateSystem": "LPS",
        "coordinateUnits": "mm",
        "locked": False,
        "labelFormat": "%N-%d",
        "controlPoints": points,
        "display": {"pointLabelsVisibility": True, "textScale": 1.5, "glyphType": "Cross2D"},
    }
    return {"@schema": SCHEMA, "film": json.dumps(about), "markups": [markup]}
