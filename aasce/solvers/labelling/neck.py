"""C1 to C7 of training films, where they are known."""

from __future__ import annotations

from collections.abc import Sequence

from aasce.datasets import FilmSet
from aasce.phantom.record import read_centres
from aasce.solvers.labelling.settings import NECK
from aasce.solvers.shared.samples import Floats, Sample


def necks_of(films: FilmSet, samples: Sequence[Sample]) -> list[Floats | None]:
    """(7, 2) px of each sample, from the top; None for a film that no record goes with.

    Args:
        films: of the samples, in the same order.
        samples: the films as they are kept in memory.
    """
    found: list[Floats | None] = []
    for film, sample in zip(films, samples, strict=True):
        centres = read_centres(film.path)
        found.append(None if centres is None else sample.view.apply(centres[:NECK]))
    return found
