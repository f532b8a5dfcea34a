"""What the record of a rendered film says of it beyond the challenge's labels: the neck, and how large a pixel is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aasce.phantom.films import Framing
from aasce.phantom.spine.curves import SpineRecord
from aasce.phantom.spine.pose import LEVELS
from aasce.types import AasceError

Floats = NDArray[np.float64]

CENTRES: tuple[str, ...] = LEVELS[:-1]
"""C1 to L5: the levels whose centres a record gives."""


def record_of(film: Path) -> Path:
    """Where `aasce synth` writes the record of a film: truth/NAME.json beside data/."""
    return film.parents[1].parent / "truth" / f"{film.stem}.json"


def read_centres(film: Path) -> Floats | None:
    """(24, 2) px of the film: the projected middles of the bodies of C1 to L5; None for a film without a record.

    Args:
        film: path of a film in the layout of `aasce synth`.

    Raises:
        AasceError: the record is damaged.
    """
    record = _read(film)
    if record is None:
        return None
    framing, spine = record
    points = framing.camera().project(spine.pose().centre[: len(CENTRES)])
    return np.asarray(points.detach().cpu().numpy(), np.float64)


def read_pixel_mm(film: Path) -> float | None:
    """Mm in the plane of the spine that a px of a rendered film shows; None for a film without a record.

    Raises:
        AasceError: the record is damaged.
    """
    record = _read(film)
    if record is None:
        return None
    _, _, bottom, top = record[0].box
    return (top - bottom) / record[0].rows


def _read(film: Path) -> tuple[Framing, SpineRecord] | None:
    path = record_of(film) if len(film.parents) > 2 else film
    if path == film or not path.is_file():
        return None
    try:
        body: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        framing = Framing.model_validate_json(json.dumps(body["framing"]))
        return framing, SpineRecord.model_validate_json(json.dumps(body["person"]["spine"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AasceError(f"{path}: cannot be read ({type(error).__name__}); render the film again") from error
