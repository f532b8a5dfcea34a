"""Labelled films as training samples: kept in memory, cropped to canvases, augmented."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import albumentations as A
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aasce.config import Settings
from aasce.datasets import FilmSet
from aasce.geometry.cobb import cobb_angles
from aasce.geometry.spine import order_vertebrae, repair_corners
from aasce.preprocess.augment import augment, intensity_pipeline, reseed
from aasce.preprocess.augment_angles import SpineWarp, WarpRanges
from aasce.preprocess.crop import Box, View, crop_view, letterbox
from aasce.preprocess.intensity import Bytes, clahe, equalize, standardize, to_uint8
from aasce.types import AasceError

Floats = NDArray[np.float64]

KEPT_HEIGHT = 640
"""Rows of a film kept in memory: a little more than the canvas has, so that thousands of films fit."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A labelled film, or the channels made from one, from which training samples are drawn.

    Attributes:
        pixels: (h, w, C) uint8; a film has one channel, see `cascade` for more.
        landmarks: (17, 4, 2) px of these pixels, from the top, corners in order.
        angles: (3,) degrees as labelled.
        view: film px to px of these pixels; of the mirrored film if the sample is mirrored; never a rotation.
        height: rows of the film; the challenge's rule depends on it.
    """

    pixels: Bytes
    landmarks: Floats
    angles: Floats
    view: View
    height: int

    @property
    def size(self) -> tuple[int, int]:
        """(h, w) of the pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]


@dataclass(frozen=True, slots=True)
class SampleSplit:
    """Samples to train on, and samples that choose the weights; `validation` is empty if there are none."""

    train: list[Sample]
    validation: list[Sample]


class Drawn(NamedTuple):
    """One augmented sample.

    Attributes:
        image: (H, W, C) or (H, W) uint8 canvas.
        landmarks: (17, 4, 2) px of the canvas.
        angles: (3,) degrees.
    """

    image: Bytes
    landmarks: Floats
    angles: Floats


def even_out(pixels: Bytes, intensity: str) -> Bytes:
    """Makes the grey values of different films alike.

    Args:
        pixels: (H, W) uint8.
        intensity: "equalize", "clahe", or "none" for no change.
    """
    if intensity == "equalize":
        return equalize(pixels)
    return clahe(pixels) if intensity == "clahe" else pixels


def shrunk(size: tuple[int, int], rows: int) -> View:
    """View of a whole film reduced to `rows` rows; films with fewer rows keep their size.

    Args:
        size: (H, W) of the film.
        rows: largest number of rows of the canvas.
    """
    return View.identity(size).scaled(min(1.0, rows / size[0]))


def load_split(train: FilmSet, validation: FilmSet | None, intensity: str) -> SampleSplit:
    """Reads training and validation films once, see `load_samples`."""
    held_out = [] if validation is None else load_samples(validation, intensity)
    return SampleSplit(load_samples(train, intensity), held_out)


def load_samples(films: FilmSet, intensity: str) -> list[Sample]:
    """Reads labelled films once, reduced to `KEPT_HEIGHT` rows.

    Args:
        films: all with landmarks and angles.
        intensity: see `even_out`.

    Raises:
        AasceError: a film has no landmarks or no angles.
    """
    samples = []
    for index, film in enumerate(films):
        if film.landmarks is None or film.angles is None:
            raise AasceError(f"{film.path}: has no landmarks; training takes labelled films only")
        radiograph = films.radiograph(index)
        view = shrunk(radiograph.size, KEPT_HEIGHT)
        pixels = np.asarray(view.render(even_out(to_uint8(radiograph.pixels), intensity)), np.uint8)
        landmarks = view.apply(repair_corners(order_vertebrae(film.landmarks)))
        samples.append(Sample(pixels[..., None], landmarks, film.angles, view, radiograph.height))
    return samples


def load_images(films: FilmSet | None) -> list[Bytes]:
    """Reads unlabelled films, reduced to `KEPT_HEIGHT` rows, grey values as they are; [] for None."""
    images = []
    for index in range(0 if films is None else len(films)):
        assert films is not None
        pixels = to_uint8(films.radiograph(index).pixels)
        images.append(np.asarray(shrunk(pixels.shape, KEPT_HEIGHT).render(pixels), np.uint8))
    return images


def canvas_of(pixels: Bytes, box: Box, size: tuple[int, int], intensity: str) -> tuple[Bytes, View]:
    """A rectangle of a film, evened out and letterboxed.

    Args:
        pixels: (H, W) uint8.
        box: x0, y0, x1, y1 px, the last two exclusive.
        size: (H, W) of the canvas.
        intensity: see `even_out`.

    Returns:
        The canvas, and the view from film to canvas.
    """
    x0, y0, x1, y1 = box
    part = even_out(np.ascontiguousarray(pixels[y0:y1, x0:x1]), intensity)
    inner = letterbox((y1 - y0, x1 - x0), size)
    return np.asarray(inner.render(part), np.uint8), crop_view(box).then(inner)


