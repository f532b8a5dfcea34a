"""Gradient descent from a likely spine to the one on the film, coarse to fine."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from aasce.phantom.spine.pose import LEVELS
from aasce.phantom.spine.statistics import scan_statistics
from aasce.preprocess.intensity import clahe, to_uint8
from aasce.solvers.inverse_render.chain import best_chain, gradients_of
from aasce.solvers.inverse_render.model import FILM_MM, Fitted, SpineModel, camera, landmarks, render, size_of
from aasce.solvers.inverse_render.prior import LEANS, TILTS, TURNS, shapes
from aasce.solvers.inverse_render.settings import BlindStart, InverseRenderConfig, LandmarkStart, Stage
from aasce.solvers.inverse_render.slide import laid_spines
from aasce.types import Array
from aasce.xray.similarity import local_gradient_correlation

CROWDED = 0.15
"""Log ratio of a chain's size to the size that was searched, from which its vertebrae overlap."""


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


def agreement(model: SpineModel, film: Tensor, size: tuple[int, int], config: InverseRenderConfig) -> Tensor:
    """Normalised gradient correlation of the film and the rendered bone near the spine, window by window."""
    bone = render(model, camera(film.shape[0], size))
    weight = region(bone, config.margin * film.shape[0] / 512)
    window = max(3, round(config.window * film.shape[0]))
    return local_gradient_correlation(bone, film, window, 2, weight)


def penalty(
    model: SpineModel, config: InverseRenderConfig, start: SpineModel | None, size: tuple[int, int]
) -> Tensor:
    """Penalty of an unlikely spine, by the weights of the settings."""
    total = config.start.shape * model.shape.square().mean()
    total = total + config.spacing * (model.step.square().mean() + model.wide.square().mean())
    if start is not None and isinstance(config.start, LandmarkStart) and config.start.weight > 0:
        scanner = camera(512, size)
        goal = landmarks(start, scanner).detach()
        width = (goal[:, 1] - goal[:, 0]).norm(dim=-1).mean()
        off = (landmarks(model, scanner) - goal) / (0.1 * width)
        total = total + config.start.weight * off.square().mean()
    return total


def descend(
    model: SpineModel,
    pixels: Array,
    stage: Stage,
    config: InverseRenderConfig,
    start: SpineModel | None = None,
) -> Fitted:
    """One stage of the fit.

    Args:
        model: from which it starts.
        pixels: (H, W) of the film.
        stage: its settings.
        config: of the solver.
        start: the model of the localizer's landmarks, from which the fit is kept near; None for a blind fit.

    Returns:
        The best of its models.
    """
    film = film_at(pixels, stage.rows, stage.blur)
    size = (int(pixels.shape[0]), int(pixels.shape[1]))
    current = model.copy(gradient=True)
    optimiser = torch.optim.Adam(current.tensors(), lr=stage.rate, betas=(0.8, 0.95))
    best, lowest, found = model.copy(), float("inf"), -1.0
    for step in range(stage.steps + 1):
        optimiser.zero_grad()
        alike = agreement(current, film, size, config)
        loss = penalty(current, config, start, size) - alike
        if float(loss.detach()) < lowest:
            best, lowest, found = current.copy(), float(loss.detach()), float(alike.detach())
        if step == stage.steps:
            break
        loss.backward()  # type: ignore[no-untyped-call]
        for group in optimiser.param_groups:
            group["lr"] = stage.rate * (1 - 0.8 * step / max(1, stage.steps))
        optimiser.step()
    return Fitted(best, found)


def blind_starts(pixels: Array, search: BlindStart, seed: int) -> list[Fitted]:
    """The best chains of vertebrae of all sizes on a film, then the best whole spines.

    Their agreement is that of the search; those of chains and of whole spines cannot be compared.
    """
    film = film_at(pixels, search.rows, 1.0).numpy()
    gradients = gradients_of(film)
    found: list[Fitted] = []
    for length in search.sizes:
        chain = best_chain(gradients, length)
        if chain is None:
            continue
        model = model_of(chain.corners, film.shape, spaced=False)
        if abs(0.1 * float(model.size - size_of(length))) < CROWDED:
            # By chance alone a smaller spine, of fewer pixels, agrees better.
            found.append(Fitted(model, chain.score * length**0.5))
    small = gradients_of(film_at(pixels, search.laid_rows, 1.0).numpy())
    laid = laid_spines(small, search.sizes, search.spines, seed) if search.laid else []
    return [*_distinct(_ranked(found), search.kept), *_distinct(laid, search.laid)]


def _distinct(found: list[Fitted], count: int) -> list[Fitted]:
    """The first `count` that differ from each other in tilt, size or place."""
    kept: list[Fitted] = []
    for one in found:
        if len(kept) == count:
            break
        if all(_distance(one.model, other.model) > 1 for other in kept):
            kept.append(one)
    return kept


def _distance(first: SpineModel, second: SpineModel) -> float:
    tilt = float((first.coronal() - second.coronal()).abs().max()) / 4
    place = float((first.shift - second.shift).abs().max()) / 2
    return max(tilt / 2, place, float((first.size - second.size).abs()))


