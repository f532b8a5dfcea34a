"""Labelled films as training samples: kept in memory, cropped to canvases, augmented."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import albumentations as A
import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from aasce.config import Degrees, Range, Settings, Share
from aasce.datasets import FilmSet
from aasce.geometry.cobb import cobb_angles
from aasce.geometry.spine import order_vertebrae, repair_corners
from aasce.preprocess.augment import augment, intensity_pipeline, reseed
from aasce.preprocess.augment_angles import SpineWarp, WarpRanges
from aasce.preprocess.crop import Box, View, crop_view, letterbox
from aasce.preprocess.intensity import Bytes, clahe, equalize, standardize, to_uint8
from aasce.types import AasceError

Intensity = Literal["equalize", "clahe", "none"]
"""How films are evened out before anything else, see `even_out`."""

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


def even_out(pixels: Bytes, intensity: Intensity) -> Bytes:
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


def load_split(
    train: FilmSet, validation: FilmSet | None, intensity: Intensity, rows: int = KEPT_HEIGHT
) -> SampleSplit:
    """Reads training and validation films once, see `load_samples`."""
    held_out = [] if validation is None else load_samples(validation, intensity, rows)
    return SampleSplit(load_samples(train, intensity, rows), held_out)


def load_samples(films: FilmSet, intensity: Intensity, rows: int = KEPT_HEIGHT) -> list[Sample]:
    """Reads labelled films once, reduced in height.

    Args:
        films: all with landmarks and angles.
        intensity: see `even_out`.
        rows: to which higher films are reduced.

    Raises:
        AasceError: a film has no landmarks or no angles.
    """
    samples = []
    for index, film in enumerate(films):
        if film.landmarks is None or film.angles is None:
            raise AasceError(f"{film.path}: has no landmarks; training takes labelled films only")
        radiograph = films.radiograph(index)
        view = shrunk(radiograph.size, rows)
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


def canvas_of(pixels: Bytes, box: Box, size: tuple[int, int], intensity: Intensity) -> tuple[Bytes, View]:
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
        scale: least and largest, drawn log-uniformly; 1 is the letterboxed film.
        rotation: degrees, largest rotation of `rotation_share` of the samples; `small_rotation` is that of the others.
        small_scale: scale of `small_share` of the samples, on which the spine is small as on a film of the whole body;
            only networks that find the spine see them.
        shift: standard deviation, as a share of the canvas.
        bend: degrees, spread of the rotations by which `bend_share` of the samples are bent. A bend makes a new curve,
            whose angles are measured anew.
        exaggerate: how much stronger or flatter a bend makes the spine's own curve, as a share of it.
        stretch: largest change of the ratio of height to width, with angles measured anew; 0 for none.
        mirror_share: share of mirrored samples.
        intensity: strength of the grey-value pipeline.
    """

    scale: Range = (0.85, 1.25)
    rotation: Degrees = 45.0
    rotation_share: Share = 0.1
    small_rotation: Degrees = 8.0
    small_scale: Range = (0.4, 0.85)
    small_share: Share = 0.2
    shift: Share = 0.03
    bend: Degrees = 10.0
    bend_share: Share = 0.6
    exaggerate: Share = 0.4
    stretch: Share = 0.0
    mirror_share: Share = 0.5
    intensity: float = Field(default=0.8, ge=0, le=5)


class Warper:
    """Moves samples onto a canvas by albumentations: mirrored, stretched, bent, rotated, scaled and shifted.

    Args:
        size: (H, W) of the canvas.
        settings: ranges and shares.
        small: whether some samples show the spine small; second networks see none of them.
    """

    def __init__(self, size: tuple[int, int], settings: AugmentSettings, small: bool) -> None:
        a = settings
        ranges = WarpRanges(
            zoom=a.scale, far_zoom=a.small_scale, far=a.small_share if small else 0.0, rotation=a.rotation,
            lean=a.small_rotation, turned=a.rotation_share, shift=a.shift, bend=a.bend, exaggerate=a.exaggerate,
            bent=a.bend_share, stretch=a.stretch,
        )  # fmt: skip
        self.warp = SpineWarp(size, ranges)
        self.pipeline = A.Compose(
            [A.HorizontalFlip(p=a.mirror_share), self.warp],
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
        self.warper = Warper(size, settings, small=True)
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
