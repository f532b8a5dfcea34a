"""`vertebra_field`: every pixel near a vertebra votes for its centre, its corners and its level.

A method of this kit. One network runs twice: on the whole film, to find the spine in any place and size, and on the
spine brought upright and to a fixed size, to measure it. Votes are gathered to candidates, and the column T1 to L5 is
chosen among them by dynamic programming over spacing, smoothness and the evidence of the levels
(`aasce.targets.field`). Votes are offsets as in Yi et al. 2020 (ISBI, vertebra-focused landmark detection), with
learned weights, and with errors of the corners that the network predicts for itself.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import nn

from aasce.datasets import FilmSet
from aasce.geometry.expectation import expected_angles
from aasce.geometry.spine import leaves_film, set_upright
from aasce.preprocess.intensity import is_blank
from aasce.solvers.base import (
    BLANK_FILM,
    SECOND_FLAG,
    UNCLEAR_CONFIDENCE,
    UNCLEAR_FLAG,
    FitReport,
    Localization,
    RunFolder,
    doubt_flags,
    failed,
    merged_flags,
)
from aasce.solvers.shared.autocrop import FILLED
from aasce.solvers.shared.checkpoint import NetworkSolver
from aasce.solvers.shared.confidence import confidence
from aasce.solvers.shared.orientation import FilmCache
from aasce.solvers.shared.trainer import Trainer, resolve_device, seeded
from aasce.solvers.vertebra_field.inference import Found, find_spine, first_pass, refined, whole_column
from aasce.solvers.vertebra_field.network import VertebraFieldNet
from aasce.solvers.vertebra_field.settings import VertebraFieldConfig, ViewSettings
from aasce.solvers.vertebra_field.task import FieldTask, Scorer
from aasce.targets.field import LEVELS, UNSURE
from aasce.types import CobbAngles, Radiograph, SpinePrediction

Floats = NDArray[np.float64]

CALIBRATION = (4.2, 0.46)
"""Offset and slope per degree of the confidence's rule before films that were not trained on set them."""

WHOLE = 85.0
"""Gain of a column above which the confidence grows no further: chosen among seven values on half of the 481 films, by
models not trained on them; on the other half the Brier score of the confidence falls from 0.117 to 0.111."""

UNCLEAR = 40.0
"""Gain of a column below which it may be no frontal spine: one in a hundred of these films, no film of the whole body;
rendered lateral films reach 37 at most."""

UNCLEAR_FIRST = 28.0
"""The same for the column of the first pass: 161 of these films and 82 films of the whole body reach 38 at least (by
models not trained on them, 480 of 481), 16 rendered lateral films 19 at most."""


UNSURE_CONFIDENCE = 0.75
"""Confidence below which the angles are called unsure: 31 of the 481 films by models not trained on them, with a mean
error of the three angles of 7.1 degrees, on films without a flag 3.2 (`tools.fit_intervals`). Chosen among nine values
on these films."""

SECOND = 15.0
"""Gain of a column beside the first pass's from which a film shows two spines. One spine leaves 0 beside it (78 films,
28 of them of the whole body); of 15 pairs of films side by side 14 leave 18 to 83, one 11."""


