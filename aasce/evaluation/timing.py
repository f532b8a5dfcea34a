"""How long a film takes: one film at a time, on a fixed number of threads."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from aasce.ensemble import Measurement, with_angles
from aasce.solvers.base import Solver
from aasce.types import Definition, Radiograph

THREADS = 2
"""Of the CPU while films are predicted and timed."""


@dataclass(slots=True)
class TimedSolver:
    """Measures one film at a time and notes how long each took.

    Attributes:
        solver: ready to predict.
        seconds: one a film; reading its file is not in it.
    """

    solver: Solver
    seconds: list[float] = field(default_factory=list)

    def measure(self, films: Sequence[Radiograph], definition: Definition = "challenge") -> list[Measurement]:
        """Angles of each film's prediction."""
        return [self._one(film, definition) for film in films]

    def _one(self, film: Radiograph, definition: Definition) -> Measurement:
        started = time.perf_counter()
        measured = with_angles(self.solver.predict([film])[0], definition)
        self.seconds.append(time.perf_counter() - started)
        return measured


def seconds_a_film(seconds: Sequence[float]) -> float | None:
    """The median; None without any film."""
    return float(np.median(seconds)) if seconds else None


@contextmanager
def limited_threads(count: int) -> Iterator[None]:
    """Holds torch and OpenCV to `count` threads; torch is not loaded for it."""
    import cv2

    torch = sys.modules.get("torch")
    before = cv2.getNumThreads(), torch.get_num_threads() if torch else 0
    cv2.setNumThreads(count)
    if torch:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        cv2.setNumThreads(before[0])
        if torch:
            torch.set_num_threads(before[1])


def machine_is_busy() -> str | None:
    """One line for the user when other work would make the measured seconds too long."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    cores = os.cpu_count() or 1
    if load <= 1.5 * cores:
        return None
    return f"the machine is busy (load {load:.1f} on {cores} cores): seconds a film come out too long"
