"""How small and how large a film may be."""

from __future__ import annotations

from pathlib import Path

from aasce.types import AasceError

MIN_SIDE = 32
MAX_SIDE = 20_000
MAX_PIXELS = 200_000_000


def check_size(path: Path, size: tuple[int, int]) -> None:
    """Refuses a film by its header, before memory is spent on its pixels.

    Args:
        path: of the film, for the message.
        size: (H, W).

    Raises:
        AasceError: a side is under 32 px (no spine shows) or over 20,000 px, or the film over 200 megapixels.
    """
    height, width = size
    if min(size) < MIN_SIDE:
        raise AasceError(f"{path}: {width}x{height} px is too small; give at least {MIN_SIDE} px a side")
    if max(size) > MAX_SIDE or height * width > MAX_PIXELS:
        raise AasceError(
            f"{path}: {width}x{height} px is too large; scale it to at most {MAX_SIDE} px a side"
        )
