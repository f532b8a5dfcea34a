"""The contract of every solver, and the folder a run leaves behind."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

import numpy as np

from aasce.config import Settings, dump_settings, load_settings
from aasce.datasets import FilmSet
from aasce.files import atomic_write
from aasce.types import AasceError, Array, Radiograph, SpinePrediction

CONFIG_FILE = "config.yaml"
WEIGHTS_FILE = "weights.safetensors"
MANIFEST_FILE = "manifest.json"


class SolverConfig(Settings):
    """Settings of a solver; each solver's own class adds to them."""

    seed: int = 0


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Where a training run writes: log.csv, curves.png, checkpoint.pt, and at the end what `save` writes.

    Attributes:
        path: the folder, made on first use.
        device: "cpu", "cuda", "mps" or "auto".
        resume: go on from checkpoint.pt when it is there.
        quiet: no progress bar.
    """

    path: Path
    device: str = "auto"
    resume: bool = False
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class FitReport:
    """What a training run reached.

    Attributes:
        epochs: epochs run in all, those before an interruption included.
        best_epoch: the one whose weights were kept.
        best_score: its score on the validation part, lower is better; None without one.
        seconds: wall time of this call.
        notes: anything else worth a line in the manifest.
    """

    epochs: int = 0
    best_epoch: int = 0
    best_score: float | None = None
    seconds: float = 0.0
    notes: dict[str, Any] = field(default_factory=dict)


@runtime_checkable
class Solver(Protocol):
    """Same films in, same prediction type out; the whole of what the commands know of a method."""

    name: ClassVar[str]
    Config: ClassVar[type[SolverConfig]]

    def fit(self, train: FilmSet, validation: FilmSet | None, run: RunFolder) -> FitReport:
        """Trains on `train`, chooses weights on `validation`, writes only below `run.path`."""
        ...

    def predict(self, films: Sequence[Radiograph]) -> list[SpinePrediction]:
        """One prediction a film, in order; a film that cannot be measured carries its `failure`."""
        ...

    def save(self, folder: Path) -> None:
        """Writes config.yaml, weights.safetensors and manifest.json; no pickle."""
        ...

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> Self:
        """Reads what `save` wrote."""
        ...


def write_run(
    folder: Path, solver: str, config: SolverConfig, manifest: dict[str, Any] | None = None
) -> None:
    """Writes config.yaml and manifest.json of a solver beside its weights."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG_FILE).write_text(dump_settings(config), encoding="utf-8")
    body = {"solver": solver, **(manifest or {})}
    (folder / MANIFEST_FILE).write_text(json.dumps(body, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def read_manifest(folder: Path, solver: str | None = None) -> dict[str, Any]:
    """Reads manifest.json and checks that it is the named solver's.

    Raises:
        AasceError: the folder holds no run, or one of another solver.
    """
    path = folder / MANIFEST_FILE
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(manifest, dict):
            raise ValueError("no mapping")
    except (OSError, ValueError) as error:
        fault = f"holds no trained solver ({MANIFEST_FILE} cannot be read)"
        raise AasceError(f"{folder}: {fault}; train one with 'aasce train --out {folder}'") from error
    found = str(manifest.get("solver"))
    if solver is not None and found != solver:
        raise AasceError(f"{folder}: holds weights of {found!r}, not of {solver!r}; ask for --solver {found}")
    return dict(manifest)


def read_config(folder: Path, cls: type[SolverConfig]) -> Any:
    """Reads config.yaml of a run as `cls`."""
    return load_settings(cls, folder / CONFIG_FILE)


def write_numbers(folder: Path, numbers: dict[str, Array]) -> None:
    """Writes the weights file of a solver that has a few numbers and no network."""
    from safetensors.numpy import save

    with atomic_write(folder / WEIGHTS_FILE) as temporary:
        temporary.write_bytes(save({name: np.ascontiguousarray(value) for name, value in numbers.items()}))


def read_numbers(folder: Path, solver: str, shapes: dict[str, tuple[int, ...]]) -> dict[str, Array]:
    """Reads what `write_numbers` wrote, float64, in the given shapes.

    Raises:
        AasceError: the file is missing or damaged, or holds other numbers.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        found = load_file(folder / WEIGHTS_FILE)
        return {name: np.asarray(found[name], np.float64).reshape(shape) for name, shape in shapes.items()}
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise AasceError(
            f"{folder / WEIGHTS_FILE}: holds no weights of {solver} ({error}); train again"
        ) from error
