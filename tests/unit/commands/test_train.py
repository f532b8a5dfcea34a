"""Training that goes on from weights that are there."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from aasce.commands.train import begin_from
from aasce.solvers.vertebra_field.solver import VertebraFieldSolver
from aasce.types import AasceError


def tiny(seed: int) -> VertebraFieldSolver:
    return VertebraFieldSolver(VertebraFieldSolver.Config.tiny().model_copy(update={"seed": seed}))


def test_goes_on_from_a_run(tmp_path: Path) -> None:
    first, second = tiny(0), tiny(1)
    first.save(tmp_path / "run")
    assert not torch.equal(first.module.head.weight, second.module.head.weight)
    begin_from(second, str(tmp_path / "run"))
    assert torch.equal(first.module.head.weight, second.module.head.weight)


def test_weights_of_another_solver() -> None:
    with pytest.raises(AasceError, match="holds weights of 'constant', not of 'vertebra_field'"):
        begin_from(tiny(0), "constant")


def test_weights_of_another_size() -> None:
    with pytest.raises(AasceError, match="does not hold this solver's weights"):
        begin_from(tiny(0), "vertebra_field")
