"""The contract of every solver, and the folder that a trained one is kept in.

A solver is all that the rest of the kit knows of a method: films in, predictions out. What only some methods can do
or need is declared here with a default, so that nobody has to ask whether a method is there.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from aasce.config import Settings, dump_settings, load_settings
from aasce.files import atomic_write, short_lists, write_text
from aasce.scoring.conformal import IntervalRule
from aasce.types import AasceError, Array, Orientation, Radiograph, SpinePrediction

if TYPE_CHECKING:
    from aasce.datasets import FilmSet

CONFIG_FILE = "config.yaml"
WEIGHTS_FILE = "weights.safetensors"
STATE_FILE = "state.json"
CHECKSUM = "weights_sha256"
"""Key of state.json: SHA-256 of the weights file, in hexadecimal digits."""

BLANK_FILM = "the film is blank (one grey value)"
UNCLEAR_FLAG = "spine_unclear"
SECOND_FLAG = "two_spines"
UNCLEAR_CONFIDENCE = 0.3
"""Highest confidence in a film on which hardly a spine is seen, or two: about what `vertebra_field` grants at its
limit."""

DOUBTED = frozenset({UNCLEAR_FLAG, SECOND_FLAG})
"""Flags of films that do not clearly show one spine: they limit the confidence to `UNCLEAR_CONFIDENCE`."""

UNSURE_FLAG = "angles_unsure"


class SolverConfig(Settings):
    """Settings of a solver; each solver's own class adds to them."""

    seed: int = Field(default=0, ge=0, lt=2**32)

    @classmethod
    def tiny(cls) -> Self:
        """Settings that train in seconds, for tests; each solver's own class makes them small."""
        return cls()


class LearnedState(Settings):
    """What training learned besides weights; a solver that learns more adds to it.

    Attributes:
        calibration: (offset, slope) of the confidence's logistic rule, None while nothing has set it.
        intervals: rules of the angles' intervals, one a definition at most, fitted to out-of-fold films.
    """

    calibration: tuple[float, float] | None = None
    intervals: tuple[IntervalRule, ...] = ()


