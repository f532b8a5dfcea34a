"""Settings of `inverse_render`."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field

from aasce.config import KIND, Count, Positive, Settings, Weight
from aasce.solvers.base import SolverConfig

Rows = Annotated[int, Field(gt=32, le=8192)]


class Stage(Settings):
    """One step from coarse to fine.

    Attributes:
        rows: height in px that the film is brought to.
        steps: of gradient descent.
        rate: of the optimiser (Adam), in units of each number's own spread.
        blur: px, standard deviation of the smoothing before gradients are compared.
    """

    rows: Rows
    steps: int = Field(ge=0, le=100_000)
    rate: Positive
    blur: Weight


class LandmarkStart(Settings):
    """The fit starts from the landmarks of the localizer.

    Attributes:
        weight: of the mean square distance from these landmarks, in units of a tenth of a vertebra's width.
        shape: weight of the shape's likelihood: the mean square of the tilts, rotations and leans along the principal
            components of drawn spines, see `prior`.
    """

    kind: Literal["landmarks"] = "landmarks"
    weight: Weight = 0.02
    shape: Weight = 0.01


class BlindStart(Settings):
    """The fit starts from nothing but the film set upright.

    The best chains of vertebrae of several sizes, see `chain`, and whole spines laid over the film.

    Attributes:
        rows: height in px of the search.
        sizes: lengths of the column T1 to L5 that are tried, as shares of the film's height.
        kept: chains that are fitted further.
        laid, laid_rows, spines: whole spines that are fitted further, found by laying so many drawn ones over the film
            at this height, see `slide`.
        stepped: index of the stage after which it is asked whether the spine is a vertebra off. At 160 rows
            one that is agrees as well as the true one or better.
        moved, rounds: fits of that stage that are also tried with either end a vertebra higher or lower, and how
            many times over, while it helps.
        explored: steps of gradient descent given to each of these before the best are chosen.
        shape: weight of the shape's likelihood, as in `LandmarkStart` but higher: without landmarks that hold it, a
            loose spine bends to whatever lies near.
        finalists: fits that go on into each stage, the best of what came before; one where stages outnumber them.
    """

    kind: Literal["blind"] = "blind"
    rows: Rows = 160
    sizes: tuple[Annotated[float, Field(gt=0, le=2)], ...] = Field(
        default=(0.5, 0.53, 0.56, 0.6, 0.64, 0.68, 0.72, 0.76, 0.8, 0.84, 0.88, 0.92), min_length=1
    )
    kept: int = Field(default=6, ge=0, le=1000)
    laid: int = Field(default=8, ge=0, le=1000)
    laid_rows: Rows = 128
    spines: Count = 120
    stepped: int = Field(default=1, ge=0, le=100)
    moved: int = Field(default=2, ge=0, le=1000)
    rounds: int = Field(default=2, ge=0, le=100)
    explored: int = Field(default=12, ge=0, le=100_000)
    shape: Weight = 0.05
    finalists: tuple[Count, ...] = (7, 5, 2)


class InverseRenderConfig(SolverConfig):
    """Settings of `inverse_render`.

    Attributes:
        start: from landmarks, or blind.
        stages: from coarse to fine.
        spacing: weight of the mean square of the logarithm of spacing against the scans' mean, in units of the scans'
            spread.
        margin: px at 512 rows by which the compared region reaches beyond the projected spine.
        window: side of the windows that are compared one by one, as a share of the film's height: about two
            vertebrae. Over the whole spine at once a chain or a lead letter outweighs the upper thorax.
    """

    start: Annotated[LandmarkStart | BlindStart, Field(discriminator=KIND)] = LandmarkStart()
    stages: tuple[Stage, ...] = (
        Stage(rows=160, steps=60, rate=0.15, blur=1.5),
        Stage(rows=288, steps=60, rate=0.08, blur=1.2),
        Stage(rows=448, steps=50, rate=0.05, blur=1.0),
        Stage(rows=704, steps=40, rate=0.04, blur=1.0),
    )
    spacing: Weight = 0.01
    margin: Weight = 14.0
    window: Annotated[float, Field(gt=0, le=1)] = 0.08

    @classmethod
    def tiny(cls) -> Self:
        """Settings that fit in a second, for tests."""
        return cls(
            start=BlindStart(rows=96, sizes=(0.7, 0.8), kept=1, laid=0, explored=2, rounds=0),
            stages=(Stage(rows=96, steps=3, rate=0.1, blur=1.0),),
        )
