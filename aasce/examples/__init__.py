"""A dozen films that the kit rendered itself, so that a first command needs no data.

No patient is in them: they are X-rays of the spine phantom (`aasce.phantom`, `aasce.xray`), one for every type of
curve and two of other backs. tools/render_examples.py draws them, and the same program on the same machine draws
them again bit for bit. Beside them stand `truth.csv` (name, an1, an2, an3 in degrees, the challenge's definition) and
`landmarks.json` (name -> "size" (rows, columns) and "landmarks" (17, 4, 2) px, T1 to L5, each TL, TR, BL, BR).
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent
TRUTH = FOLDER / "truth.csv"
LANDMARKS = FOLDER / "landmarks.json"


def example_films() -> list[Path]:
    """The rendered films, sorted by name."""
    return sorted(FOLDER.glob("*.jpg"))
