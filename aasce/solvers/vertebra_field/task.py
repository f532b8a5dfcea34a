"""Training samples of `vertebra_field`: films seen through random views, alone or inside a whole film."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from aasce.datasets import FilmSet, data_root, unlabelled_films
from aasce.geometry.spine import order_vertebrae, repair_corners
from aasce.preprocess.augment import intensity_pipeline, mirror_landmarks, reseed
from aasce.preprocess.crop import View, similarity, spine_view
from aasce.preprocess.intensity import Bytes, clahe, to_uint8
from aasce.scoring.metrics import film_smape
from aasce.solvers.shared.rendered import RenderedFilms
from aasce.solvers.vertebra_field.settings import BackgroundSettings, VertebraFieldConfig
from aasce.targets.field import LEVELS, encode_members
from aasce.types import Array, Radiograph

Floats = NDArray[np.float64]
Measure = Callable[[nn.Module, Radiograph], Floats | None]
KEPT_SPACING = 50.0
"""px between vertebra centres at which films wait in memory: finer than any canvas, small enough for 481."""

TRUNK = (0.17, 0.86)
"""Rows, as shares of its height, between which a whole film is covered by a pasted labelled film. A film of the
challenge is cropped just above T1 and below L5, which on whole films lie at 0.14-0.25 and 0.80-0.87."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A film ready for views: (H, W) uint8 pixels and (17, 4, 2) px landmarks, from the top, corners in order."""

    pixels: Bytes
    landmarks: Floats


def prepare_image(canvas: Bytes) -> Bytes:
    """What the network is shown, in training and after: local contrast evened out."""
    return clahe(canvas, clip=2.0, tiles=8)


def load_samples(films: FilmSet) -> list[Sample]:
    """Decodes labelled films once, at `KEPT_SPACING`, with vertebra and corner order repaired."""
    labelled = ((i, film.landmarks) for i, film in enumerate(films) if film.landmarks is not None)
    return [to_sample(films.radiograph(index), landmarks) for index, landmarks in labelled]


def to_sample(film: Radiograph, landmarks: Floats) -> Sample:
    """A film at `KEPT_SPACING` with its landmarks (17, 4, 2) px put in order."""
    landmarks = repair_corners(order_vertebrae(landmarks))
    pixels = to_uint8(film.pixels)
    steps = np.linalg.norm(np.diff(landmarks.mean(axis=1), axis=0), axis=1)
    scale = min(1.0, KEPT_SPACING / float(steps.mean()))
    height, width = pixels.shape
    size = (round(height * scale), round(width * scale))
    ratio = np.array([size[1] / width, size[0] / height])
    small = cv2.resize(pixels, (size[1], size[0]), interpolation=cv2.INTER_AREA)
    return Sample(np.asarray(small, np.uint8), (landmarks + 0.5) * ratio - 0.5)


def load_backgrounds(settings: BackgroundSettings | None, data: Path | None = None) -> list[Bytes]:
    """Whole films whose surroundings are pasted around labelled ones; the last ones of their folder by name.

    Args:
        settings: which films; None for no films.
        data: folder of the data set; None takes the one that AASCE_DATA names.
    """
    if settings is None:
        return []
    path = Path(settings.folder).expanduser()
    films = unlabelled_films(path if path.is_absolute() else data_root(data) / path)
    first = round(len(films) * (1 - settings.film_share))
    return [to_uint8(films.radiograph(i).pixels) for i in range(first, len(films))]


