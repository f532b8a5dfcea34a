"""Films that `vertebra_field` trains on: kept in memory, from several sources, drawn by their shares."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from aasce.datasets import (
    FilmSet,
    data_root,
    names_levels,
    read_challenge,
    read_spinal_ai2024,
    unlabelled_films,
)
from aasce.geometry.spine import order_vertebrae, repair_corners
from aasce.preprocess.intensity import Bytes, to_uint8
from aasce.solvers.vertebra_field.settings import BackgroundSettings, SourcesSettings
from aasce.types import AasceError, Radiograph

Floats = NDArray[np.float64]
Source: TypeAlias = Literal["data", "rendered", "spinal_ai2024"]

KEPT_SPACING = 50.0
"""px between vertebra centres of films kept in memory: more than on any canvas, so few that 481 films fit."""


@dataclass(frozen=True, slots=True)
class FieldSample:
    """A labelled film kept in memory.

    Attributes:
        pixels: (H, W) uint8.
        landmarks: (V, 4, 2) px, from the top, corners in order; V is 17 where levels are named.
        source: where it is from.
        named: whether the vertebrae are T1 to L5; else nothing is known of their levels.
    """

    pixels: Bytes
    landmarks: Floats
    source: Source = "data"
    named: bool = True


@dataclass(frozen=True, slots=True)
class Pool:
    """The samples of one further source, and the share of all samples that are drawn from it."""

    samples: list[FieldSample]
    share: float


def load_samples(films: FilmSet, source: Source = "data") -> list[FieldSample]:
    """Reads labelled films once, see `field_sample`; films without landmarks are left out."""
    return [
        field_sample(films.radiograph(index), film.landmarks, source, names_levels(film))
        for index, film in enumerate(films)
        if film.landmarks is not None
    ]


def field_sample(
    film: Radiograph, landmarks: Floats, source: Source = "data", named: bool = True
) -> FieldSample:
    """A film reduced to `KEPT_SPACING`, order of vertebrae and corners repaired.

    Args:
        film: as read.
        landmarks: (V, 4, 2) px of the film.
        source, named: see `FieldSample`.
    """
    landmarks = repair_corners(order_vertebrae(landmarks))
    pixels = to_uint8(film.pixels)
    steps = np.linalg.norm(np.diff(landmarks.mean(axis=1), axis=0), axis=1)
    scale = min(1.0, KEPT_SPACING / float(steps.mean()))
    height, width = pixels.shape
    size = (round(height * scale), round(width * scale))
    ratio = np.array([size[1] / width, size[0] / height])
    small = cv2.resize(pixels, (size[1], size[0]), interpolation=cv2.INTER_AREA)
    return FieldSample(np.asarray(small, np.uint8), (landmarks + 0.5) * ratio - 0.5, source, named)


def load_backgrounds(settings: BackgroundSettings | None, data: Path | None = None) -> list[Bytes]:
    """Films of the whole body into which labelled films are placed; the last ones of their folder by name.

    Args:
        settings: which films; None for no films.
        data: folder of the data set; None takes the one that AASCE_DATA names.
    """
    if settings is None:
        return []
    films = unlabelled_films(_below(settings.folder, data))
    first = round(len(films) * (1 - settings.film_share))
    return [to_uint8(films.radiograph(i).pixels) for i in range(first, len(films))]


def _below(folder: str, data: Path | None) -> Path:
    """A folder of the settings: a path, or a name below the data set's folder."""
    path = Path(folder).expanduser()
    return path if path.is_absolute() else data_root(data) / path


def load_pools(settings: SourcesSettings, data: Path | None = None) -> list[Pool]:
    """The further sources that samples are drawn from; those without a share are not read.

    Args:
        settings: which films.
        data: folder of the data set; None takes the one that AASCE_DATA names.

    Raises:
        AasceError: a share asks for films that are not there.
    """
    pools = []
    rendered, generated = settings.rendered, settings.spinal_ai2024
    if rendered.share > 0 and rendered.folder is not None:
        path = _present(rendered.folder, data, "rendered", rendered.share)
        pools.append(Pool(load_samples(read_challenge(path), "rendered"), rendered.share))
    if generated.share > 0:
        path = _present(generated.folder, data, "spinal_ai2024", generated.share)
        films = read_spinal_ai2024(path, generated.part, generated.aligned).films
        pools.append(Pool(load_samples(films, "spinal_ai2024"), generated.share))
    if not all(pool.samples for pool in pools):
        raise AasceError("a source of films holds none that can be used; set its share to 0")
    return pools


def _present(folder: str, data: Path | None, source: str, share: float) -> Path:
    path = _below(folder, data)
    if not path.is_dir():
        raise AasceError(
            f"{path}: no such folder, but sources.{source}.share is {share:g}; name the films with "
            f"sources.{source}.folder, or set the share to 0"
        )
    return path


def mixed_order(
    films: Sequence[int], shares: Sequence[float], size: tuple[int, int], stream: tuple[int, ...], epoch: int
) -> Iterator[list[int]]:
    """Which films are in each batch of an epoch, drawn from several sources by their shares.

    Each source is gone through in random order, again and again, from where the last epoch ended, so that none of its
    films is drawn twice before all are drawn once.

    Args:
        films: number of films of each source.
        shares: of the samples, 1 together.
        size: batches, and films in a batch.
        stream: the seed of the run and numbers of the task.
        epoch: number of the epoch.

    Returns:
        Indices into the films of all sources, one source after the other.
    """
    counts = _apportioned(shares, size[0] * size[1])
    first = np.concatenate([[0], np.cumsum(films)[:-1]])
    chosen = [
        first[k] + _walk(films[k], epoch * count, count, (*stream, k))
        for k, count in enumerate(counts)
        if count
    ]
    order = np.random.default_rng((*stream, epoch)).permutation(np.concatenate(chosen))
    yield from order.reshape(size).tolist()


def _apportioned(shares: Sequence[float], total: int) -> list[int]:
    """Whole numbers that add up to `total`, by largest remainder."""
    exact = np.asarray(shares, np.float64) * total
    counts = np.floor(exact + 1e-9).astype(int)
    order = np.argsort(counts - exact, kind="stable")
    counts[order[: total - int(counts.sum())]] += 1
    return [int(count) for count in counts]


def _walk(films: int, start: int, count: int, stream: tuple[int, ...]) -> NDArray[np.intp]:
    """(count,) indices from place `start` of an endless sequence of random orders of `films` films."""
    rounds = range(start // films, (start + count - 1) // films + 1)
    orders = [np.random.default_rng((*stream, turn)).permutation(films) for turn in rounds]
    offset = start - rounds.start * films
    return np.concatenate(orders)[offset : offset + count].astype(np.intp)
