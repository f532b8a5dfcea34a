"""Base class of the methods for scans that are a network."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
from pydantic import Field
from torch import nn

from aasce.config import Settings
from aasce.ct.base import ScanMethod, ScanSet, VertebraSet
from aasce.ct.shared.grids import Shares
from aasce.ct.shared.scan_task import ScanTask
from aasce.solvers.base import (
    FitReport,
    RunFolder,
    SolverConfig,
    merged_flags,
    read_config,
    restore,
    write_run,
)
from aasce.solvers.shared.checkpoint import load_weights, round_weights, save_weights
from aasce.solvers.shared.trainer import Trainer, resolve_device, seeded
from aasce.types import AasceError, Array


class NetworkMethod(ScanMethod):
    """Makes, trains, saves and loads one network; a subclass adds it, its task and `predict`.

    Attributes:
        module: the network.
        continues: whether training goes on from the weights of another run.
    """

    module: Any
    continues: bool = False

    def __init__(self, config: SolverConfig | None = None, device: str = "cpu") -> None:
        self.config: Any = config or self.Config()
        self.device = resolve_device(device)
        self.learned = self.Learned()
        with seeded(self.config.seed):
            self.module = self.network()
        self.module.to(self.device).eval()

    @abstractmethod
    def network(self) -> nn.Module:
        """The untrained network."""

    @abstractmethod
    def task(self, train: ScanSet, validation: ScanSet | None) -> ScanTask:
        """What trains `module`."""

    def fit(self, train: ScanSet, validation: ScanSet | None, run: RunFolder) -> FitReport:
        """Trains, and rounds the weights to the precision of the saved file."""
        if not len(train):
            raise AasceError(f"{self.name}: no scan to train on; name some, or leave the data set out")
        settings = self.config.train.stage(self.continues)
        report = Trainer(self.task(train, validation), settings, run, self.config.seed).fit()
        self.module.to(self.device).eval()
        round_weights(self.module)
        return report

    def save(self, folder: Path) -> None:
        """Writes settings, state and weights (matrices and kernels in half precision)."""
        holder: Any = self  # a run folder holds what a film's solver has, too
        write_run(folder, holder)
        save_weights(self.module, folder)

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> Self:
        """Reads what `save` wrote, without any effect on random generators or global flags."""
        method: Any = cls(read_config(folder, cls.Config), device)
        restore(method, folder)
        load_weights(method.module, folder)
        found: Self = method
        return found

    def start_from(self, folder: Path) -> None:
        """Takes the weights of another run of the same method, and what it learned."""
        holder: Any = self
        restore(holder, folder)
        load_weights(self.module, folder)
        self.training = {}
        self.continues = True

    def answered(self, start: VertebraSet | None, flags: tuple[str, ...] = (), **found: Any) -> VertebraSet:
        """What the step before found, with this method's answer and flags.

        Args:
            start: of the step before, None without one.
            flags: beside those of `start`.
            found: attributes of the answer.
        """
        begun = VertebraSet("") if start is None else start
        return begun.with_(method=self.name, flags=merged_flags(begun.flags, flags), **found)

    def without_answer(self, start: VertebraSet | None, reason: str) -> VertebraSet:
        """The answer for a scan in which nothing is found."""
        return VertebraSet(
            "" if start is None else start.scan_id, flags=() if start is None else start.flags,
            method=self.name, failure=reason,
        )  # fmt: skip


Hounsfield = Annotated[float, Field(ge=-5000, le=30_000)]


class IntensitySettings(Settings):
    """HU that a network tells apart.

    Attributes:
        low, high: HU that become -1 and 1; what lies beyond is clipped.
    """

    low: Hounsfield = -1024.0
    high: Hounsfield = 1500.0

    def scaled(self, hu: Array) -> Shares:
        """HU to values from -1 to 1, float32."""
        middle, half = (self.low + self.high) / 2, max((self.high - self.low) / 2, 1.0)
        return ((np.clip(hu, self.low, self.high) - np.float32(middle)) / np.float32(half)).astype(np.float32)
