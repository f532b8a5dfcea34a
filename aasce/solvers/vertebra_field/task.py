"""Training of `vertebra_field`: films under random views, as they are or placed into films of the whole body."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from aasce.datasets import FilmSet
from aasce.geometry.cobb import cobb_angles, tilt_error, tilts
from aasce.geometry.spine import order_vertebrae, repair_corners
from aasce.preprocess.augment import intensity_pipeline, mirror_landmarks, reseed
from aasce.preprocess.bend import random_bend
from aasce.preprocess.crop import View, linear_view, similarity, spine_view
from aasce.preprocess.intensity import Bytes, clahe
from aasce.scoring.metrics import film_smape
from aasce.solvers.shared.film_task import Batch, FilmTask
from aasce.solvers.shared.rendered import RenderedFilms
from aasce.solvers.vertebra_field.films import (
    FieldSample,
    field_sample,
    load_backgrounds,
    load_pools,
    load_samples,
    mixed_order,
)
from aasce.solvers.vertebra_field.network import NO_LEVEL
from aasce.solvers.vertebra_field.settings import TrustSettings, VertebraFieldConfig
from aasce.targets.field import LEVELS, encode_members, encode_taught
from aasce.types import Array, Radiograph

Floats = NDArray[np.float64]
FindLandmarks = Callable[[nn.Module, Radiograph], Floats | None]
"""A network's landmarks (V, 4, 2) px of a film; None if it finds no spine."""

TRUNK = (0.17, 0.86)
"""Rows of a film of the whole body, as shares of its height, that a labelled film placed into it covers. A film of the
challenge is cropped just above T1 and below L5, which lie at 0.14-0.25 and 0.80-0.87 on films of the whole body."""


FULL_TRUST = TrustSettings()
"""In the labels of the data set itself."""


def prepare_image(canvas: Bytes) -> Bytes:
    """The network's input, in training and after: a canvas (H, W) with local contrast evened out."""
    return clahe(canvas, clip=2.0, tiles=8)


