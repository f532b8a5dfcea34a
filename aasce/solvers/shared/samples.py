"""What the segmenting and regressing solvers are shown: films kept in memory, canvases, augmented samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

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
from aasce.preprocess.augment import augment, reseed
from aasce.preprocess.augment_angles import SpineWarp, WarpRanges
from aasce.preprocess.crop import View, letterbox
from aasce.preprocess.intensity import Bytes, clahe, equalize, standardize, to_uint8
from aasce.types import AasceError

Intensity = Literal["equalize", "clahe", "none"]
"""How films are evened out before anything else, see `even_out`."""

Floats = NDArray[np.float64]
Box = tuple[int, int, int, int]

KEPT_HEIGHT = 640
"""Rows at which films wait in memory: a little finer than the canvas, small enough for thousands of films."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A labelled picture to draw samples from.

    Attributes:
        pixels: (h, w, C) uint8, a film or a stack of film and mask probabilities.
        landmarks: (17, 4, 2) item px, from the top, corners in order.
        angles: (3,) degrees as labelled.
        view: film px to item px (of the mirrored film where the item is mirrored); never turned.
        height: rows of the film; the challenge's rule depends on it.
    """

    pixels: Bytes
    landmarks: Floats
    angles: Floats
    view: View
    height: int


def even_out(pixels: Bytes, intensity: Intensity) -> Bytes:
    """Grey values made alike from film to film, by the rule the settings name."""
    if intensity == "equalize":
        return equalize(pixels)
    return clahe(pixels) if intensity == "clahe" else pixels


def shrunk(size: tuple[int, int], rows: int) -> View:
    """View of a film, or of as much of it as a canvas of `rows` rows shows, at an isotropic scale below 1."""
    scale = min(1.0, rows / size[0])
    offset = (scale - 1) / 2  # pixel centres are integers
    canvas = (max(1, round(size[0] * scale)), max(1, round(size[1] * scale)))
    return View(np.array([[scale, 0.0, offset], [0.0, scale, offset]]), canvas)


def load_samples(films: FilmSet, intensity: Intensity) -> list[Sample]:
    """Decodes labelled films once.

    Raises:
        AasceError: a film has no landmarks or no angles.
    """
    items = []
    for index, film in enumerate(films):
        if film.landmarks is None or film.angles is None:
            raise AasceError(f"{film.path}: has no landmarks; training takes labelled films only")
        radiograph = films.radiograph(index)
        view = shrunk(radiograph.size, KEPT_HEIGHT)
        pixels = np.asarray(view.render(even_out(to_uint8(radiograph.pixels), intensity)), np.uint8)
        landmarks = view.apply(repair_corners(order_vertebrae(film.landmarks)))
        items.append(Sample(pixels[..., None], landmarks, film.angles, view, radiograph.height))
    return items


def load_images(films: FilmSet | None) -> list[Bytes]:
    """Unlabelled films at `KEPT_HEIGHT` rows, not yet evened out."""
    pictures = []
    for index in range(0 if films is None else len(films)):
        assert films is not None
        pixels = to_uint8(films.radiograph(index).pixels)
        pictures.append(np.asarray(shrunk(pixels.shape, KEPT_HEIGHT).render(pixels), np.uint8))
    return pictures


def canvas_of(pixels: Bytes, box: Box, size: tuple[int, int], intensity: Intensity) -> tuple[Bytes, View]:
    """A rectangle of a film, evened out and letterboxed.

    Args:
        pixels: (H, W) uint8.
        box: x0, y0, x1, y1 px, the last ones exclusive.
        size: (H, W) of the canvas.
        intensity: see `even_out`.

    Returns:
        The canvas, and the view from film to canvas.
    """
    x0, y0, x1, y1 = box
    part = even_out(np.ascontiguousarray(pixels[y0:y1, x0:x1]), intensity)
    inner = letterbox((y1 - y0, x1 - x0), size)
    shift = inner.matrix[:, 2] - inner.matrix[:, :2] @ np.array([x0, y0], dtype=np.float64)
    return np.asarray(inner.render(part), np.uint8), View(np.column_stack([inner.matrix[:, :2], shift]), size)


def random_box(size: tuple[int, int], rng: np.random.Generator) -> Box:
    """A random trunk of a whole film: target films shall differ from labelled ones in look, not in extent."""
    top, bottom = rng.uniform(0, 0.22), rng.uniform(0.75, 1.0)
    return 0, int(top * size[0]), size[1], max(int(bottom * size[0]), int(top * size[0]) + 1)


def to_input(image: Bytes) -> Tensor:
    """(B, H, W) uint8 canvases to a (B, 1, H, W) float32 standardised tensor."""
    return torch.from_numpy(standardize(image))[:, None].contiguous(memory_format=torch.channels_last)


class AugmentSettings(Settings):
    """How samples differ from the films; see `aasce.preprocess.augment_angles.SpineWarp`.

    Attributes:
        scale: least and largest, drawn log-uniformly; 1 is the letterboxed film.
        rotation: degrees, largest rotation of `rotation_share` of the samples; `small_rotation` is that of the others.
        small_scale: of `small_share` of the samples, on which the spine is small as on a film of the whole body;
            networks that find the spine alone see them.
        shift: standard deviation, as a share of the canvas.
        bend: degrees, spread of the turns by which `bend_share` of the samples are bent. A bend makes a new curve whose
            angles are measured anew.
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
    """Draws samples of films through albumentations: mirror, stretch, bend, turn, scale, shift.

    Args:
        size: (H, W) of the canvas.
        settings: what is drawn.
        small: whether some samples show the spine small.
    """

    def __init__(self, size: tuple[int, int], settings: AugmentSettings, small: bool) -> None:
        a = settings
        ranges = WarpRanges(
            zoom=a.scale,
            far_zoom=a.small_scale,
            far=a.small_share if small else 0.0,
            rotation=a.rotation,
            lean=a.small_rotation,
            turned=a.rotation_share,
            shift=a.shift,
            bend=a.bend,
            exaggerate=a.exaggerate,
            bent=a.bend_share,
            stretch=a.stretch,
        )
        self.warp = SpineWarp(size, ranges)
        self.pipeline = A.Compose(
            [A.HorizontalFlip(p=a.mirror_share), self.warp],
            keypoint_params=A.KeypointParams(format="xy", remove_invisible=False),
        )

    def draw(self, item: Sample, rng: np.random.Generator) -> tuple[Bytes, Floats, Floats]:
        """Canvas (H, W, C) uint8, its landmarks (17, 4, 2) px, and its angles (3,) degrees.

        Turn, isotropic scale, shift and mirror keep every angle between vertebrae, and labels are kept as given
        with them: the challenge's rule, whose second and third angle also depend on where the curve lies on the
        film, is that of the film before it was moved. After a bend or a stretch the angles are measured anew on
        that film.
        """
        reseed(self.pipeline, rng)
        canvas, landmarks = augment(self.pipeline, item.pixels, item.landmarks)
        bent = self.warp.get_applied_params().get("bent")
        angles = item.angles
        if bent is not None:
            angles = cobb_angles(item.view.undo(bent), item.height).degrees
        # cv2 drops a single channel.
        return np.asarray(canvas, np.uint8).reshape(*canvas.shape[:2], -1), landmarks, angles


def plain_canvas(item: Sample, size: tuple[int, int]) -> tuple[Bytes, Floats]:
    """A kept film letterboxed to the canvas, and its landmarks there."""
    view = letterbox((item.pixels.shape[0], item.pixels.shape[1]), size)
    return np.asarray(view.render(item.pixels[..., 0]), np.uint8), view.apply(item.landmarks)
