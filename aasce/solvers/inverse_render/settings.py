"""Settings of `inverse_render`."""

from __future__ import annotations

from typing import Self

from pydantic import Field

from aasce.config import Settings
from aasce.solvers.base import SolverConfig


class Stage(Settings):
    """One step from coarse to fine.

    Attributes:
        rows: height in px that the film is brought to.
        steps: of gradient descent.
        rate: of the optimiser (Adam), in units of each number's own spread.
        blur: px, standard deviation of the smoothing before gradients are compared.
    """

    rows: int = Field(gt=32)
    steps: int = Field(ge=0)
    rate: float = Field(gt=0)
    blur: float = Field(ge=0)


class PriorSettings(Settings):
    """How strongly the spine is held to be a likely one; each is the weight of a mean square.

    Attributes:
        shape: of the tilts, rotations and leans along the principal components of drawn spines, see `prior`.
        spacing: of the logarithm of spacing against the scans' mean, in units of the scans' spread.
        start: of the distance from the landmarks started from, in units of a tenth of a vertebra's width.
    """

    shape: float = 0.01
    spacing: float = 0.01
    start: float = 0.02


class SearchSettings(Settings):
    """The blind start: the best chains of vertebrae of several sizes, see `chain`, and whole spines laid over the film.

    Attributes:
        rows: height in px of the search.
        sizes: lengths of the column T1 to L5 that are tried, as shares of the film's height.
        kept: chains that are fitted further.
        laid, laid_rows, spines: whole spines that are fitted further, found by laying so many drawn ones over the film
            at this height, see `slide`.
        stepped: index of the stage after which it is asked whether the spine stands a vertebra off. At 160 rows
            one that does agrees as well as the true one or better.
        moved, rounds: fits of that stage that are also tried with either end a vertebra higher or lower, and how
            many times over, while it helps.
        explored: steps of gradient descent given to each of these before the best are chosen.
        shape: weight of the shape's likelihood in a blind fit, in place of `PriorSettings.shape`: without landmarks
            that hold it, a loose spine bends to whatever lies near.
        finalists: fits that go on into each stage, the best of what came before; one where stages outnumber them.
    """

    rows: int = 160
    sizes: tuple[float, ...] = (0.5, 0.53, 0.56, 0.6, 0.64, 0.68, 0.72, 0.76, 0.8, 0.84, 0.88, 0.92)
    kept: int = 6
    laid: int = 8
    laid_rows: int = 128
    spines: int = 120
    stepped: int = 1
    moved: int = 2
    rounds: int = 2
    explored: int = 12
    shape: float = 0.05
    finalists: tuple[int, ...] = (7, 5, 2)


class InverseRenderConfig(SolverConfig):
    """Settings of `inverse_render`.

    Attributes:
        start: "blind", or the solver (released name or run folder) whose landmarks the fit starts from.
        stages: from coarse to fine.
        prior: see `PriorSettings`.
        search: see `SearchSettings`.
        margin: px at 512 rows by which the compared region reaches beyond the projected spine.
        window: side of the windows that are compared one by one, as a share of the film's height: about two
            vertebrae. Over the whole spine at once a chain or a lead letter outweighs the upper thorax.
    """

    start: str = "vertebra_field"
    stages: tuple[Stage, ...] = (
        Stage(rows=160, steps=60, rate=0.15, blur=1.5),
        Stage(rows=288, steps=60, rate=0.08, blur=1.2),
        Stage(rows=448, steps=50, rate=0.05, blur=1.0),
        Stage(rows=704, steps=40, rate=0.04, blur=1.0),
    )
    prior: PriorSettings = PriorSettings()
    search: SearchSettings = SearchSettings()
    margin: float = 14.0
    window: float = Field(default=0.08, gt=0, le=1)

    @classmethod
    def tiny(cls) -> Self:
        """Settings that fit in a second, for tests."""
        return cls(
            start="blind",
            stages=(Stage(rows=96, steps=3, rate=0.1, blur=1.0),),
            search=SearchSettings(rows=96, sizes=(0.7, 0.8), kept=1, laid=0, explored=2, rounds=0),
        )
