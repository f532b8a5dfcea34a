"""Gradient descent from a likely spine to the one on the film, coarse to fine."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from aasce.phantom.curves import draw_spine
from aasce.phantom.pose import LEVELS
from aasce.phantom.statistics import scan_statistics
from aasce.preprocess.intensity import clahe, to_uint8
from aasce.solvers.inverse_render.model import FILM_MM, SpineModel, camera, landmarks, render
from aasce.solvers.inverse_render.settings import InverseRenderConfig, PriorSettings, Stage
from aasce.types import Array
from aasce.xray.similarity import multiscale_gradient_correlation

MEAN_COLUMN_MM = 440.0
"""From T1 to L5 of the mean adult, as `SpineModel.size` 0 shows it."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """A fitted spine and how well its X-ray agrees with the film, -1 to 1."""

    model: SpineModel
    agreement: float


def film_at(pixels: Array, rows: int, blur: float) -> Tensor:
    """(rows, W) float32 of a film, local contrast evened out, standardised and smoothed."""
    height, width = pixels.shape
    small = cv2.resize(
        to_uint8(pixels), (max(8, round(rows * width / height)), rows), interpolation=cv2.INTER_AREA
    )
    even = np.asarray(clahe(np.asarray(small, np.uint8), clip=2.0, tiles=8), np.float32)
    even = (even - even.mean()) / (even.std() + 1e-6)
    return torch.from_numpy(_smooth(even, blur))


def _smooth(image: Array, blur: float) -> Array:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), blur) if blur > 0 else image, np.float32)


def region(bone: Tensor, margin: float) -> Tensor:
    """(H, W) weights: 1 on the projected spine and `margin` px around it, soft at the border."""
    on = (bone.detach().numpy() > 1.0).astype(np.uint8)
    reach = 2 * round(margin) + 1
    grown = cv2.dilate(on, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
    return torch.from_numpy(_smooth(grown.astype(np.float32), margin / 3))


def agreement(model: SpineModel, film: Tensor, size: tuple[int, int], margin: float) -> Tensor:
    """Normalised gradient correlation of the film and the rendered bone near the spine."""
    seen = camera(film.shape[0], size)
    bone = render(model, seen)
    weight = region(bone, margin * film.shape[0] / 512)
    return multiscale_gradient_correlation(bone, film, 2, weight)


def penalty(
    model: SpineModel, prior: PriorSettings, start: SpineModel | None, size: tuple[int, int]
) -> Tensor:
    """How unlikely the spine is, see `PriorSettings`."""
    bend = model.tilt[2:] - 2 * model.tilt[1:-1] + model.tilt[:-2]
    total = prior.bend * bend.square().mean() + prior.tilt * (model.tilt * 4 / 20).square().mean()
    total = total + prior.spacing * (model.step.square().mean() + model.wide.square().mean())
    total = total + prior.axial * model.turn.square().mean()
    if start is not None and prior.start > 0:
        seen = camera(512, size)
        goal = landmarks(start, seen).detach()
        width = (goal[:, 1] - goal[:, 0]).norm(dim=-1).mean()
        off = (landmarks(model, seen) - goal) / (0.1 * width)
        total = total + prior.start * off.square().mean()
    return total


def descend(
    model: SpineModel,
    pixels: Array,
    stage: Stage,
    config: InverseRenderConfig,
    start: SpineModel | None = None,
) -> Fitted:
    """One stage of the fit from a model; the best model that it passed."""
    film = film_at(pixels, stage.rows, stage.blur)
    size = (int(pixels.shape[0]), int(pixels.shape[1]))
    current = model.copy(gradient=True)
    optimiser = torch.optim.Adam(current.tensors(), lr=stage.rate, betas=(0.8, 0.95))
    best, lowest, found = model.copy(), float("inf"), -1.0
    for step in range(stage.steps + 1):
        optimiser.zero_grad()
        alike = agreement(current, film, size, config.margin)
        loss = penalty(current, config.prior, start, size) - alike
        if float(loss.detach()) < lowest:
            best, lowest, found = current.copy(), float(loss.detach()), float(alike.detach())
        if step == stage.steps:
            break
        loss.backward()  # type: ignore[no-untyped-call]
        for group in optimiser.param_groups:
            group["lr"] = stage.rate * (1 - 0.8 * step / max(1, stage.steps))
        optimiser.step()
    return Fitted(best, found)


def blind_starts(pixels: Array, config: InverseRenderConfig) -> list[Fitted]:
    """Likely spines where their X-rays agree best with the film's gradients, best first.

    Every spine is rendered once, brought to every size and slid over the whole film (normalised correlation of
    both gradients), which is a search over all sizes and places at the cost of a few template matches.
    """
    search = config.search
    film = film_at(pixels, search.rows, 1.0).numpy()
    largest = max(search.sizes)
    seen = camera(search.rows, (search.rows, search.rows))
    gradients = _gradients(film)
    found: list[Fitted] = []
    for spine in likely_spines(search.spines, config.seed):
        spine.size = _size_of(largest)
        with torch.no_grad():
            bone = render(spine, seen).numpy()
        for length in search.sizes:
            ratio = length / largest
            placed = _slide(bone, ratio, gradients)
            if placed is not None:
                model = spine.copy()
                model.size = _size_of(length)
                model.shift = torch.tensor(placed[1], dtype=torch.float32) * FILM_MM / search.rows / 10
                # By chance alone a spine of half the size, a quarter of the pixels, agrees twice as well.
                found.append(Fitted(model, placed[0] * ratio))
    found.sort(key=lambda fitted: -fitted.agreement)
    return _apart(found, search.kept)


def _size_of(length: float) -> Tensor:
    """`SpineModel.size` of a column T1 to L5 of this length, as a share of the film's height."""
    return torch.tensor([float(np.log(length * FILM_MM / MEAN_COLUMN_MM)) / 0.1])


