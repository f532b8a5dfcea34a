"""`seg4reg`: segment vertebrae and the gaps between them, then regress the three angles from the mask.

Lin, Zhou, Ma, Yang, Zheng: Seg4Reg Networks for Automated Spinal Curvature Estimation, AASCE 2019. Its parts
stand here under their names: histogram equalisation; a PSPNet with a dilation pyramid; three classes; a
classifier that regresses three angles from film, film and mask, or mask; a gradient-reversal discriminator;
rescaling by 0.85 to 1.25 and turns of 45 degrees under which angles stay true; cosine schedules; angles
under 4 degrees set to zero.

Departures, each a setting, the paper's own choice in configs where it is named: small encoders that train on
a CPU; a way up to a map of stride 2 (`segmentation.skips`); bent films with angles measured anew
(`augment.bent`); masks drawn from landmarks (`regression.synthetic`); heads that know tilts and pairs
(`regression.head`); AdamW; an automatic crop of whole films, which the paper crops by hand. The challenge's
second and third angle depend on the film's height; on a cropped whole film they are those of the crop.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray

from aasce.preprocess.intensity import Bytes
from aasce.readers import FilmSet
from aasce.solvers.backbone import BackboneSettings
from aasce.solvers.base import FitReport, RunFolder, read_config, read_manifest, write_run
from aasce.solvers.checkpoint import load_weights, round_weights, save_weights
from aasce.solvers.confidence import confidence, fit_confidence
from aasce.solvers.pictures import Item, load_items, load_pictures, smape
from aasce.solvers.seg4reg.adaptation import target_films
from aasce.solvers.seg4reg.inference import Measured, measure
from aasce.solvers.seg4reg.networks import Seg4RegNet
from aasce.solvers.seg4reg.regression import RegressionTask
from aasce.solvers.seg4reg.segmentation import SegmentationTask
from aasce.solvers.seg4reg.settings import (
    RegressionSettings,
    Seg4RegConfig,
    SegmentationSettings,
)
from aasce.solvers.training import Trainer, TrainSettings, resolve_device, seed_everything
from aasce.types import CobbAngles, Radiograph, SpinePrediction

Floats = NDArray[np.float64]
Films = tuple[list[Item], list[Item], list[Bytes]]
"""Training films, validation films, unlabelled target films, as they wait in memory."""

SMALL = 4.0
"""Degrees under which an angle may be set to zero (Seg4Reg, section 3.2)."""

CALIBRATION = (1.2, 0.35)
"""Offset and slope per degree of the confidence's logistic rule while no validation film has set them."""


