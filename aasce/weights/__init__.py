"""The released solvers, and where weights are found.

Weights are a folder: config.yaml, weights.safetensors, manifest.json (its "solver" names the method), and for
a released one card.md. Nothing here needs torch until a solver is loaded.
"""

from __future__ import annotations

import functools
import json
import math
import os
from dataclasses import dataclass
from pathlib import Path

from aasce.config import nearest
from aasce.solvers.base import CONFIG_FILE, MANIFEST_FILE, WEIGHTS_FILE, Solver, read_manifest
from aasce.solvers.registry import DEFAULT_SOLVER, SOLVERS, matching_torchvision, solver_class
from aasce.solvers.shared.orientation import Finder, Led, Remembering
from aasce.types import AasceError

FILES = (CONFIG_FILE, WEIGHTS_FILE, MANIFEST_FILE)
HUB = "hf:"
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
"""Ends of the names of a norm's statistics, which are kept with the weights."""


PACKAGE = Path(__file__).parent


def released() -> dict[str, Path]:
    """Name -> folder of the weights inside the package and of those in the folder AASCE_WEIGHTS."""
    homes = [PACKAGE]
    if os.environ.get("AASCE_WEIGHTS"):
        homes.append(Path(os.environ["AASCE_WEIGHTS"]))
    found: dict[str, Path] = {}
    for home in homes:
        folders = sorted(home.iterdir()) if home.is_dir() else []
        for folder in folders:
            if (folder / MANIFEST_FILE).is_file():
                found.setdefault(folder.name, folder)
    return found


def packaged(name: str) -> bool:
    """Whether weights of this name come with the package."""
    return (PACKAGE / name / MANIFEST_FILE).is_file()


def described(folder: Path) -> str:
    """One line on weights that go by another name than their solver's: whose they are, and what they saw."""
    try:
        manifest = read_manifest(folder)
    except AasceError:
        return str(folder)  # one damaged folder must not keep the others from being listed
    return f"weights of {manifest.get('solver')}, trained on {manifest.get('data', folder)}"


def resolve(name: str | Path, solver: str | None = None) -> Path:
    """Finds the folder of weights.

    Args:
        name: a released name, a run folder, or "hf:owner/repository[@revision]" on the Hugging Face hub. A
            bare word that is both a released name and a folder means the released one; "./word" the folder.
        solver: the method that must have made them; None takes any.

    Raises:
        AasceError: nothing has this name, a file is missing, the hub cannot be reached, or the weights are
            those of another solver.
    """
    text = str(name)
    known = released()
    if text.startswith(HUB):
        folder = _from_hub(text)
    elif text in known:
        folder = known[text]
    elif Path(name).is_dir():
        folder = Path(name)
    else:
        raise AasceError(
            f"{text}: no run folder and no released weights{nearest(text, known)}; released: "
            f"{', '.join(sorted(known)) or 'none'}, or 'hf:owner/repository'"
        )
    missing = [file for file in FILES if not (folder / file).is_file()]
    if missing:
        raise AasceError(
            f"{folder}: is no folder of weights, {', '.join(missing)} missing; name a run folder"
        )
    read_manifest(folder, solver)
    return folder


def load_solver(name_or_folder: str | Path, device: str = "cpu") -> Solver:
    """Loads a solver with its weights, ready to predict.

    Args:
        name_or_folder: what `resolve` takes.
        device: "cpu", "cuda", "cuda:1", "mps".

    Raises:
        AasceError: the weights cannot be found or read.
    """
    folder = resolve(name_or_folder)
    solver = str(read_manifest(folder).get("solver"))
    if str(name_or_folder).startswith(HUB) and solver not in SOLVERS:
        # A stranger's manifest must not choose which module is imported.
        raise AasceError(
            f"{name_or_folder}: made by {solver!r}, which this kit lacks{nearest(solver, SOLVERS)}"
        )
    with matching_torchvision(solver):
        return lead(equip(solver_class(solver).load(folder, device), device), device)


@dataclass(frozen=True, slots=True)
class WeightsSize:
    """How large a solver is: numbers that are learned, and megabytes (10^6 bytes) of the file."""

    parameters: int
    megabytes: float


def weights_size(folder: Path) -> WeightsSize:
    """Reads the header of a folder's weights; running statistics of norms are not counted as learned.

    Raises:
        AasceError: the file is missing or damaged.
    """
    path = folder / WEIGHTS_FILE
    try:
        with path.open("rb") as stream:
            header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
        shapes = {name: entry["shape"] for name, entry in header.items() if name != "__metadata__"}
        megabytes = path.stat().st_size / 1e6
    except (OSError, ValueError, TypeError, KeyError, MemoryError, OverflowError) as error:
        raise AasceError(f"{path}: holds no weights ({error}); train again") from error
    learned = (math.prod(shape) for name, shape in shapes.items() if not name.endswith(STATISTICS))
    return WeightsSize(sum(learned), megabytes)


def equip(solver: Solver, device: str = "cpu") -> Solver:
    """Loads, for a solver that starts from another one's answer, that other one; the solver itself is returned."""
    needs = getattr(solver, "needs", None)
    if needs is not None:
        solver.start_with(load_solver(needs, device))  # type: ignore[attr-defined]
    return solver


def lead(solver: Solver, device: str = "cpu") -> Solver:
    """Gives a solver that cannot tell how a film stands one that can; the solver is returned."""
    if isinstance(solver, Led):
        solver.finder = _finder(released()[DEFAULT_SOLVER], device)
    return solver


@functools.cache
def _finder(folder: Path, device: str) -> Finder:
    """The default solver, one for all whom it leads."""
    finder = load_solver(folder, device)
    if not isinstance(finder, Finder):
        raise AasceError(f"{folder}: its solver cannot tell how a film stands")
    return Remembering(finder)


def _from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    repository, _, revision = name.removeprefix(HUB).partition("@")
    try:
        folder = snapshot_download(
            repository,
            revision=revision or None,
            allow_patterns=[*FILES, "card.md"],
            cache_dir=os.environ.get("AASCE_WEIGHTS") or None,
        )
    except LocalEntryNotFoundError as error:
        raise AasceError(
            f"{name}: not in the cache and the hub is out of reach (offline, or HF_HUB_OFFLINE set); "
            "download it once online, or name a run folder"
        ) from error
    except (HFValidationError, OSError, RuntimeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise AasceError(
            f"{name}: cannot be fetched ({reason}); written hf:owner/repository[@revision]"
        ) from error
    return Path(folder)