def random_trunk(size: tuple[int, int], rng: np.random.Generator) -> Box:
    """Random rows of a film of the whole body, about from the neck to the pelvis, as labelled films show them.

    Args:
        size: (H, W) of the film.
        rng: source of the draw.
    """
    top, bottom = rng.uniform(0, 0.22), rng.uniform(0.75, 1.0)
    return 0, int(top * size[0]), size[1], max(int(bottom * size[0]), int(top * size[0]) + 1)


def to_input(images: Bytes) -> Tensor:
    """(B, H, W) uint8 canvases to a (B, 1, H, W) float32 standardised tensor."""
    return torch.from_numpy(standardize(images))[:, None].contiguous(memory_format=torch.channels_last)


class AugmentSettings(Settings):
    """How samples differ from the films; see `aasce.preprocess.augment_angles.SpineWarp`.

    Attributes:
        zoom, rotation: the paper's 0.85 to 1.25 and 45 degrees, of which `turned` of the samples make use;
            the others lean by at most `lean`.
        far_zoom, far: spines that stand small, as on whole films; segmentation only.
        bend, exaggerate, bent: new curves, with angles measured anew.
        stretch: largest change of the ratio of height to width, likewise measured anew; 0 for none.
        mirror: share of mirrored samples.
        intensity: strength of the grey-value pipeline.
    """

    zoom: tuple[float, float] = (0.85, 1.25)
    rotation: float = 45.0
    turned: float = 0.1
    lean: float = 8.0
    far_zoom: tuple[float, float] = (0.4, 0.85)
    far: float = 0.2
    shift: float = 0.03
    bend: float = 10.0
    exaggerate: float = 0.4
    bent: float = 0.6
    stretch: float = 0.0
    mirror: float = 0.5
    intensity: float = 0.8


class Warper:
    """Moves samples onto a canvas by albumentations: mirrored, stretched, bent, rotated, scaled and shifted.

    Args:
        size: (H, W) of the canvas.
        settings: ranges and chances.
        far: share of samples on which the spine is small; its own argument because second networks see none.
    """

    def __init__(self, size: tuple[int, int], settings: AugmentSettings, far: float) -> None:
        a = settings
        ranges = WarpRanges(
            zoom=a.zoom, far_zoom=a.far_zoom, far=far, rotation=a.rotation, lean=a.lean, turned=a.turned,
            shift=a.shift, bend=a.bend, exaggerate=a.exaggerate, bent=a.bent, stretch=a.stretch,
        )  # fmt: skip
        self.warp = SpineWarp(size, ranges)
        self.pipeline = A.Compose(
            [A.HorizontalFlip(p=a.mirror), self.warp],
            keypoint_params=A.KeypointParams(format="xy", remove_invisible=False),
        )

    def draw(self, sample: Sample, rng: np.random.Generator) -> Drawn:
        """A moved sample with as many channels as the sample has.

        Rotation, isotropic scale, shift and mirror keep every angle between vertebrae, and labels are kept as given:
        the second and third angle of the challenge's rule also depend on the position of the curve on the film, and
        the film before it was moved decides. After a bend or a stretch the angles are measured on the bent film.
        """
        reseed(self.pipeline, rng)
        canvas, landmarks = augment(self.pipeline, sample.pixels, sample.landmarks)
        bent = self.warp.get_applied_params().get("bent")
        angles = sample.angles
        if bent is not None:
            angles = cobb_angles(sample.view.undo(bent), sample.height).degrees
        # cv2 drops a single channel.
        return Drawn(np.asarray(canvas, np.uint8).reshape(*canvas.shape[:2], -1), landmarks, angles)


class FilmSampler:
    """Augments films: moved by `Warper`, then other grey values."""

    def __init__(self, size: tuple[int, int], settings: AugmentSettings) -> None:
        self.warper = Warper(size, settings, settings.far)
        self.intensity = intensity_pipeline(settings.intensity)

    def draw(self, sample: Sample, rng: np.random.Generator) -> Drawn:
        """An augmented film, (H, W)."""
        drawn = self.warper.draw(sample, rng)
        reseed(self.intensity, rng)
        return drawn._replace(image=np.asarray(self.intensity(image=drawn.image[..., 0])["image"], np.uint8))


def plain_canvas(sample: Sample, size: tuple[int, int]) -> tuple[Bytes, Floats]:
    """A sample's film letterboxed to the canvas without augmentation, and its landmarks there."""
    view = letterbox(sample.size, size)
    return np.asarray(view.render(sample.pixels[..., 0]), np.uint8), view.apply(sample.landmarks)
