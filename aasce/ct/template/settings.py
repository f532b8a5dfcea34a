"""Settings of `template`."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator

from aasce.config import Count, Positive, Settings, Share, Weight
from aasce.solvers.base import SolverConfig


class Stage(Settings):
    """One step of the fit, from coarse to fine.

    Attributes:
        steps: of the optimiser.
        blur: mm, standard deviation of the Gaussian that low-passes the scan.
        alpha: exponent of the spectral update: large moves the coarse modes alone, small lets fine ones follow.
        affine: learning rate of A_i, mm a step; 0 keeps A_i.
        spectral: learning rate of U_i's coarsest mode, mm a step; 0 keeps U_i.
    """

    steps: int = Field(ge=0, le=100_000)
    blur: Weight
    alpha: Weight
    affine: Weight
    spectral: Weight


class LossWeights(Settings):
    """Weights of the losses.

    Attributes:
        image: L_I, L1 between the rendered and the scan's intensity.
        edge: L_E, edges that are longer or shorter than the template's.
        normal: L_N, normals that do not point against the image's gradient.
        overlap: L_O, neighbours inside each other.
        variance: L_V, neighbours that are deformed differently.
    """

    image: Weight = 1.0
    edge: Weight = 0.03
    normal: Weight = 0.5
    overlap: Weight = 0.01
    variance: Weight = 0.01


class Appearance(Settings):
    """f_theta, intensity by signed distance.

    Attributes:
        shared: one function for the whole spine, one a region, or one a level.
        bands: sines and cosines of the distance; the first has the wavelength `reach`, each next one half of it.
        reach: mm.
        width: of the two hidden layers.
        lr: learning rate of Adam.
        warmup: steps on the first stage's scan before the template moves.
    """

    shared: Literal["spine", "region", "level"] = "region"
    bands: Count = 4
    reach: Positive = 32.0
    width: Count = 32
    lr: Positive = 0.01
    warmup: int = Field(default=60, ge=0, le=100_000)


class Sampling(Settings):
    """Points at which the scan is compared with the rendered template.

    Attributes:
        points: a vertebra and step.
        near: share of them whose distance from the surface is drawn from a Gaussian; the others' is uniform.
        sd: mm, of the Gaussian.
        far: mm, largest distance from the surface.
        candidates: triangles near a point, of which the nearest is looked for.
    """

    points: Count = 500
    near: Share = 0.7
    sd: Positive = 2.5
    far: Positive = 10.0
    candidates: Count = 8


class TemplateConfig(SolverConfig):
    """Settings of `template`.

    Attributes:
        window: HU, limits beyond which intensities are cut off; [0, 1] in the fit.
        neighbours: the vertebrae above the first and below the last given one are fitted, too, and left out of the
            answer.
        modes: of the Laplacian that carry U_i.
        spectral_update: False moves all modes alike.
        vectorwise: AdamVector; False takes AdamW's second moments by component.
        weight_decay: a step and unit of learning rate, by which A_i and U_i return to the template.
        loss: see `LossWeights`.
        appearance: see `Appearance`.
        sampling: see `Sampling`.
        stages: from coarse to fine.
    """

    window: tuple[float, float] = (-200.0, 800.0)
    neighbours: bool = True
    modes: Annotated[int, Field(ge=4, le=2000)] = 200
    spectral_update: bool = True
    vectorwise: bool = True
    weight_decay: Weight = 0.03
    loss: LossWeights = LossWeights()
    appearance: Appearance = Appearance()
    sampling: Sampling = Sampling()
    stages: tuple[Stage, ...] = (
        Stage(steps=80, blur=1.8, alpha=2.0, affine=0.1, spectral=0.0),
        Stage(steps=120, blur=1.2, alpha=0.8, affine=0.07, spectral=0.15),
        Stage(steps=140, blur=0.7, alpha=0.4, affine=0.05, spectral=0.1),
    )

    @field_validator("window")
    @classmethod
    def _ascends(cls, window: tuple[float, float]) -> tuple[float, float]:
        if window[0] >= window[1]:
            raise ValueError("the smaller limit comes first")
        return window

    @classmethod
    def tiny(cls) -> Self:
        """Settings that fit in seconds, for tests."""
        return cls(
            modes=20,
            appearance=Appearance(warmup=10, width=8),
            sampling=Sampling(points=60, candidates=6),
            stages=(
                Stage(steps=4, blur=2.0, alpha=2.0, affine=0.1, spectral=0.0),
                Stage(steps=4, blur=1.0, alpha=1.0, affine=0.1, spectral=0.1),
            ),
        )