class FieldSampler:
    """Draws training samples; each depends on the generator that it is given alone.

    Args:
        config: of the solver.
        samples: labelled films.
        backgrounds: films of the whole body, see `load_backgrounds`.
    """

    def __init__(
        self, config: VertebraFieldConfig, samples: Sequence[FieldSample], backgrounds: Sequence[Bytes]
    ) -> None:
        self.config, self.backgrounds = config, backgrounds
        self.samples: Sequence[FieldSample] = samples
        self.intensity = intensity_pipeline(config.augment.intensity)

    def draw(self, index: int, fine: bool, rng: np.random.Generator) -> dict[str, Array]:
        """One training sample.

        Args:
            index: of the film.
            fine: on the canvas of the fine passes, else on that of the coarse pass.
            rng: source of every draw.

        Returns:
            "image" (1, H, W) uint8 and what is known of it, see `network.Known`: "members" (H/4, W/4) int8, "corners"
            (V, 4, 2) float32 canvas px, "levels" (V,) int8, "trust" (V, 4) float32, "taught" (H/4, W/4) float32.
        """
        sample = self._implanted(self.samples[index], rng)
        view = self._fine_view(sample, rng) if fine else self._coarse_view(sample, rng)
        view = self._stretched(view, rng)
        image = self._rendered(sample, view, rng)
        image, landmarks = self._bent(image, view.apply(sample.landmarks), rng)
        if rng.random() < 0.5:
            image = np.ascontiguousarray(image[:, ::-1])
            landmarks = mirror_landmarks(landmarks, image.shape[1])
        reseed(self.intensity, rng)
        image = prepare_image(self.intensity(image=image)["image"])
        return {"image": image[None], **self._targets(sample, landmarks, view.size)}

    def _implanted(self, sample: FieldSample, rng: np.random.Generator) -> FieldSample:
        """The sample, with metal on its spine where the settings ask for it."""
        settings = self.config.augment.hardware
        if settings.share == 0 or rng.random() >= settings.share:  # without a share, `rng` stays as it is
            return sample
        from aasce.phantom.devices.on_film.hardware import with_hardware  # which training alone needs

        return replace(sample, pixels=with_hardware(sample.pixels, sample.landmarks, rng, settings.kinds))

    def _targets(self, sample: FieldSample, landmarks: Floats, size: tuple[int, int]) -> dict[str, Array]:
        """What the film's label teaches on the canvas."""
        trust = self._trust(sample)
        members, count = encode_members(landmarks, size), len(landmarks)
        taught = np.ones(members.shape, np.bool_)
        levels = np.arange(count, dtype=np.int8)
        factors = np.array([trust.votes, trust.corners, trust.tilt, trust.spread], np.float32)
        weights = np.tile(factors, (count, 1))
        if not sample.named:
            unnamed = self.config.sources.spinal_ai2024
            taught = encode_taught(landmarks, size, unnamed.ends, unnamed.margin)
            levels[:] = NO_LEVEL
            weights[: unnamed.ends] = weights[count - unnamed.ends :] = 0.0
        return {
            "members": members, "corners": landmarks.astype(np.float32), "levels": levels, "trust": weights,
            "taught": np.float32(trust.objectness) * taught,
        }  # fmt: skip

    def _trust(self, sample: FieldSample) -> TrustSettings:
        sources = self.config.sources
        if sample.source == "rendered":
            return sources.rendered.trust
        return sources.spinal_ai2024.trust if sample.source == "spinal_ai2024" else FULL_TRUST

    def _fine_view(self, sample: FieldSample, rng: np.random.Generator) -> View:
        """The spine upright, then rotated about the canvas's middle and shifted."""
        a, v = self.config.augment, self.config.views
        upright = spine_view(sample.landmarks, v.fine, v.spacing * float(np.exp(rng.normal(0, a.scale))))
        middle = _middle(v.fine)
        degrees, shift = rng.normal(0, a.rotation), rng.normal(0, a.shift, 2)
        return upright.then(similarity(middle, 1.0, degrees, v.fine, middle + shift))

    def _coarse_view(self, sample: FieldSample, rng: np.random.Generator) -> View:
        """The spine small, anywhere on the canvas."""
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
        """The canvas stretched along x and sheared; landmarks follow, so that labels stay true."""
        stretch = self.config.augment.stretch
        ratio, slant = np.exp(rng.normal(0, stretch)), rng.normal(0, stretch / 2)
        return view.then(linear_view(np.array([[ratio, 0.0], [slant, 1.0]]), _middle(view.size), view.size))

    def _bent(self, image: Bytes, landmarks: Floats, rng: np.random.Generator) -> tuple[Bytes, Floats]:
        """The canvas and its landmarks with another curve where the settings ask for it."""
        settings = self.config.augment.bend
        if settings.share == 0 or rng.random() >= settings.share:  # without a share, `rng` stays as it is
            return image, landmarks
        bend = random_bend(landmarks, (image.shape[0], image.shape[1]), settings.degrees, rng)
        return bend.render(image), bend.apply(landmarks)

    def _rendered(self, sample: FieldSample, view: View, rng: np.random.Generator) -> Bytes:
        """The film on the canvas, with a plain border or placed into a film of the whole body."""
        # An unnamed film shows neck and pelvis itself.
        settings = self.config.backgrounds if sample.named else None
        if settings is None or not self.backgrounds or rng.random() > settings.sample_share:
            border = 0 if rng.random() < 0.7 else int(rng.integers(0, 200))
            return np.asarray(view.render(sample.pixels, border), np.uint8)
        height, width = sample.pixels.shape
        behind = self.backgrounds[int(rng.integers(len(self.backgrounds)))]
        film = clahe(sample.pixels, float(rng.uniform(1.5, 5.0))) if rng.random() < 0.8 else sample.pixels
        front = view.render(film)
        cover = _feathered(view.render(np.full((height, width), 255, np.uint8)), 4.0)
        rows = (TRUNK[1] - TRUNK[0]) * behind.shape[0] * float(np.exp(rng.normal(0, 0.04)))
        onto = np.array([behind.shape[1] / 2, sum(TRUNK) / 2 * behind.shape[0]])
        middle = np.array([width, height]) / 2
        place = linear_view((height / rows) * np.eye(2), onto, (height, width), middle)
        back = _matched(place.then(view).render(behind), front, cover)
        return np.asarray(cover * front + (1 - cover) * back, np.float32).clip(0, 255).astype(np.uint8)


def _middle(canvas: tuple[int, int]) -> Floats:
    """(2,) px of the middle of an (H, W) canvas."""
    return (np.array([canvas[1], canvas[0]]) - 1) / 2


def _feathered(cover: Array, sigma: float) -> NDArray[np.float32]:
    """(H, W) in [0, 1]: 1 on the film, soft at its border, so that no edge shows the network where the film is."""
    kernel = np.ones((5, 5), np.uint8)
    inner = cv2.erode(
        np.asarray(cover, np.uint8), kernel, iterations=2, borderType=cv2.BORDER_CONSTANT, borderValue=(255,)
    )
    return np.asarray(cv2.GaussianBlur(inner, (0, 0), sigma), np.float32) / 255.0