class Seg4RegSolver:
    """See the module. Answers angles and a mask, no landmarks."""

    name: ClassVar[str] = "seg4reg"
    Config: ClassVar[type[Seg4RegConfig]] = Seg4RegConfig

    def __init__(self, config: Seg4RegConfig | None = None, device: str = "cpu") -> None:
        self.config = config or Seg4RegConfig()
        seed_everything(self.config.seed)
        self.device = resolve_device(device)
        self.module = self._built(start=False)
        self.manifest: dict[str, Any] = {}
        self._begun = False

    @classmethod
    def tiny(cls) -> Seg4RegConfig:
        """A configuration that trains in seconds, for tests."""
        backbone = BackboneSettings(options={"channels": [8, 16, 24, 24], "layers": [1] * 4, "stem_width": 8})
        train = TrainSettings(epochs=2, validate_every=2, precision="32-true")
        return Seg4RegConfig(
            segmentation=SegmentationSettings(
                encoder=backbone, size=(128, 64), width=16, decoder=16, batch=2, train=train
            ),
            regression=RegressionSettings(
                backbone=backbone, head="pairs", size=(64, 32), variants=2, batch=2, train=train
            ),
        )

    def _built(self, start: bool) -> Seg4RegNet:
        module = Seg4RegNet(self.config.segmentation, self.config.regression, start)
        placed: Seg4RegNet = module.to(memory_format=torch.channels_last).to(self.device).eval()
        return placed

    def start_from(self, folder: Path) -> None:
        """Goes on from another run: its weights, and its calibration until a validation part sets it."""
        manifest = read_manifest(folder, self.name)
        load_weights(self.module, folder)
        self._begun = True
        self.manifest |= {k: manifest[k] for k in ("calibration", "small_angles_to_zero") if k in manifest}

    def fit(self, train: FilmSet, validation: FilmSet | None, run: RunFolder) -> FitReport:
        """Trains the segmenter (in seg/ of the run), then the regressor on its masks (in reg/).

        Weights are kept by mean intersection over union and by SMAPE on `validation`; the confidence's rule
        and whether small angles become zero are set there too.
        """
        films = self._films(train, validation)
        first = self._fit_segmentation(films, run)
        second = self._fit_regression(films, validation, run)
        epochs, seconds = first.epochs + second.epochs, first.seconds + second.seconds
        notes = {"segmentation_score": first.best_score, **second.notes}
        return FitReport(epochs, second.best_epoch, second.best_score, seconds, notes)

    def fit_segmentation(self, train: FilmSet, validation: FilmSet | None, run: RunFolder) -> FitReport:
        """Trains the segmenter alone."""
        return self._fit_segmentation(self._films(train, validation), run)

    def fit_regression(self, train: FilmSet, validation: FilmSet | None, run: RunFolder) -> FitReport:
        """Trains the regressor on the masks of the segmenter as it is, and calibrates the answers."""
        return self._fit_regression(self._films(train, validation), validation, run)

    def _films(self, train: FilmSet, validation: FilmSet | None) -> Films:
        """Decodes everything once for both stages."""
        held = load_items(validation, self.config.intensity) if validation is not None else []
        wide = load_pictures(target_films(self.config.adaptation))
        return load_items(train, self.config.intensity), held, wide

    def _fit_segmentation(self, films: Films, run: RunFolder) -> FitReport:
        self._start_pretrained()
        task = SegmentationTask(self.config, self.module.segmentation, *films)
        report = self._trained(task, self.config.segmentation.train, run, "seg")
        self.manifest |= {"segmentation_epochs": report.epochs}
        if report.best_score is not None:
            self.manifest["validation_miou"] = 1 - report.best_score
        return report

    def _fit_regression(self, films: Films, validation: FilmSet | None, run: RunFolder) -> FitReport:
        task = RegressionTask(self.config, (self.module.segmentation, self.module.regression), *films)
        report = self._trained(task, self.config.regression.train, run, "reg")
        self.manifest |= {"regression_epochs": report.epochs, "best_epoch": report.best_epoch}
        if validation is not None and len(validation):
            self._calibrate(validation)
        kept = ("validation_smape", "small_angles_to_zero")
        notes = {k: self.manifest[k] for k in kept if k in self.manifest}
        return FitReport(report.epochs, report.best_epoch, report.best_score, report.seconds, notes)

    def adopt_segmenter(self, other: Seg4RegSolver) -> None:
        """Takes over the trained segmenter of a solver with the same segmentation settings."""
        self._start_pretrained()
        self.module.segmentation.load_state_dict(other.module.segmentation.state_dict())
        kept = ("segmentation_epochs", "validation_miou")
        self.manifest |= {k: v for k, v in other.manifest.items() if k in kept}

    def _start_pretrained(self) -> None:
        """Fetches pretrained weights where settings ask for them, unless another run's were taken."""
        wanted = (self.config.segmentation.encoder, self.config.regression.backbone)
        if not self._begun and any(b.pretrained or b.weights_file for b in wanted):
            seed_everything(self.config.seed)
            self.module = self._built(start=True)

    def _trained(self, task: Any, settings: TrainSettings, run: RunFolder, stage: str) -> FitReport:
        folder = RunFolder(run.path / stage, run.device, run.resume, run.quiet)
        report = Trainer(task, settings, folder, self.config.seed).fit()
        self.module.to(self.device).eval().requires_grad_(True)
        round_weights(self.module)
        return report

    def _calibrate(self, films: FilmSet) -> None:
        """Sets the confidence's rule, and whether small angles become zero, by films never trained on."""
        pairs, truth = [], []
        for index, film in enumerate(films):
            found = measure(self.module, films.radiograph(index), self.config)
            if isinstance(found, Measured) and film.angles is not None:
                pairs.append(found.angles)
                truth.append(film.angles)
        if not pairs:
            return
        both, true = np.stack(pairs), np.stack(truth)
        plain = both.mean(axis=1)
        scores = {False: smape(plain, true), True: smape(without_small(plain), true)}
        chosen = self.config.small_angles_to_zero
        zero = scores[True] < scores[False] if chosen is None else chosen
        right = np.abs(plain[:, 0] - true[:, 0]) <= 5.0
        rule = fit_confidence(np.abs(both[:, 0, 0] - both[:, 1, 0]), right, CALIBRATION)
        self.manifest |= {
            "small_angles_to_zero": zero, "calibration": list(rule), "validation_smape": scores[zero],
            "validation_smape_other": scores[not zero], "validation_failed": len(films) - len(pairs),
        }  # fmt: skip

    def predict(self, films: Sequence[Radiograph]) -> list[SpinePrediction]:
        """Looks at each film by itself, so that batching changes nothing."""
        return [self._one(film) for film in films]

    def _one(self, film: Radiograph) -> SpinePrediction:
        answer = functools.partial(SpinePrediction, film.film_id, film.size, solver=self.name)
        found = measure(self.module, film, self.config)
        if isinstance(found, str):
            return answer(failure=found, flags=film.flags)
        degrees = found.angles.mean(axis=0)
        if self._zeroes():
            degrees = without_small(degrees)
        rule = self.manifest.get("calibration", CALIBRATION)
        apart = abs(float(found.angles[0, 0] - found.angles[1, 0]))
        flags = film.flags if found.vertebrae >= 17 else (*film.flags, "vertebra_missing")
        return answer(
            mask=found.mask, angles=CobbAngles(degrees, "challenge"), flags=flags,
            confidence=confidence(apart, (rule[0], rule[1])),
        )  # fmt: skip

    def _zeroes(self) -> bool:
        chosen = self.config.small_angles_to_zero
        return bool(self.manifest.get("small_angles_to_zero", False)) if chosen is None else chosen

    def save(self, folder: Path) -> None:
        """Settings, manifest, and weights: half precision but for norms and biases."""
        write_run(folder, self.name, self.config, self.manifest)
        save_weights(self.module, folder)

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> Self:
        """Reads what `save` wrote."""
        manifest = read_manifest(folder, cls.name)
        solver = cls(read_config(folder, cls.Config), device)
        solver.manifest = {k: v for k, v in manifest.items() if k != "solver"}
        load_weights(solver.module, folder)
        return solver


def without_small(degrees: Floats) -> Floats:
    """Angles with those under 4 degrees set to 0 (Seg4Reg, section 3.2)."""
    return np.where(degrees < SMALL, 0.0, degrees)