def likely_spines(count: int, seed: int) -> list[SpineModel]:
    """A straight spine and drawn ones of every curve type, of all sides and severities."""
    rng = np.random.default_rng(seed)
    spines = [SpineModel.straight()]
    while len(spines) < count:
        record = draw_spine(rng, float(rng.uniform(10, 65)), irregular=0.0)
        spine = SpineModel.straight()
        spine.tilt = torch.tensor(record.coronal, dtype=torch.float32) / 4
        spines.append(spine)
    return spines


def _gradients(image: Array) -> tuple[Array, Array]:
    return (
        np.asarray(cv2.Sobel(image, cv2.CV_32F, 1, 0), np.float32),
        np.asarray(cv2.Sobel(image, cv2.CV_32F, 0, 1), np.float32),
    )


def _slide(
    bone: Array, ratio: float, gradients: tuple[Array, Array]
) -> tuple[float, tuple[float, float]] | None:
    """Best agreement over all places where the spine, brought to `ratio` of its size, lies within the film.

    Args:
        bone: (H, W) rendered with T12 in the middle.
        ratio: at most 1.
        gradients: of the film.

    Returns:
        The agreement, and how far T12 then lies from the film's middle: px to the left and up. None where the
        spine does not fit on the film.
    """
    rows, columns = np.nonzero(bone > 1.0)
    if len(rows) == 0:
        return None
    top, bottom = max(0, rows.min() - 3), min(bone.shape[0], rows.max() + 4)
    left, right = max(0, columns.min() - 3), min(bone.shape[1], columns.max() + 4)
    size = (max(4, round((right - left) * ratio)), max(4, round((bottom - top) * ratio)))
    film = gradients[0].shape
    if size[1] > film[0] or size[0] > film[1]:
        return None
    patch = np.asarray(
        cv2.resize(bone[top:bottom, left:right], size, interpolation=cv2.INTER_AREA), np.float32
    )
    near = np.asarray(cv2.dilate((patch > 1.0).astype(np.float32), np.ones((7, 7), np.uint8)))
    # Where the film is flat the library divides by zero.
    scores = [
        np.nan_to_num(
            cv2.matchTemplate(whole, part, cv2.TM_CCORR_NORMED, mask=near), nan=-1, posinf=-1, neginf=-1
        )
        for whole, part in zip(gradients, _gradients(patch), strict=True)
    ]
    score = np.mean(scores, axis=0)
    row, column = np.unravel_index(int(score.argmax()), score.shape)
    middle = np.array([(bone.shape[1] - 1) / 2 - left, (bone.shape[0] - 1) / 2 - top])
    x, y = (middle + 0.5) * size / (right - left, bottom - top) - 0.5 + (column, row)
    # On an AP film the patient's right (+x) lies left, and z runs up.
    return float(score[row, column]), ((film[1] - 1) / 2 - float(x), (film[0] - 1) / 2 - float(y))


