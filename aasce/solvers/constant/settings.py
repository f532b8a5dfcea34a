"""Settings of the constant predictor."""

from __future__ import annotations

from typing import Literal

from aasce.solvers.base import SolverConfig


class ConstantConfig(SolverConfig):
    """Settings of the constant predictor.

    Attributes:
        statistic: "median" (least absolute error, what SMAPE rewards) or "mean" of each angle.
    """

    statistic: Literal["median", "mean"] = "median"