class SampleMaker:
    """Draws canvases; every draw depends only on the generator it is given."""

    def __init__(
        self, config: VertebraFieldConfig, samples: Sequence[Sample], backgrounds: Sequence[Bytes]
    ) -> None:
        self.config, self.backgrounds = config, backgrounds
        self.samples: Sequence[Sample] = samples
        self.intensity = intensity_pipeline(config.augment.intensity)

    def draw(self, index: int, fine: bool, rng: np.random.Generator) -> dict[str, Array]:
        """One sample: image (1, H, W) uint8, members (H/4, W/4) int8, corners (17, 4, 2) float32 canvas px."""
        sample = self.samples[index]
        view = self._fine_view(sample, rng) if fine else self._coarse_view(sample, rng)
        view = self._stretched(view, rng)
        image = self._film(sample, view, rng)
        landmarks = view.apply(sample.landmarks)
        if rng.random() < 0.5:
            image, landmarks = (
                np.ascontiguousarray(image[:, ::-1]),
                mirror_landmarks(landmarks, image.shape[1]),
            )
        reseed(self.intensity, rng)
        image = prepare_image(self.intensity(image=image)["image"])
        members = encode_members(landmarks, view.size)
        return {"image": image[None], "members": members, "corners": landmarks.astype(np.float32)}

    def _fine_view(self, sample: Sample, rng: np.random.Generator) -> View:
        a, v = self.config.augment, self.config.views
        upright = spine_view(sample.landmarks, v.fine, v.spacing * float(np.exp(rng.normal(0, a.scale))))
        return _shaken(upright, rng, a.rotation, a.shift)

    def _coarse_view(self, sample: Sample, rng: np.random.Generator) -> View:
        a, v = self.config.augment, self.config.views
        spacing = float(np.exp(rng.uniform(*np.log(a.coarse_spacing))))
        steps = np.linalg.norm(np.diff(sample.landmarks.mean(axis=1), axis=0), axis=1)
        scale = spacing / float(steps.mean())
        box = sample.landmarks.reshape(-1, 2)
        half = (box.max(axis=0) - box.min(axis=0)) * scale / 2
        room = np.maximum(np.array([v.coarse[1], v.coarse[0]]) / 2 - 0.9 * half, 8.0)
        middle = np.array([v.coarse[1], v.coarse[0]]) / 2 + rng.uniform(-1, 1, 2) * room
        centre = (box.max(axis=0) + box.min(axis=0)) / 2
        return similarity(centre, scale, rng.normal(0, a.rotation), v.coarse, middle)

    def _stretched(self, view: View, rng: np.random.Generator) -> View:
        """Stretches the canvas along x and slants it; landmarks follow, so labels stay true."""
        ratio, slant = (
            np.exp(rng.normal(0, self.config.augment.stretch)),
            rng.normal(0, self.config.augment.stretch / 2),
        )
        middle = (np.array([view.size[1], view.size[0]]) - 1) / 2
        linear = np.array([[ratio, 0.0], [slant, 1.0]])
        shift = linear @ (view.matrix[:, 2] - middle) + middle
        return View(np.column_stack([linear @ view.matrix[:, :2], shift]), view.size)

    def _film(self, sample: Sample, view: View, rng: np.random.Generator) -> Bytes:
        height, width = sample.pixels.shape
        settings = self.config.backgrounds
        if settings is None or not self.backgrounds or rng.random() > settings.sample_share:
            border = 0 if rng.random() < 0.7 else int(rng.integers(0, 200))
            return np.asarray(view.render(sample.pixels, border), np.uint8)
        behind = self.backgrounds[int(rng.integers(len(self.backgrounds)))]
        film = clahe(sample.pixels, float(rng.uniform(1.5, 5.0))) if rng.random() < 0.8 else sample.pixels
        front = view.render(film)
        sheet = np.full((height, width), 255, np.uint8)
        cover = _feathered(view.render(sheet), 4.0)
        rows = (TRUNK[1] - TRUNK[0]) * behind.shape[0] * float(np.exp(rng.normal(0, 0.04)))
        onto = np.array([behind.shape[1] / 2, sum(TRUNK) / 2 * behind.shape[0]])
        inner = (height / rows) * np.eye(2)
        place = np.column_stack([inner, np.array([width, height]) / 2 - inner @ onto])
        linear = view.matrix[:, :2] @ place[:, :2]
        around = View(
            np.column_stack([linear, view.matrix[:, :2] @ place[:, 2] + view.matrix[:, 2]]), view.size
        )
        back = _matched(around.render(behind), front, cover)
        return np.asarray(cover * front + (1 - cover) * back, np.float32).clip(0, 255).astype(np.uint8)