def fit_blind(pixels: Array, config: InverseRenderConfig) -> Fitted | None:
    """Fit without landmarks: from many starts, of which fewer go on after each stage; None without a start."""
    search = config.start
    assert isinstance(search, BlindStart)
    fits = blind_starts(pixels, search, config.seed)
    if not config.stages:
        return fits[0] if fits else None
    quick = config.stages[0].model_copy(update={"steps": search.explored})
    fits = _ranked([descend(one.model, pixels, quick, config) for one in fits])
    for index, stage in enumerate(config.stages):
        left = search.finalists[index] if index < len(search.finalists) else 1
        fits = _ranked([descend(one.model, pixels, stage, config) for one in fits[:left]])
        if index == min(search.stepped, len(config.stages) - 1):
            fits = stepped(fits, pixels, stage, config)
    return fits[0] if fits else None


def stepped(fits: list[Fitted], pixels: Array, stage: Stage, config: InverseRenderConfig) -> list[Fitted]:
    """Fits of a stage, and the best of them with an end moved by a vertebra, as long as that improves them.

    Neighbouring vertebrae are similar, and gradient descent cannot step over one.
    """
    search = config.start
    assert isinstance(search, BlindStart)
    quick = stage.model_copy(update={"steps": search.explored})
    for _ in range(search.rounds):
        tried = [
            descend(moved_by(one.model, top, bottom), pixels, quick, config)
            for one in _distinct(fits, search.moved)
            for top in (-1, 0, 1)
            for bottom in (-1, 0, 1)
            if (top, bottom) != (0, 0)
        ]
        best = _distinct(_ranked(tried), search.moved)
        found = [descend(one.model, pixels, stage, config) for one in best]
        helped = bool(found) and max(one.agreement for one in found) > fits[0].agreement
        fits = _ranked([*fits, *found])
        if not helped:
            break
    return fits


def _ranked(fits: list[Fitted]) -> list[Fitted]:
    return sorted(fits, key=lambda fitted: -fitted.agreement)


def moved_by(model: SpineModel, top: float, bottom: float) -> SpineModel:
    """A spine moved along itself.

    Args:
        model: the spine.
        top: levels below T1 of the vertebra to whose place T1 is moved.
        bottom: the same for L5.
    """
    first, last = LEVELS.index("T1"), LEVELS.index("L5")
    levels = np.arange(len(LEVELS))
    taken = np.clip(levels + np.interp(levels, [first, last], [top, bottom]), 0, len(LEVELS) - 1)

    def at(values: Tensor) -> Tensor:
        columns = np.atleast_2d(values.detach().numpy().T)
        moved = np.stack([np.interp(taken, levels, column) for column in columns], axis=-1)
        return torch.tensor(moved.squeeze(-1) if values.ndim == 1 else moved, dtype=torch.float32)

    moved = model.copy()
    angles = shapes().angles(model.shape)
    # Leans stay with their levels: kyphosis and lordosis do not move with the column.
    moved.shape = shapes().of_angles(torch.cat([at(angles[TILTS]), at(angles[TURNS]), angles[LEANS]]))
    shown = slice(first, last + 1)
    goal = at(model.pose().centre)[shown]
    grown = _steps(goal).log().mean() - _steps(moved.pose().centre[shown]).log().mean()
    moved.size = model.size + grown / 0.1
    place = (goal - moved.pose().centre[shown]).mean(dim=0)
    moved.shift = model.shift + place[[0, 2]] / 10
    return moved


def _steps(centres: Tensor) -> Tensor:
    lengths: Tensor = (centres[1:] - centres[:-1]).norm(dim=-1)
    return lengths


def model_of(corners: Array, size: tuple[int, ...], first_level: int = 0, spaced: bool = True) -> SpineModel:
    """The model whose vertebrae are at given landmarks.

    Args:
        corners: (V, 4, 2) px of the film, from the top.
        size: (H, W) of the film.
        first_level: 0 when the first vertebra is T1.
        spaced: takes the distances between the vertebrae, too; else they are those of the mean spine.
    """
    mm = FILM_MM / size[0]
    centre = corners.mean(axis=1)
    across = (corners[:, 1] + corners[:, 3] - corners[:, 0] - corners[:, 2]) / 2
    # A vertebra that falls to the film's right by its own tilt leans to the patient's left on an AP film.
    tilt = -np.degrees(np.arctan2(across[:, 1], across[:, 0]))
    levels = np.arange(len(corners)) + LEVELS.index("T1") + first_level
    model = SpineModel.straight()
    model.shape = shapes().of_tilts(tilt, levels)
    base = model.pose().centre.numpy()
    own = base[levels][:, [0, 2]]
    film = np.column_stack([(size[1] - 1) / 2 - centre[:, 0], (size[0] - 1) / 2 - centre[:, 1]]) * mm
    grown = np.linalg.norm(np.diff(film, axis=0), axis=1) / np.linalg.norm(np.diff(own, axis=0), axis=1)
    whole = float(np.exp(np.mean(np.log(grown))))
    model.size = torch.tensor([float(np.log(whole)) / 0.1])
    steps = np.zeros(len(LEVELS) - 1)
    real = scan_statistics()
    spread = (real.spacing_sd / real.spacing_mean)[levels[:-1]]
    if spaced:
        steps[levels[:-1]] = np.clip(np.log(grown / whole) / spread, -3, 3)
    model.step = torch.tensor(steps, dtype=torch.float32)
    placed = model.pose().centre.numpy()[levels][:, [0, 2]]
    model.shift = torch.tensor((film - placed).mean(axis=0), dtype=torch.float32) / 10
    return model