@dataclass(frozen=True, slots=True)
class Localization:
    """How a film lies and where its spine is.

    Attributes:
        orientation: how it lies.
        unclear: whether hardly a frontal spine is seen on it.
        spine: (x0, y0, x1, y1) px of the film set upright, around T1 to L5; None where they are not clearly seen.
        second: whether another frontal spine is seen beside it, so that nobody knows which one is meant.
    """

    orientation: Orientation = Orientation()  # noqa: RUF009  (frozen)
    unclear: bool = False
    spine: NDArray[np.float64] | None = None
    second: bool = False

    @property
    def flags(self) -> tuple[str, ...]:
        """What a reader must know."""
        named = (UNCLEAR_FLAG,) * self.unclear + (SECOND_FLAG,) * self.second
        return (*self.orientation.flags, *named)

    def limited(self, confidence: float) -> float:
        """A solver's confidence, and no more than a film without one clear spine allows."""
        return min(confidence, UNCLEAR_CONFIDENCE) if self.unclear or self.second else confidence


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Where a training run writes: log.csv, curves.png, checkpoint.pt, and at the end what `save` writes.

    Attributes:
        path: the folder, made on first use.
        device: "cpu", "cuda", "mps" or "auto".
        resume: go on from checkpoint.pt when it is there.
        quiet: no progress bar.
        data: folder of the data set, below which a solver finds unlabelled films; None is AASCE_DATA.
    """

    path: Path
    device: str = "auto"
    resume: bool = False
    quiet: bool = False
    data: Path | None = None


@dataclass(frozen=True, slots=True)
class FitReport:
    """What a training run reached.

    Attributes:
        epochs: epochs run in all, those before an interruption included.
        best_epoch: the one whose weights were kept.
        best_score: its score on the validation part, lower is better; None without one.
        seconds: wall time of this call.
        notes: anything else worth keeping, such as scores of the validation part.
    """

    epochs: int = 0
    best_epoch: int = 0
    best_score: float | None = None
    seconds: float = 0.0
    notes: dict[str, Any] = field(default_factory=dict)


class Solver(ABC):
    """Same films in, same prediction type out; the whole of what the kit knows of a method.

    A class takes its settings and a device: `MySolver(config, device="cpu")`.

    Attributes:
        name: of the method, as in the registry.
        Config: its settings; `Config.tiny()` trains in seconds.
        Learned: what training learns besides weights.
        needs_localizer: whether films have to be localized before the method can measure them.
        can_localize: whether `localize` looks at the film.
        prior: (offset, slope) of the confidence's logistic rule while `learned` has no calibration; None without such
            a rule.
        unsure_below: confidence below which a film has the flag `UNSURE_FLAG`; 0 never sets it.
        config: the settings in use.
        learned: what training learned, read and written with the weights.
        training: how the weights came about (films, epochs, commit, ...), as its folder says; {} before.
        localizer: the solver that localizes films for this one; None takes every film to lie upright, bone bright.
    """

    name: ClassVar[str]
    Config: ClassVar[type[SolverConfig]]
    Learned: ClassVar[type[LearnedState]] = LearnedState
    needs_localizer: ClassVar[bool] = False
    can_localize: ClassVar[bool] = False
    prior: ClassVar[tuple[float, float] | None] = None
    unsure_below: ClassVar[float] = 0.0
    config: Any
    learned: Any = LearnedState()
    training: Mapping[str, Any] = {}
    localizer: Solver | None = None

    @abstractmethod
    def fit(self, train: FilmSet, validation: FilmSet | None, run: RunFolder) -> FitReport:
        """Trains on `train`, chooses weights on `validation`, writes only below `run.path`."""

    @abstractmethod
    def predict(self, films: Sequence[Radiograph]) -> list[SpinePrediction]:
        """One prediction a film, in order, with every flag of the film; one that cannot be measured has a `failure`."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Writes config.yaml, weights.safetensors and state.json; no pickle."""

    @classmethod
    @abstractmethod
    def load(cls, folder: Path, device: str = "cpu") -> Self:
        """Reads what `save` wrote."""

    def localize(self, film: Radiograph) -> Localization:
        """How the film lies and where its spine is; without the power to tell, upright and anywhere."""
        return Localization()

    def start_from(self, folder: Path) -> None:
        """Takes the weights of another run of the same method to train on from.

        Raises:
            AasceError: the method has none, or the folder's do not fit.
        """
        raise AasceError(f"--start {folder}: {self.name} has no weights to go on from; leave --start out")

    @property
    def engine(self) -> str:
        """Library that computes its networks, with its version; "" for a method without any."""
        return ""

    def localized(self, film: Radiograph) -> Localization:
        """What this solver's localizer says of a film."""
        return Localization() if self.localizer is None else self.localizer.localize(film)


def engines_of(solver: Solver) -> str:
    """Libraries that compute the networks of a solver and of its localizer, with their versions."""
    used = [each.engine for each in (solver, solver.localizer) if each is not None and each.engine]
    return ", ".join(dict.fromkeys(used))


def failed(film: Radiograph, solver: str, reason: str, found: Localization | None = None) -> SpinePrediction:
    """The prediction of a film that could not be measured."""
    found = found or Localization()
    flags = merged_flags(film.flags, found.flags)
    return SpinePrediction(
        film.film_id, film.size, orientation=found.orientation, flags=flags, solver=solver, failure=reason
    )


def doubt_flags(confidence: float, limit: float, flags: Sequence[str]) -> tuple[str, ...]:
    """The flag `UNSURE_FLAG` where the confidence is below a limit, unless the flags say already that hardly one
    spine is seen.

    Args:
        confidence: in the major angle.
        limit: see `Solver.unsure_below`.
        flags: of the film so far.
    """
    return (UNSURE_FLAG,) if confidence < limit and not DOUBTED.intersection(flags) else ()


def merged_flags(*groups: Sequence[str]) -> tuple[str, ...]:
    """All flags once, in order."""
    return tuple(dict.fromkeys(flag for group in groups for flag in group))


