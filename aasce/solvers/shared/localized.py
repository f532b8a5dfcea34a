"""Base class of the solvers whose networks read upright films cropped to the spine."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import nn

from aasce.solvers.base import FitReport, RunFolder, SolverConfig
from aasce.solvers.shared.checkpoint import NetworkSolver, round_weights
from aasce.solvers.shared.encoders import encoders_in
from aasce.solvers.shared.trainer import Trainer, TrainSettings, resolve_device, seeded


class LocalizedSolver(NetworkSolver):
    """Makes, begins and trains networks; a subclass adds them, their tasks, and what a prediction is.

    The networks are trained on upright films with bright bone, cropped to the spine, so films are localized first.
    """

    needs_localizer: ClassVar[bool] = True

    def __init__(self, config: SolverConfig | None = None, device: str = "cpu") -> None:
        self.config: Any = config or self.Config()
        self.device = resolve_device(device)
        self.learned = self.Learned()
        self.module = self._placed(start=False)

    @abstractmethod
    def networks(self, start: bool) -> nn.Module:
        """The untrained networks.

        Args:
            start: with the pretrained weights that the settings ask for.
        """

    def _placed(self, start: bool) -> Any:
        with seeded(self.config.seed):
            module = self.networks(start).to(memory_format=torch.channels_last)
        return module.to(self.device).eval()

    def begin(self) -> None:
        """Before training: loads the pretrained weights of the settings, unless `start_from` gave others."""
        if not self.continues and any(encoder.asks_for_weights for encoder in encoders_in(self.config)):
            self.module = self._placed(start=True)

    def trained(self, task: Any, settings: TrainSettings, run: RunFolder, stage: str = "") -> FitReport:
        """Trains one task and rounds the weights to the precision of the saved file.

        Args:
            task: a `trainer.Task` of networks of `module`.
            settings: of the loop.
            run: where it writes.
            stage: subfolder, for a method with more than one task.
        """
        folder = replace(run, path=run.path / stage)
        report = Trainer(task, settings.stage(self.continues), folder, self.config.seed).fit()
        self.module.to(self.device).eval().requires_grad_(True)
        round_weights(self.module)
        return report
