"""An encoder learned elsewhere starts the encoder of another solver."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from aasce.solvers.shared.encoders import BackboneSettings, make_encoder
from aasce.solvers.vertebra_field.solver import VertebraFieldSolver
from tools.export_encoder import main


@pytest.fixture
def exported(tmp_path: Path) -> tuple[VertebraFieldSolver, BackboneSettings]:
    solver = VertebraFieldSolver(VertebraFieldSolver.Config.tiny())
    solver.save(tmp_path / "run")
    main(tmp_path / "run", tmp_path / "encoder.safetensors")
    net = solver.config.network
    options = {"channels": list(net.channels), "layers": list(net.layers), "stem_width": net.stem}
    return VertebraFieldSolver.load(tmp_path / "run"), BackboneSettings(
        options=options, weights_file=str(tmp_path / "encoder.safetensors")
    )


def test_another_encoder_begins_with_the_same_features(
    exported: tuple[VertebraFieldSolver, BackboneSettings],
) -> None:
    solver, settings = exported
    encoder, _ = make_encoder(settings, 1, 4, 32, start=True)
    film = torch.randn(1, 1, 64, 32)
    with torch.no_grad():
        ours, theirs = encoder.eval()(film), solver.module.encoder.eval()(film)
    assert len(ours) == len(theirs) == 4
    for mine, original in zip(ours, theirs, strict=True):
        assert torch.allclose(mine, original, atol=1e-4)


def test_maps_beside_the_film_start_from_nothing(
    exported: tuple[VertebraFieldSolver, BackboneSettings],
) -> None:
    solver, settings = exported
    encoder, _ = make_encoder(settings, 3, 4, 32, start=True)
    film = torch.randn(1, 1, 64, 32)
    stack = torch.cat([film, torch.randn(1, 2, 64, 32)], dim=1)
    with torch.no_grad():
        ours, theirs = encoder.eval()(stack), solver.module.encoder.eval()(film)
    assert torch.allclose(ours[0], theirs[0], atol=1e-4)
