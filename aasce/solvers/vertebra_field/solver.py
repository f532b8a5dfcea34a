"""`vertebra_field`: every pixel near a vertebra votes for its centre, its corners and its level.

A method of this kit. One network looks twice: at the whole film, to find the spine wherever and however small
it stands, and at the spine brought upright to a fixed size, to measure it. Votes are gathered to candidates,
and the column T1..L5 is chosen among them by dynamic programming over spacing, smoothness and level evidence
(`aasce.targets.field`). Votes in the manner of Kendall's and of Yi's vertebra-focused offsets (Yi et al. 2020,
ISBI), with learned weights of the votes and corner errors the network expects of itself.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from torch import nn

from aasce.datasets import FilmSet
from aasce.geometry.expectation import expected_angles
from aasce.geometry.spine import quarter_turns, set_upright
from aasce.solvers.base import FitReport, RunFolder, read_manifest
from aasce.solvers.shared.checkpoint import load_solver, load_weights, save_solver
from aasce.solvers.shared.confidence import confidence
from aasce.solvers.shared.orientation import Standing
from aasce.solvers.shared.trainer import Trainer, TrainSettings, resolve_device, seed_everything
from aasce.solvers.vertebra_field.inference import Found, find_spine, first_look, whole_column
from aasce.solvers.vertebra_field.network import VertebraFieldNet
from aasce.solvers.vertebra_field.settings import NetworkSettings, VertebraFieldConfig, ViewSettings
from aasce.solvers.vertebra_field.task import FieldTask, Scorer
from aasce.targets.field import LEVELS, UNSURE
from aasce.types import CobbAngles, Radiograph, SpinePrediction

Floats = NDArray[np.float64]

CALIBRATION = (4.2, 0.46)
"""Offset and slope per degree of the confidence's rule while no film outside the training has set them."""

WHOLE = 85.0
"""Gain of a column to whose confidence nothing is added by more: chosen of seven on half of the 481 films, each by a
model that had not seen it; on the other half the Brier score of the confidence falls from 0.117 to 0.111."""

UNCLEAR = 40.0
"""Gain of a column below which it may be no frontal spine at all: one in a hundred of those films, none of the whole
ones; rendered lateral films come to 37 at most."""

UNSEEN = 28.0
"""The same of a first look's column: 161 of those films and the 82 whole ones come to 38 at least (unseen by their
models 480 of 481 come to it), 16 rendered lateral films to 19 at most."""


