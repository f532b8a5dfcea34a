"""Tables on the terminal."""

from __future__ import annotations

from rich.console import Console, RenderableType

PIPED_WIDTH = 160
"""Columns where nobody watches: a file or a pipe has no width, and a table folded to 80 is hard to search."""


def show(renderable: RenderableType) -> None:
    """Prints a table to stdout, as wide as the terminal."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=PIPED_WIDTH)
    console.print(renderable)