@dataclass(frozen=True, slots=True)
class RunState:
    """What state.json holds.

    Attributes:
        solver: name of the method.
        target: its class as "module:Class".
        learned: values of the solver's `LearnedState`.
        training: how the weights came about.
        checksum: SHA-256 of the weights file, None in folders from before there was one.
    """

    solver: str
    target: str
    learned: dict[str, Any]
    training: dict[str, Any]
    checksum: str | None = None


def class_target(cls: type[Solver]) -> str:
    """A class as "module:Class"."""
    return f"{cls.__module__}:{cls.__qualname__}"


def write_run(folder: Path, solver: Solver) -> None:
    """Writes config.yaml and state.json of a solver beside its weights."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / CONFIG_FILE, dump_settings(solver.config))
    learned = solver.learned.model_dump(mode="json")
    write_state(folder, RunState(solver.name, class_target(type(solver)), learned, dict(solver.training)))


def write_state(folder: Path, state: RunState) -> None:
    """Writes state.json, with the checksum of the weights that lie beside it by now."""
    body = {
        "solver": state.solver,
        "class": state.target,
        "learned": state.learned,
        "training": state.training,
    }
    checksum = weights_checksum(folder)
    if checksum is not None:
        body[CHECKSUM] = checksum
    write_text(folder / STATE_FILE, short_lists(json.dumps(body, indent=2, sort_keys=True)) + "\n")


def read_state(folder: Path, solver: str | None = None) -> RunState:
    """Reads state.json and checks that it is the named solver's.

    Raises:
        AasceError: the folder holds no run, or one of another solver.
    """
    path = folder / STATE_FILE
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        name = str(body["solver"])
        learned, training = dict(body["learned"]), dict(body["training"])
        state = RunState(name, str(body.get("class", name)), learned, training, body.get(CHECKSUM))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        fault = f"holds no trained solver ({STATE_FILE} cannot be read)"
        raise AasceError(f"{folder}: {fault}; train one with 'aasce train --out {folder}'") from error
    if solver is not None and state.solver != solver:
        raise AasceError(
            f"{folder}: holds weights of {state.solver!r}, not of {solver!r}; ask for --solver {state.solver}"
        )
    return state


def weights_checksum(folder: Path) -> str | None:
    """SHA-256 of the weights file in hexadecimal digits, None where there is none."""
    try:
        with (folder / WEIGHTS_FILE).open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return None


def note_weights(folder: Path) -> None:
    """Brings the checksum in state.json up to date, once the weights beside it were written anew."""
    if (folder / STATE_FILE).is_file():
        write_state(folder, read_state(folder))


def check_weights(folder: Path) -> None:
    """Compares the weights file with its checksum: a bad sector may leave it readable, and the angles wrong.

    Raises:
        AasceError: they differ, or state.json is damaged.
    """
    wanted = read_state(folder).checksum if (folder / STATE_FILE).is_file() else None
    if wanted is not None and weights_checksum(folder) not in (wanted, None):
        raise AasceError(
            f"{folder / WEIGHTS_FILE}: is damaged (its checksum is not the one in {STATE_FILE}); "
            "copy the folder again, or install aasce again"
        )


def restore(solver: Solver, folder: Path) -> None:
    """Gives a solver what training learned, and the record of it, from its folder.

    Raises:
        AasceError: state.json is missing, of another solver, or damaged, or the weights beside it are damaged.
    """
    state = read_state(folder, solver.name)
    check_weights(folder)
    try:
        solver.learned = solver.Learned.model_validate_json(json.dumps(state.learned))
    except ValidationError as error:
        line = str(error.errors(include_url=False)[0]["msg"])
        raise AasceError(
            f"{folder / STATE_FILE}: what was learned is damaged ({line}); train again"
        ) from error
    solver.training = state.training


def read_config(folder: Path, cls: type[SolverConfig]) -> Any:
    """Reads config.yaml of a run as `cls`."""
    return load_settings(cls, folder / CONFIG_FILE)


def write_numbers(folder: Path, numbers: dict[str, Array]) -> None:
    """Writes the weights file of a solver that has a few numbers and no network."""
    from safetensors.numpy import save

    with atomic_write(folder / WEIGHTS_FILE) as temporary:
        temporary.write_bytes(save({name: np.ascontiguousarray(value) for name, value in numbers.items()}))
    note_weights(folder)


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