def _apart(found: list[Fitted], count: int) -> list[Fitted]:
    """The first `count` that differ: in tilt by 4 degrees somewhere, in size or in place."""
    kept: list[Fitted] = []
    for one in found:
        if all(_distance(one.model, other.model) > 1 for other in kept):
            kept.append(one)
        if len(kept) == count:
            break
    return kept


def _distance(first: SpineModel, second: SpineModel) -> float:
    tilt = float((first.tilt - second.tilt).abs().max())
    place = float((first.shift - second.shift).abs().max()) / 2
    return max(tilt / 2, place, float((first.size - second.size).abs()))


def fit_blind(pixels: Array, config: InverseRenderConfig) -> Fitted | None:
    """The whole fit of a film nothing is known of: many starts, of which ever fewer go on; None without a start."""
    search = config.search
    fits = blind_starts(pixels, config)
    if not config.stages:
        return fits[0] if fits else None
    quick = config.stages[0].model_copy(update={"steps": search.explored})
    fits = _ranked([descend(one.model, pixels, quick, config) for one in fits])
    if search.moved and fits:
        beside = [moved_by(fits[0].model, levels) for levels in (-1, 1)]
        fits = _ranked([*fits, *(descend(one, pixels, quick, config) for one in beside)])
    for index, stage in enumerate(config.stages):
        left = search.finalists[index] if index < len(search.finalists) else 1
        fits = _ranked([descend(one.model, pixels, stage, config) for one in fits[:left]])
    return fits[0] if fits else None


def _ranked(fits: list[Fitted]) -> list[Fitted]:
    return sorted(fits, key=lambda fitted: -fitted.agreement)


def moved_by(model: SpineModel, levels: int) -> SpineModel:
    """The spine whose every vertebra stands where the one so many levels below it stood; tilts stay in place."""
    taken = (torch.arange(len(LEVELS)) + levels).clamp(0, len(LEVELS) - 1)
    moved = model.copy()
    moved.tilt, moved.turn = model.tilt[taken].clone(), model.turn[taken].clone()
    middle = LEVELS.index("T12")
    place = model.pose().centre[middle + levels] - moved.pose().centre[middle]
    moved.shift = model.shift + place[[0, 2]] / 10
    return moved


def model_of(corners: Array, size: tuple[int, int], first_level: int = 0) -> SpineModel:
    """The model whose vertebrae stand where another solver's landmarks are.

    Args:
        corners: (V, 4, 2) px of the film, from the top.
        size: (H, W) of the film.
        first_level: 0 when the first vertebra is T1.
    """
    mm = FILM_MM / size[0]
    centre = corners.mean(axis=1)
    across = (corners[:, 1] + corners[:, 3] - corners[:, 0] - corners[:, 2]) / 2
    # A vertebra that falls to the film's right by its own tilt leans to the patient's left on an AP film.
    tilt = -np.degrees(np.arctan2(across[:, 1], across[:, 0]))
    levels = np.arange(len(corners)) + LEVELS.index("T1") + first_level
    every = np.arange(len(LEVELS))
    model = SpineModel.straight()
    model.tilt = torch.tensor(np.interp(every, levels, tilt), dtype=torch.float32) / 4
    base = model.pose().centre.numpy()
    own = base[levels][:, [0, 2]]
    film = np.column_stack([(size[1] - 1) / 2 - centre[:, 0], (size[0] - 1) / 2 - centre[:, 1]]) * mm
    grown = np.linalg.norm(np.diff(film, axis=0), axis=1) / np.linalg.norm(np.diff(own, axis=0), axis=1)
    whole = float(np.exp(np.mean(np.log(grown))))
    model.size = torch.tensor([float(np.log(whole)) / 0.1])
    steps = np.zeros(len(LEVELS) - 1)
    real = scan_statistics()
    spread = (real.spacing_sd / real.spacing_mean)[levels[:-1]]
    steps[levels[:-1]] = np.clip(np.log(grown / whole) / spread, -3, 3)
    model.step = torch.tensor(steps, dtype=torch.float32)
    placed = model.pose().centre.numpy()[levels][:, [0, 2]]
    model.shift = torch.tensor((film - placed).mean(axis=0), dtype=torch.float32) / 10
    return model
