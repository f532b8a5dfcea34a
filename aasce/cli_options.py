"""What all commands share: exit codes and the options that mean the same everywhere."""

from __future__ import annotations

from typing import Annotated

import typer

USER_ERROR, INTERRUPTED = 2, 130

Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps, or auto for the accelerator at hand.")]
