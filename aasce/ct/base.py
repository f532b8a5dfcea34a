"""The contract of every method that reads scans, and of what it is trained on.

As `aasce.solvers.base` for films: a method is all that the rest of the kit knows. A scan in, a `VertebraSet` out. Steps
of a pipeline are methods of their own, each of which takes what the one before it found.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from aasce.readers.vertebrae import HEAD_TO_FOOT
from aasce.solvers.base import FitReport, LearnedState, RunFolder, SolverConfig
from aasce.types import AasceError, Array
from aasce.volume import Volume

Need: TypeAlias = Literal["nothing", "centerline", "centroids"]


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """A closed surface.

    Attributes:
        vertices: (N, 3) world mm.
        faces: (F, 3) indices of vertices, counter-clockwise from outside.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class VertebraSet:
    """The vertebrae of one scan.

    Attributes:
        scan_id: of the scan, as its file name says.
        labels: (V,) numbers of VerSe, in the order of the spine from the head, each once.
        centroids: (V, 3) world mm, middle of each body.
        confidence: (V,) in [0, 1].
        masks: labels of VerSe on the scan's own grid, 0 elsewhere; None unless segmented.
        centerline: (N, 3) world mm from the head, through the bodies; None unless a method found it.
        surfaces: by label the fitted surface, of methods that fit one.
        grades: by label the fracture grade (Genant 0 to 3), of methods that grade.
        flags: every flag of scan and method, once.
        method: that answered.
        failure: why there is no answer; None when there is one.

    Raises:
        AasceError: a label is unknown, twice or out of order, or the shapes do not match.
    """

    scan_id: str
    labels: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    centroids: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 3)))
    confidence: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    masks: Volume | None = None
    centerline: NDArray[np.float64] | None = None
    surfaces: Mapping[int, Surface] = field(default_factory=dict)
    grades: Mapping[int, int] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    method: str = ""
    failure: str | None = None

    def __post_init__(self) -> None:
        count = len(self.labels)
        if self.centroids.shape != (count, 3) or self.confidence.shape != (count,):
            raise AasceError(
                f"{self.scan_id}: give one centroid and one confidence for each of {count} labels"
            )
        unknown = set(self.labels.tolist()) - set(HEAD_TO_FOOT)
        if unknown:
            raise AasceError(
                f"{self.scan_id}: labels {sorted(unknown)} are no vertebrae of VerSe (1 to 26, 28)"
            )
        order = [HEAD_TO_FOOT.index(label) for label in self.labels.tolist()]
        if any(b <= a for a, b in pairwise(order)):
            raise AasceError(f"{self.scan_id}: labels {self.labels.tolist()}: give each once, from the head")
        if not np.isfinite(self.centroids).all():
            raise AasceError(f"{self.scan_id}: a centroid is not finite")

    def centroid(self, label: int) -> NDArray[np.float64]:
        """(3,) world mm.

        Raises:
            AasceError: the vertebra is not in the set.
        """
        found = np.flatnonzero(self.labels == label)
        if not len(found):
            raise AasceError(f"{self.scan_id}: has no vertebra {label}")
        return np.asarray(self.centroids[found[0]])

    def with_(self, **changes: Any) -> VertebraSet:
        """The same set with other attributes."""
        return replace(self, **changes)


def vertebra_set(scan_id: str, places: Mapping[int, Sequence[float] | Array], **more: Any) -> VertebraSet:
    """A set from centroids by label, in any order; confidence is 1 unless given by label.

    Args:
        scan_id: of the scan.
        places: by label of VerSe (3,) world mm.
        more: further attributes of `VertebraSet`; `confidence` may be a mapping by label.
    """
    labels = sorted(places, key=lambda label: HEAD_TO_FOOT.index(label) if label in HEAD_TO_FOOT else -1)
    confidence = more.pop("confidence", {})
    return VertebraSet(
        scan_id,
        np.array(labels, np.int64),
        np.array([np.asarray(places[label], np.float64) for label in labels]).reshape(-1, 3),
        np.array([float(confidence.get(label, 1.0)) for label in labels]),
        **more,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Voxels that a network reads: any spacing, orientation and place.

    Attributes:
        shape: (X, Y, Z) voxels.
        affine: (4, 4) voxel to world mm.
    """

    shape: tuple[int, int, int]
    affine: NDArray[np.float64]


class TrainingScan(Protocol):
    """A scan with known vertebrae, of which any number of samples may be drawn.

    A phantom draws its grey values anew for every sample; a patient's scan interpolates its own.

    Attributes:
        scan_id: of the scan.
        bounds: (2, 3) world mm, lower and upper corner of what the scan covers.
        centroids: by label of VerSe (3,) world mm, of all vertebrae whose middle is within the bounds.
    """

    @property
    def scan_id(self) -> str: ...
    @property
    def bounds(self) -> NDArray[np.float64]: ...
    @property
    def centroids(self) -> Mapping[int, NDArray[np.float64]]: ...

    def sample(self, grid: Grid, rng: np.random.Generator, shift: Array | None = None) -> tuple[Array, Array]:
        """HU and labels of VerSe on a grid.

        Args:
            grid: its voxels.
            rng: source of what is drawn anew; the same generator state gives the same sample.
            shift: (X, Y, Z, 3) mm by which each voxel is read elsewhere (elastic deformation); None for none.

        Returns:
            (X, Y, Z) float32 HU (-1000 outside the scan), (X, Y, Z) uint8 labels, 0 elsewhere.
        """
        ...


ScanSet: TypeAlias = Sequence[TrainingScan]


class ScanMethod(ABC):
    """Same scan in, same answer type out.

    A class takes its settings and a device: `MyMethod(config, device="cpu")`.

    Attributes:
        name: of the method, as in the registry.
        Config: its settings; `Config.tiny()` trains in seconds.
        Learned: what training learns besides weights.
        needs: what `start` has to hold.
        trains: False for a method without training.
        config: the settings in use.
        learned: what training learned, read and written with the weights.
        training: how the weights came about.
    """

    name: ClassVar[str]
    Config: ClassVar[type[SolverConfig]]
    Learned: ClassVar[type[LearnedState]] = LearnedState
    needs: ClassVar[Need] = "nothing"
    trains: ClassVar[bool] = True
    config: Any
    learned: Any = LearnedState()
    training: Mapping[str, Any] = {}

    @abstractmethod
    def fit(self, train: ScanSet, validation: ScanSet | None, run: RunFolder) -> FitReport:
        """Trains on `train`, chooses weights on `validation`, writes only below `run.path`."""

    @abstractmethod
    def predict(self, scan: Volume, start: VertebraSet | None = None) -> VertebraSet:
        """The scan's vertebrae.

        Args:
            scan: HU, any grid; the answer's masks are on the same grid.
            start: what the step before found, as `needs` says; its labels, flags and id are carried on.

        Raises:
            AasceError: `start` lacks what the method needs.
        """

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Writes config.yaml, weights.safetensors and state.json; no pickle."""

    @classmethod
    @abstractmethod
    def load(cls, folder: Path, device: str = "cpu") -> Self:
        """Reads what `save` wrote."""

    def start_from(self, folder: Path) -> None:
        """Takes the weights of another run of the same method to train on from.

        Raises:
            AasceError: the method has none, or the folder's do not fit.
        """
        raise AasceError(f"--start {folder}: {self.name} has no weights to go on from; leave --start out")
