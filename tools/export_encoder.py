"""Writes the encoder of a trained vertebra_field as a timm weights file that other solvers start from.

Encoders pretrained on photographs have to be downloaded; one pretrained on rendered films is made with this kit
alone, and its films hold no patient, so that it may start the model of any fold.

    aasce synth --n 2600 --out rendered
    aasce train --solver vertebra_field --data rendered --validation 0 --out runs/rendered
    python -m tools.export_encoder runs/rendered encoder.safetensors
    aasce train --solver multitask_pyramid --set network.encoder=resnet --set network.resnet.name=resnet18d \\
        --set 'network.resnet.options={channels: [32, 64, 128, 256], layers: [2, 2, 2, 1], stem_width: 16}' \\
        --set network.resnet.weights_file=encoder.safetensors --set head.local=1

The settings that take such a file are the `weights_file` of a backbone whose name and options are those of
vertebra_field's encoder: resnet18d, channels [32, 64, 128, 256], layers [2, 2, 2, 2], stem_width 16; fewer layers
take the first of each stage.
"""

from __future__ import annotations

from pathlib import Path

import torch
import typer
from safetensors.torch import save_file

from aasce.solvers.vertebra_field.solver import VertebraFieldSolver
from aasce.types import AasceError

STEM = "conv1.0.weight"


def timm_weights(encoder: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Weights under timm's names, the film's one grey channel standing for the first of a photograph's three.

    timm sums the three where a network takes one. Where it takes three, the film and two maps, the maps start from
    nothing.
    """
    weights = {key: value.detach().float().contiguous() for key, value in encoder.state_dict().items()}
    grey = weights[STEM]
    weights[STEM] = torch.cat([grey, torch.zeros_like(grey), torch.zeros_like(grey)], dim=1).contiguous()
    return weights


def main(run: Path, out: Path) -> None:
    """Reads the run folder of a vertebra_field and writes OUT."""
    solver = VertebraFieldSolver.load(run)
    save_file(timm_weights(solver.module.encoder), str(out))
    typer.echo(f"{out}: encoder of {run}")


if __name__ == "__main__":
    try:
        typer.run(main)
    except AasceError as error:
        raise SystemExit(str(error)) from None
