"""Rendered films of drawn persons with their ground truth, and a film set that renders on demand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from aasce.config import Settings
from aasce.datasets import FilmSet
from aasce.datasets.challenge import LabelledFilm
from aasce.phantom.person import Person, Phantom, build_person, draw_person
from aasce.phantom.spine.pose import LEVELS
from aasce.phantom.truth import FilmTruth, film_truth
from aasce.types import Array, Radiograph
from aasce.xray.camera import Camera, ConeBeam, SlotScanner
from aasce.xray.film import FilmAppearance, develop, draw_appearance
from aasce.xray.raster import material_maps
from aasce.xray.transmission import transmission, tungsten_spectrum

Frame = Literal["whole", "trunk"]

BEHIND_MM = 800.0
"""Distance from the spine to the film. The field of view is defined in the plane of the spine, so the distance does not
change the image; it is large enough for arms held forward to stay in front of the film."""


class Framing(Settings):
    """Positions of tube and film, and the part of the person that the film shows.

    Attributes:
        view: "AP" or "PA"; on a PA film the patient's left is on the left.
        scanner: True for a slot scanner, False for one exposure of a long film.
        box: field of view, mm in the person's frame: smallest and largest x, smallest and largest z.
        rows: height of the film in px.
        distance: mm from the focus to the spine.
        turn: degrees of pitch, roll and yaw by which the person is rotated in the beam.
        kilovolts: tube voltage.
        aluminium: filtration, mm.
    """

    view: Literal["AP", "PA"]
    scanner: bool
    box: tuple[float, float, float, float]
    rows: int
    distance: float
    turn: tuple[float, float, float]
    kilovolts: float
    aluminium: float

    def camera(self) -> Camera:
        """The camera of this film; its width follows from the box."""
        left, right, bottom, top = self.box
        size = (self.rows, max(1, round(self.rows * (right - left) / (top - bottom))))
        maker = SlotScanner if self.scanner else ConeBeam
        return maker(size, self.box, self.view, self.distance + BEHIND_MM, BEHIND_MM, 0.0, self.turn)


@dataclass(frozen=True, slots=True)
class RenderedFilm:
    """One rendered film.

    Attributes:
        pixels: (H, W) uint8, bone bright.
        truth: landmarks, angles and whatever else is known of the film.
        person, phantom, framing, appearance: what the film was rendered from.
    """

    pixels: Array
    truth: FilmTruth
    person: Person
    phantom: Phantom
    framing: Framing
    appearance: FilmAppearance


def draw_framing(
    rng: np.random.Generator, phantom: Phantom, rows: int, frame: Frame | None = None
) -> Framing:
    """Draws the framing of a film: from head to hips ("whole") or the trunk alone ("trunk"), as in the challenge.

    Args:
        rng: source of every draw.
        phantom: the person.
        rows: height of the film in px.
        frame: "whole" or "trunk"; drawn with equal probability when None.
    """
    whole = frame == "whole" or (frame is None and rng.random() < 0.5)
    spine = phantom.pose.centre[LEVELS.index("T1") : LEVELS.index("S1")]
    top, bottom = float(spine[0, 2]), float(spine[-1, 2])
    length = top - bottom
    left, right = float(spine[:, 0].min()), float(spine[:, 0].max())
    if whole:
        above, below = rng.uniform(0.12, 0.6) * length, rng.uniform(0.12, 0.6) * length
        side = rng.uniform(0.26, 0.5) * length
    else:
        above, below = rng.uniform(0.04, 0.2) * length, rng.uniform(0.06, 0.22) * length
        side = rng.uniform(0.13, 0.36) * length
    middle = (left + right) / 2 + rng.normal(0, 0.02) * length
    half = max(side, (right - left) / 2 + 35.0)
    view: Literal["AP", "PA"] = "AP" if rng.random() < 0.5 else "PA"
    # In a PA film the spine is nearer to the tube by the thickness of the body in front of it.
    near, far = (1150.0, 1750.0) if view == "AP" else (1050.0, 1650.0)
    return Framing(
        view=view,
        scanner=bool(rng.random() < 0.4),
        box=(middle - half, middle + half, bottom - below, top + above),
        rows=rows,
        distance=float(rng.uniform(near, far)),
        turn=(float(rng.normal(0, 2.5)), float(rng.normal(0, 1.2)), float(rng.normal(0, 4))),
        kilovolts=float(rng.uniform(65, 110)),
        aluminium=float(rng.uniform(2.5, 5)),
    )


def expose(phantom: Phantom, camera: Camera, kilovolts: float, aluminium: float) -> torch.Tensor:
    """(H, W) primary intensity behind a phantom, relative to the open beam."""
    maps = material_maps(phantom.meshes, camera)
    return transmission(maps, tungsten_spectrum(kilovolts, aluminium))


def render_film(
    seed: int,
    rows: int = 1024,
    population: str = "patients",
    frame: Frame | None = None,
    cobb: float | None = None,
    curve: str | None = None,
) -> RenderedFilm:
    """Draws a person, a framing and an appearance from one seed, and renders the film.

    Args:
        seed: of every draw; on one machine the same seed gives the same film.
        rows: height of the film in px.
        population, cobb, curve: see `draw_person`.
        frame: see `draw_framing`.
    """
    person = draw_person(seed, population, cobb, curve)
    phantom = build_person(person)
    rng = np.random.default_rng((seed, 1))
    framing = draw_framing(rng, phantom, rows, frame)
    appearance = draw_appearance(rng, framing.view)
    camera = framing.camera()
    with torch.no_grad():
        intensity = expose(phantom, camera, framing.kilovolts, framing.aluminium)
        truth = film_truth(phantom.pose, phantom.points, camera)
    pitch = (framing.box[3] - framing.box[2]) / rows
    pixels = develop(intensity, appearance, rng, pitch)
    return RenderedFilm(pixels, truth, person, phantom, framing, appearance)


class RenderedFilms(FilmSet):
    """Films rendered on demand: film i is that of seed + i, the same each time, and is not stored.

    Labels need a person's meshes but no X-ray; they are computed once, when the set is created.
    """

    def __init__(self, count: int, seed: int = 0, rows: int = 1024, population: str = "patients") -> None:
        self.settings = (rows, population)
        self.seeds = range(seed, seed + count)
        super().__init__((rendered_label(s, rows, population) for s in self.seeds), "rendered", "official")

    def subset(self, indices: Iterable[int]) -> FilmSet:
        """The films at `indices`, also rendered on demand."""
        chosen = list(indices)
        part = object.__new__(RenderedFilms)
        FilmSet.__init__(part, (self[i] for i in chosen), self.name, self.labels)
        part.settings, part.seeds = self.settings, [self.seeds[i] for i in chosen]  # type: ignore[assignment]
        return part

    def radiograph(self, index: int) -> Radiograph:
        """Renders film `index`."""
        rows, population = self.settings
        film = render_film(self.seeds[index], rows, population)
        return Radiograph(self[index].film_id, film.pixels)


def rendered_label(seed: int, rows: int, population: str) -> LabelledFilm:
    """Labels of the film of a seed, without rendering it."""
    person = draw_person(seed, population)
    phantom = build_person(person, spine_only=True)
    framing = draw_framing(np.random.default_rng((seed, 1)), phantom, rows)
    truth = film_truth(phantom.pose, phantom.points, framing.camera())
    name = f"rendered-{seed:06d}"
    return LabelledFilm(name, Path(f"{name}.jpg"), name, truth.landmarks, truth.challenge.degrees)