def _matched(back: Array, front: Array, cover: NDArray[np.float32]) -> NDArray[np.float32]:
    """The background with mean and standard deviation brought near those of the film."""
    on, off = cover > 0.5, cover <= 0.5
    if on.sum() < 100 or off.sum() < 100:
        return np.asarray(back, np.float32)
    gain = float(np.clip((front[on].std() + 10) / (back[off].std() + 10), 0.6, 1.6))
    return np.asarray(
        (back - back[off].mean()) * gain + 0.5 * (front[on].mean() + back[off].mean()), np.float32
    )


PADDING = {"corners": -1e4, "levels": NO_LEVEL, "trust": 0.0}
"""What fills up a film with fewer vertebrae than others of its batch: far off, without a level, never taught."""


def _padded(values: Array, count: int, value: float) -> Array:
    """(V, ...) with further rows up to `count`."""
    more = np.full((count - len(values), *values.shape[1:]), value, values.dtype)
    return np.concatenate([values, more])


class FieldTask(FilmTask):
    """`trainer.Task` of this solver.

    Args:
        config: of the solver.
        module: the network.
        train: labelled films.
        score: of the validation films; None without any.
        data: folder of the data set; None takes the one that AASCE_DATA names.
    """

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
        self.labelled = load_samples(train)
        self.rendered = RenderedFilms(config.rendered, config.seed) if config.rendered else None
        self.pools = load_pools(config.sources, data)
        self.sampler = FieldSampler(config, self._samples([]), backgrounds)
        super().__init__(len(self.labelled) + config.rendered, config.batch, (config.seed,))

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Batches of an epoch: from the labelled films, those rendered for this epoch and the further sources."""
        if self.rendered is not None:
            new = self.rendered.take(epoch)
            self.sampler.samples = self._samples(
                [field_sample(film.radiograph, film.landmarks, "rendered") for film in new]
            )
        if not self.pools:
            yield from super().batches(epoch)
            return
        shares = [pool.share for pool in self.pools]
        films = [self.films, *(len(pool.samples) for pool in self.pools)]
        size = (self.steps(), self.batch)
        rng = np.random.default_rng((*self.stream, epoch, len(films)))
        for chosen in mixed_order(films, [1 - sum(shares), *shares], size, self.stream, epoch):
            yield self.draw_batch(chosen, rng)

    def _samples(self, rendered: list[FieldSample]) -> list[FieldSample]:
        """Those of the data set and of this epoch, then those of each further source."""
        return [*self.labelled, *rendered, *(sample for pool in self.pools for sample in pool.samples)]

    def draw_batch(self, chosen: Sequence[int], rng: np.random.Generator) -> Batch:
        """See `FieldSampler.draw`; all films of a batch are on the same canvas."""
        fine = bool(rng.random() < self.config.augment.fine_share)
        drawn = [self.sampler.draw(index, fine, rng) for index in chosen]
        count = max(len(d["corners"]) for d in drawn)
        drawn = [d | {key: _padded(d[key], count, value) for key, value in PADDING.items()} for d in drawn]
        return {key: torch.from_numpy(np.stack([d[key] for d in drawn])) for key in drawn[0]}

    def validate(self, module: nn.Module) -> dict[str, float]:
        """See `Scorer`."""
        return {} if self.score is None else self.score(module)


class Scorer:
    """Score of the validation films.

    Args:
        films: labelled, not trained on.
        find: the network's landmarks of a film.
    """

    def __init__(self, films: FilmSet, find: FindLandmarks) -> None:
        self.radiographs = [films.radiograph(i) for i in range(len(films))]
        self.truth = [film.landmarks for film in films]
        self.angles = np.array([film.angles for film in films], dtype=np.float64)
        self.find = find

    def __call__(self, module: nn.Module) -> dict[str, float]:
        """The challenge's SMAPE as "score", the mean error of the tilts in degrees, and the number of failed films."""
        ratios, errors, missing = [], [], 0
        for film, truth, angles in zip(self.radiographs, self.truth, self.angles, strict=True):
            landmarks = self.find(module, film)
            if landmarks is None or len(landmarks) != LEVELS or truth is None:
                missing += 1
                ratios.append(100.0)
                continue
            found = cobb_angles(landmarks, film.height).degrees
            ratios.append(float(film_smape(found[None], angles[None])[0]))
            errors.append(tilt_error(tilts(landmarks), repair_corners(order_vertebrae(truth))))
        tilt = float(np.mean(errors)) if errors else float("nan")
        return {"score": float(np.mean(ratios)), "tilt": tilt, "missing": float(missing)}