class VertebraFieldSolver(NetworkSolver):
    """See the module. Predicts landmarks; angles follow from them. Localizes films by its first pass alone."""

    name: ClassVar[str] = "vertebra_field"
    Config: ClassVar[type[VertebraFieldConfig]] = VertebraFieldConfig
    can_localize: ClassVar[bool] = True
    fast: ClassVar[bool] = True
    prior: ClassVar[tuple[float, float]] = CALIBRATION
    unsure_below: ClassVar[float] = UNSURE_CONFIDENCE

    def __init__(self, config: VertebraFieldConfig | None = None, device: str = "cpu") -> None:
        self.config = config or VertebraFieldConfig()
        self.learned = self.Learned()
        self.device = resolve_device(device)
        self.module = self._network(start=False)
        self._localizations: FilmCache[Localization] = FilmCache()

    def _network(self, start: bool) -> VertebraFieldNet:
        """The untrained network; `start` gives its encoder the weights that the settings ask for."""
        with seeded(self.config.seed):
            return VertebraFieldNet(self.config.network, self.config.loss, start).to(self.device).eval()

    def fit(self, train: FilmSet, validation: FilmSet | None, run: RunFolder) -> FitReport:
        """Trains on landmarks; weights are chosen by SMAPE on `validation`."""
        if not self.continues and self.config.network.encoder.asks_for_weights:
            self.module = self._network(start=True)
        single = self.config.views.model_copy(update={"passes": 1})
        find = functools.partial(_landmarks_of, views=single)
        scorer = Scorer(validation, find) if validation is not None and len(validation) else None
        task = FieldTask(self.config, self.module, train, scorer, run.data)
        settings = self.config.train.stage(self.continues)
        report = Trainer(task, settings, run, self.config.seed).fit()
        self.module.to(self.device).eval()
        notes = {} if report.best_score is None else {"validation_smape": report.best_score}
        return replace(report, notes=notes)

    def predict(self, films: Sequence[Radiograph]) -> list[SpinePrediction]:
        """Each film by itself, so that batching changes nothing."""
        return [self._predict_one(film) for film in films]

    def localize(self, film: Radiograph) -> Localization:
        """Orientation of a film and box of T1 to L5; a film is passed once.

        By the coarse pass alone, and on a film of the whole body, where that may be a level off, by a fine one too.
        """
        return self._localizations.get(film, self._localize)

    def _localize(self, film: Radiograph) -> Localization:
        found = first_pass(self.module, film, self.config.views)
        if found is None:
            return Localization(unclear=True)
        orientation = found.orientation
        unclear = found.column.gain < UNCLEAR_FIRST
        spine, rows = _spine_box(film, found)
        if not unclear and spine[3] - spine[1] < FILLED * rows:
            spine, _ = _spine_box(film, refined(self.module, film, found, self.config.views, passes=1))
        return Localization(orientation, unclear, None if unclear else spine, found.second >= SECOND)

    def _predict_one(self, film: Radiograph) -> SpinePrediction:
        if is_blank(film.pixels):
            return failed(film, self.name, BLANK_FILM)
        found = find_spine(self.module, film, self.config.views)
        if found is None:
            return failed(film, self.name, "no spine found on the film")
        return self._prediction(film, found)

    def _prediction(self, film: Radiograph, found: Found) -> SpinePrediction:
        column = found.column
        width = np.linalg.norm(column.corners[:, 1] - column.corners[:, 0], axis=1).clip(min=1)
        sure = 1 - np.exp(-0.1 * width[:, None] / np.maximum(column.spread, 1e-3))
        sure[column.mass == 0] = 0.0
        chance, flags = self._confidence(found), _flags(film, found)
        flags += doubt_flags(chance, self.unsure_below, flags)
        return SpinePrediction(
            film.film_id, film.size, landmarks=column.corners, landmark_confidence=sure,
            centerline=column.corners.mean(axis=1), angles=self._angles(film, found),
            orientation=found.orientation, confidence=chance,
            flags=merged_flags(film.flags, flags), solver=self.name, first_level=column.first,
        )  # fmt: skip

    def _angles(self, film: Radiograph, found: Found) -> CobbAngles | None:
        """Median angles under the uncertainty of the corners; None if the corners alone decide."""
        if self.config.corner_sd_share == 0:
            return None
        landmarks, (height, _) = set_upright(found.column.corners, film.size, found.orientation.turns)
        return expected_angles(landmarks, self.config.corner_sd_share * found.column.spread, height)

    def _confidence(self, found: Found) -> float:
        """Chance that the error of the major angle is within 5 degrees.

        By the logistic rule fitted to validation films, limited by the column's gain: the rule, which is fitted to
        films of the challenge alone, would trust lateral films.
        """
        chance = confidence(expected_tilt_error(found), self.learned.calibration or self.prior)
        chance = min(chance, UNCLEAR_CONFIDENCE) if found.second >= SECOND else chance
        return min(chance, max(found.column.gain, 0.0) / WHOLE)


def _landmarks_of(module: nn.Module, film: Radiograph, views: ViewSettings) -> Floats | None:
    found = find_spine(module, film, views, as_it_lies=True)
    return None if found is None else found.column.corners


def expected_tilt_error(found: Found) -> float:
    """Degrees: error of the tilts that the network predicts for itself, mean of the column."""
    column = found.column
    width = np.linalg.norm(column.corners[:, 1] - column.corners[:, 0], axis=1).clip(min=1)
    return float(np.degrees(np.mean(column.spread.mean(axis=1) / width)))


def _flags(film: Radiograph, found: Found) -> list[str]:
    column = found.column
    flags = [*found.orientation.flags]
    if column.gain < UNCLEAR:
        flags.append(UNCLEAR_FLAG)
    if found.second >= SECOND:
        flags.append(SECOND_FLAG)
    if len(column.corners) < LEVELS or (column.mass == 0).any():
        flags.append("vertebra_missing")
    if column.evidence < UNSURE:
        flags.append("levels_unsure")
    if leaves_film(column.corners, film.size):
        flags.append("curve_leaves_film")
    return flags


def _spine_box(film: Radiograph, found: Found) -> tuple[Floats, int]:
    """(x0, y0, x1, y1) around T1 to L5 on the film set upright, and its height, px."""
    turns = found.orientation.turns
    corners, (height, _) = set_upright(whole_column(found.column), film.size, turns)
    points = corners.reshape(-1, 2)
    return np.concatenate([points.min(axis=0), points.max(axis=0)]), height