class VertebraFieldSolver:
    """See the module. Answers landmarks; angles follow from them."""

    name: ClassVar[str] = "vertebra_field"
    Config: ClassVar[type[VertebraFieldConfig]] = VertebraFieldConfig

    def __init__(self, config: VertebraFieldConfig | None = None, device: str = "cpu") -> None:
        self.config = config or VertebraFieldConfig()
        seed_everything(self.config.seed)
        self.module = VertebraFieldNet(self.config.network, self.config.loss).eval()
        self.device = resolve_device(device)
        self.module.to(self.device)
        self.manifest: dict[str, Any] = {}

    @classmethod
    def tiny(cls) -> VertebraFieldConfig:
        """A configuration that trains in seconds, for tests."""
        return VertebraFieldConfig(
            network=NetworkSettings(
                channels=(8, 16, 24, 32), layers=(1, 1, 1, 1), stem=8, pyramid=32, head=32
            ),
            views=ViewSettings(coarse=(256, 128), fine=(352, 160), spacing=18.0, passes=2),
            train=TrainSettings(epochs=2, validate_every=2, precision="32-true"),
            batch=2,
        )

    def start_from(self, folder: Path) -> None:
        """Takes the weights of another run to go on from."""
        read_manifest(folder, self.name)
        load_weights(self.module, folder)

    def fit(self, train: FilmSet, validation: FilmSet | None, run: RunFolder) -> FitReport:
        """Trains on landmarks; keeps the averaged weights with the lowest SMAPE on `validation`."""
        single = self.config.views.model_copy(update={"passes": 1})
        measure = functools.partial(_landmarks_of, views=single)
        scorer = Scorer(validation, measure) if validation is not None and len(validation) else None
        task = FieldTask(self.config, self.module, train, scorer)
        report = Trainer(task, self.config.train, run, self.config.seed).fit()
        self.module.to(self.device).eval()
        self.manifest |= {
            "epochs": report.epochs,
            "best_epoch": report.best_epoch,
            "validation_smape": report.best_score,
        }
        return report

    def predict(self, films: Sequence[Radiograph]) -> list[SpinePrediction]:
        """Looks at each film by itself, so that batching changes nothing."""
        return [self._one(film) for film in films]

    def standing(self, film: Radiograph) -> Standing:
        """How a film stands, by the first look alone."""
        found = first_look(self.module, film, self.config.views)
        if found is None:
            return Standing(unclear=True)
        column = found.column
        landmarks, _ = set_upright(whole_column(column), film.size)
        points = landmarks.reshape(-1, 2)
        spine = np.concatenate([points.min(axis=0), points.max(axis=0)])
        unclear = column.gain < UNSEEN
        return Standing(quarter_turns(column.corners), found.negative, unclear, None if unclear else spine)

    def _one(self, film: Radiograph) -> SpinePrediction:
        blank = functools.partial(SpinePrediction, film.film_id, film.size, solver=self.name)
        if float(np.std(film.pixels[::4, ::4])) < 1e-6:
            return blank(failure="the film is blank (one grey value)", flags=film.flags)
        found = find_spine(self.module, film, self.config.views)
        if found is None:
            return blank(failure="no spine found on the film", flags=film.flags)
        return self._answer(film, found)

    def _answer(self, film: Radiograph, found: Found) -> SpinePrediction:
        column = found.column
        width = np.linalg.norm(column.corners[:, 1] - column.corners[:, 0], axis=1).clip(min=1)
        sure = 1 - np.exp(-0.1 * width[:, None] / np.maximum(column.spread, 1e-3))
        sure[column.mass == 0] = 0.0
        return SpinePrediction(
            film.film_id, film.size, landmarks=column.corners, landmark_confidence=sure,
            centerline=column.corners.mean(axis=1), angles=self._angles(film, found),
            confidence=self._confidence(found),
            flags=(*film.flags, *_flags(film, found)), solver=self.name, first_level=column.first,
        )  # fmt: skip

    def _angles(self, film: Radiograph, found: Found) -> CobbAngles | None:
        """The challenge's angles to be expected of the corners' uncertainty; None leaves them to the corners."""
        if self.config.tilt_share == 0:
            return None
        landmarks, (height, _) = set_upright(found.column.corners, film.size)
        return expected_angles(landmarks, self.config.tilt_share * found.column.spread, height)

    def _confidence(self, found: Found) -> float:
        """Chance that the major angle is within 5 degrees: by the logistic rule fitted on validation films, and no more
        than the column is worth. The rule alone knows films of the challenge, and trusts a lateral film."""
        rule = self.manifest.get("calibration", CALIBRATION)
        chance = confidence(expected_tilt_error(found), (rule[0], rule[1]))
        return min(chance, max(found.column.gain, 0.0) / WHOLE)

    def save(self, folder: Path) -> None:
        """Settings, manifest, and weights: half precision but for norms and biases."""
        save_solver(self, folder)

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> Self:
        """Reads what `save` wrote."""
        return load_solver(cls, folder, device)


def _landmarks_of(module: nn.Module, film: Radiograph, views: ViewSettings) -> Floats | None:
    found = find_spine(module, film, views, as_it_is=True)
    return None if found is None else found.column.corners


def expected_tilt_error(found: Found) -> float:
    """Degrees: the tilt error the network expects of its vertebrae, averaged over the column."""
    column = found.column
    width = np.linalg.norm(column.corners[:, 1] - column.corners[:, 0], axis=1).clip(min=1)
    return float(np.degrees(np.mean(column.spread.mean(axis=1) / width)))


def _flags(film: Radiograph, found: Found) -> list[str]:
    column = found.column
    standing = Standing(quarter_turns(column.corners), found.negative, column.gain < UNCLEAR)
    flags = [*standing.flags]
    if len(column.corners) < LEVELS or (column.mass == 0).any():
        flags.append("vertebra_missing")
    if column.evidence < UNSURE:
        flags.append("levels_unsure")
    limit = np.array([film.width - 1, film.height - 1])
    if (column.corners < 0).any() or (column.corners > limit).any():
        flags.append("curve_leaves_film")
    return flags