def _shaken(view: View, rng: np.random.Generator, rotation: float, shift: float) -> View:
    """Turns a view about the canvas's middle and shifts it."""
    middle = (np.array([view.size[1], view.size[0]]) - 1) / 2
    turn = similarity(
        middle, 1.0, rng.normal(0, rotation), view.size, middle + rng.normal(0, shift, 2)
    ).matrix
    linear = turn[:, :2] @ view.matrix[:, :2]
    return View(np.column_stack([linear, turn[:, :2] @ view.matrix[:, 2] + turn[:, 2]]), view.size)


def _feathered(cover: Array, sigma: float) -> NDArray[np.float32]:
    """(H, W) in [0, 1]: 1 on the film, soft at its border, so that no cut shows the network where it is."""
    kernel = np.ones((5, 5), np.uint8)
    inner = cv2.erode(
        np.asarray(cover, np.uint8), kernel, iterations=2, borderType=cv2.BORDER_CONSTANT, borderValue=(255,)
    )
    return np.asarray(cv2.GaussianBlur(inner, (0, 0), sigma), np.float32) / 255.0


def _matched(back: Array, front: Array, cover: NDArray[np.float32]) -> NDArray[np.float32]:
    """The background with mean and spread brought near those of the film."""
    on, off = cover > 0.5, cover <= 0.5
    if on.sum() < 100 or off.sum() < 100:
        return np.asarray(back, np.float32)
    gain = float(np.clip((front[on].std() + 10) / (back[off].std() + 10), 0.6, 1.6))
    return np.asarray(
        (back - back[off].mean()) * gain + 0.5 * (front[on].mean() + back[off].mean()), np.float32
    )


class FieldTask:
    """`training.Task` of this solver."""

    def __init__(
        self,
        config: VertebraFieldConfig,
        module: nn.Module,
        train: FilmSet,
        score: Scorer | None,
        data: Path | None = None,
    ) -> None:
        self.config, self.module, self.score = config, module, score
        backgrounds = load_backgrounds(config.backgrounds, data)
        self.films = load_samples(train)
        self.rendered = RenderedFilms(config.rendered, config.seed) if config.rendered else None
        self.maker = SampleMaker(config, self.films, backgrounds)

    def steps(self) -> int:
        return max(1, (len(self.films) + self.config.rendered) // self.config.batch)

    def batches(self, epoch: int) -> Iterator[dict[str, Tensor]]:
        rng = np.random.default_rng((self.config.seed, epoch))
        if self.rendered is not None:
            new = [to_sample(film.radiograph, film.landmarks) for film in self.rendered.take(epoch)]
            self.maker.samples = [*self.films, *new]
        order = rng.permutation(len(self.maker.samples))
        order = np.resize(order, self.steps() * self.config.batch)
        for chosen in order.reshape(-1, self.config.batch):
            fine = bool(rng.random() < self.config.augment.fine_share)
            drawn = [self.maker.draw(int(i), fine, rng) for i in chosen]
            yield {key: torch.from_numpy(np.stack([d[key] for d in drawn])) for key in drawn[0]}

    def validate(self, module: nn.Module) -> dict[str, float]:
        return {} if self.score is None else self.score(module)


class Scorer:
    """Validation score: the challenge's SMAPE and the tilt error over films never trained on."""

    def __init__(self, films: FilmSet, measure: Measure) -> None:
        self.radiographs = [films.radiograph(i) for i in range(len(films))]
        self.truth = [film.landmarks for film in films]
        self.angles = np.array([film.angles for film in films], dtype=np.float64)
        self.measure = measure

    def __call__(self, module: nn.Module) -> dict[str, float]:
        from aasce.geometry.cobb import cobb_angles, tilts

        ratios, errors, missing = [], [], 0
        for film, truth, angles in zip(self.radiographs, self.truth, self.angles, strict=True):
            landmarks = self.measure(module, film)
            if landmarks is None or len(landmarks) != LEVELS or truth is None:
                missing += 1
                ratios.append(100.0)
                continue
            found = cobb_angles(landmarks, film.height).degrees
            ratios.append(float(film_smape(found[None], angles[None])[0]))
            errors.append(np.abs(tilts(landmarks) - tilts(repair_corners(order_vertebrae(truth)))).mean())
        tilt = float(np.mean(errors)) if errors else float("nan")
        return {"score": float(np.mean(ratios)), "tilt": tilt, "missing": float(missing)}
