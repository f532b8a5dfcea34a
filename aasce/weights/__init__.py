"""The released solvers, and where weights are found.

Weights are a folder: config.yaml, weights.safetensors, state.json (it names the method and its class), and for a
released one card.md. Nothing here needs torch until a solver is loaded.
"""

from __future__ import annotations

import functools
import json
import math
import os
from dataclasses import dataclass
from pathlib import Path

from aasce.config import nearest
from aasce.solvers.base import CONFIG_FILE, STATE_FILE, WEIGHTS_FILE, Solver, read_state
from aasce.solvers.registry import DEFAULT_SOLVER, SOLVERS, matching_torchvision, solver_class
from aasce.solvers.shared.released import PACKAGE
from aasce.solvers.shared.released import released as released
from aasce.types import AasceError

FILES = (CONFIG_FILE, WEIGHTS_FILE, STATE_FILE)
HUB = "hf:"
DEFAULT_LOCALIZER = DEFAULT_SOLVER
UNSEEN_LOCALIZER = "vertebra_field_rendered"
"""Weights that have seen rendered films alone, so that they localize the films of any fold as unseen ones."""
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
"""Ends of the names of a norm's statistics, which are kept with the weights."""


def packaged(name: str) -> bool:
    """Whether weights of this name come with the package."""
    return (PACKAGE / name / STATE_FILE).is_file()


def described(folder: Path) -> str:
    """One line on weights that go by another name than their solver's: whose they are, and what they saw."""
    try:
        state = read_state(folder)
    except AasceError:
        return str(folder)  # one damaged folder must not keep the others from being listed
    return f"weights of {state.solver}, trained on {state.training.get('data', folder)}"


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
    read_state(folder, solver)
    return folder


def load_solver(
    name_or_folder: str | Path, device: str = "cpu", localizer: str | Path = DEFAULT_LOCALIZER
) -> Solver:
    """Loads a solver with its weights and, where it needs one, its localizer: ready to predict.

    The one way by which every command and Python get a solver, so that what is scored is what is used.

    Args:
        name_or_folder: what `resolve` takes.
        device: "cpu", "cuda", "cuda:1", "mps".
        localizer: weights of the solver that localizes films for one that needs it; for the model of a fold
            `UNSEEN_LOCALIZER`, which has seen no real film.

    Raises:
        AasceError: the weights cannot be found or read.
    """
    folder = resolve(name_or_folder)
    state = read_state(folder)
    fetched = str(name_or_folder).startswith(HUB)
    if fetched and state.solver not in SOLVERS:
        # A stranger's state must not choose which module is imported.
        raise AasceError(
            f"{name_or_folder}: made by {state.solver!r}, which this kit lacks{nearest(state.solver, SOLVERS)}"
        )
    # A class of the kit is found by its name, wherever it moves; one from outside may bear a name of the kit's.
    ours = state.solver in SOLVERS and (fetched or state.target.startswith("aasce."))
    cls = solver_class(state.solver if ours else state.target)
    with matching_torchvision(state.solver):
        return with_localizer(cls.load(folder, device), device, localizer)


def with_localizer(solver: Solver, device: str = "cpu", localizer: str | Path = DEFAULT_LOCALIZER) -> Solver:
    """Gives a solver that needs one its localizer; the solver is returned."""
    if solver.needs_localizer:
        solver.localizer = _localizer(resolve(localizer), device)
    return solver


@functools.cache
def _localizer(folder: Path, device: str) -> Solver:
    """One localizer for all solvers that need it, so that a film is localized once."""
    localizer = load_solver(folder, device)
    if not localizer.can_localize:
        raise AasceError(
            f"{folder}: {localizer.name} cannot localize films; name weights of {DEFAULT_SOLVER}"
        )
    return localizer


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
