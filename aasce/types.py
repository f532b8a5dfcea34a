"""What flows through the kit: a film, a prediction, the angles.

Pixel frame, everywhere: x to the right, y down, the centre of the first pixel at (0, 0), always of the film
as read. A solver that crops or rescales undoes both before it answers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
Definition: TypeAlias = Literal["challenge", "clinical"]

VERTEBRAE: tuple[str, ...] = (*(f"T{i}" for i in range(1, 13)), *(f"L{i}" for i in range(1, 6)))
"""The 17 levels of the challenge, from the top: T1 to T12, L1 to L5."""

CORNERS: tuple[str, ...] = ("TL", "TR", "BL", "BR")
"""Order of the four corners of a vertebra: left and right are those of the film, not of the patient."""


@dataclass(frozen=True, slots=True)
class Orientation:
    """How a film lay when it was read.

    Attributes:
        turns: clockwise quarter turns that set it upright, 0 to 3.
        negative: whether it shows bone dark.
    """

    turns: int = 0
    negative: bool = False

    @property
    def flags(self) -> tuple[str, ...]:
        """What a reader must know of it."""
        turned = TURNED_FLAGS.get(self.turns)
        return (*((turned,) if turned else ()), *((NEGATIVE_FLAG,) if self.negative else ()))


NEGATIVE_FLAG = "film_negative"
TURNED_FLAGS = {1: "film_on_its_side", 2: "film_upside_down", 3: "film_on_its_side"}
"""Clockwise quarter turns that set a film upright to the flag that says so."""


Side: TypeAlias = Literal["left", "right"]


@dataclass(frozen=True, slots=True)
class FilmFacts:
    """What is known of a film besides its pixels, kept when the pixels are gone.

    Attributes:
        film_id: that of the film.
        path: the file it came from, None for a film made in memory.
        frame: number of the frame in a file of several, from 1; None where the file is the film.
        size: (H, W) px.
        spacing: (row, column) mm, None where unknown.
        spacing_source: see `Radiograph`.
        patient_left: see `Radiograph`.
        patient_left_source: see `Radiograph`.
    """

    film_id: str
    path: Path | None
    frame: int | None
    size: tuple[int, int]
    spacing: tuple[float, float] | None
    spacing_source: str | None
    patient_left: Side | None
    patient_left_source: str | None


@dataclass(frozen=True, slots=True)
class Radiograph:
    """One film as read.

    Attributes:
        film_id: the file's name without its extension; unique within one call.
        pixels: (H, W) uint8 or uint16, grey, dense tissue (bone) bright.
        path: the file it came from, None for a film made in memory.
        spacing: (row, column) size of a pixel in mm, None when the file does not say.
        spacing_source: the tag or header the spacing came from ("PixelSpacing", ...), None without spacing.
        flags: what a reader must know about the film itself ("anisotropic_pixels_corrected", ...).
        frame: number of the frame in a file of several, from 1; None where the file is the film.
        patient_left: side of the film as read on which the patient's left lies, None when the file does not say.
        patient_left_source: what says so ("PatientOrientation", "marker", ...), None without it.
    """

    film_id: str
    pixels: Array
    path: Path | None = None
    spacing: tuple[float, float] | None = None
    spacing_source: str | None = None
    flags: tuple[str, ...] = ()
    frame: int | None = None
    patient_left: Side | None = None
    patient_left_source: str | None = None

    @property
    def facts(self) -> FilmFacts:
        """All but the pixels and the flags."""
        return FilmFacts(
            self.film_id, self.path, self.frame, self.size, self.spacing, self.spacing_source,
            self.patient_left, self.patient_left_source,
        )  # fmt: skip

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def size(self) -> tuple[int, int]:
        """(H, W)."""
        return self.height, self.width


@dataclass(frozen=True, slots=True)
class CobbAngles:
    """Three Cobb angles of one film and the vertebrae they were measured between.

    Attributes:
        degrees: (3,) float64, an1 (major), an2, an3.
        definition: the rule that made them, see `aasce.geometry.cobb`.
        end_vertebrae: for each angle the 0-based indices (upper, lower), None where an angle was regressed
            without landmarks.
        apices: for each angle the index of the vertebra farthest from the line through the two end vertebrae, None
            where the ends are unknown; `aasce.geometry.description` looks at discs too.
        regions: for each angle "PT", "MT" or "TL/L", "" where unknown: the challenge's names of the curves by their
            order on the spine. A clinician names a curve by its apex, as `aasce.geometry.description` does.
        shape: "C" or "S" as the challenge's rule has it, None under other definitions.
    """

    degrees: Array
    definition: Definition
    end_vertebrae: tuple[tuple[int, int] | None, ...] = (None, None, None)
    apices: tuple[int | None, ...] = (None, None, None)
    regions: tuple[str, ...] = ("", "", "")
    shape: Literal["C", "S"] | None = None


@dataclass(frozen=True, slots=True)
class SpinePrediction:
    """What a solver says of one film.

    Attributes:
        film_id: that of the film.
        size: (H, W) of the film as read.
        landmarks: (V, 4, 2) float64 px, corners TL, TR, BL, BR, vertebrae from the top; V is 17 unless the
            film shows fewer. Top and left are those of the film set upright (`orientation`); the px stay those of
            the film as read.
        landmark_confidence: (V, 4) in [0, 1].
        centerline: (N, 2) px, from the top.
        mask: (H, W) uint8, 1 on vertebrae.
        angles: set only by a solver that regresses angles directly.
        orientation: how the film lay; nothing after the solver works it out again.
        confidence: [0, 1], calibrated: the chance that the major angle is within 5 degrees.
        flags: every flag of the film and of the solver, once each: "vertebra_missing", "curve_leaves_film", ...
        solver: name of the method.
        failure: a reason, or None. A failed film stays in every table.
        first_level: index into `VERTEBRAE` of the uppermost vertebra in `landmarks`.
    """

    film_id: str
    size: tuple[int, int]
    landmarks: Array | None = None
    landmark_confidence: Array | None = None
    centerline: Array | None = None
    mask: Array | None = None
    angles: CobbAngles | None = None
    orientation: Orientation = Orientation()
    confidence: float = 0.0
    flags: tuple[str, ...] = ()
    solver: str = ""
    failure: str | None = None
    first_level: int = field(default=0)


class AasceError(Exception):
    """A mistake of the user's, in one line that names the file and the remedy (exit code 2)."""


def as_float(points: Array) -> NDArray[np.float64]:
    """Copies integer label coordinates to float64, so that no subtraction wraps around (labels are uint16)."""
    return np.asarray(points, dtype=np.float64)
