"""report.html: one self-contained page, whatever the number of films; it asks no network and no other file."""

from __future__ import annotations

import base64
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from aasce import __version__
from aasce.files import atomic_write
from aasce.scoring.reader_study import GRADES
from aasce.writers.report.entries import NOTICE, Entry, summary_line

HERE = Path(__file__).parent
BIN = 5
"""Degrees of a bar of the histogram."""

STEP, TALLEST = 22, 120
"""Px of the histogram: from bar to bar, and of the highest bar."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of the histogram: films with `low` <= major angle < `high` degrees, and where it is drawn, px."""

    low: int
    high: int
    count: int
    x: int
    height: float


def histogram(majors: Sequence[float]) -> list[Bar]:
    """Bars of 5 degrees from 0 to the largest angle; none without an angle."""
    if not majors:
        return []
    counts = Counter(int(angle // BIN) for angle in majors)
    most = max(counts.values())
    return [
        Bar(k * BIN, (k + 1) * BIN, counts[k], k * STEP, TALLEST * counts[k] / most)
        for k in range(max(counts) + 1)
    ]


def write_html(path: Path, entries: Sequence[Entry]) -> None:
    """Writes the page film by film, so that no more than one picture is in memory.

    Every text is escaped by the template. Pictures are base64 text that the browser decodes when one is opened.

    Args:
        path: of the page.
        entries: films in the order shown first.

    Raises:
        AasceError: the file cannot be written.
    """
    from jinja2 import Environment, FileSystemLoader

    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    bars = histogram([entry.major for entry in entries if entry.major is not None])
    content = environment.get_template("page.html").generate(
        entries=entries,
        style=(HERE / "page.css").read_text("utf-8"),
        script=(HERE / "page.js").read_text("utf-8"),
        base64=_base64,
        size=_size,
        summary=summary_line(entries),
        notice=NOTICE,
        grades=[grade for grade in GRADES if any(entry.severity == grade for entry in entries)],
        bars=bars,
        ticks=_ticks(bars),
        tallest=TALLEST,
        step=STEP,
        definitions=", ".join(sorted({entry.definition for entry in entries if entry.definition})),
        coverages=", ".join(sorted({entry.coverage for entry in entries if entry.coverage})),
        identified=any(entry.identity for entry in entries),
        version=__version__,
    )
    with (
        atomic_write(path) as temporary,
        temporary.open("w", encoding="utf-8", errors="backslashreplace") as page,
    ):
        for part in content:
            page.write(part)


def _ticks(bars: Sequence[Bar]) -> list[Bar]:
    """The bars whose lower bound is written below: every 10 degrees, fewer where there are many."""
    return [bar for bar in bars if bar.low % (10 * math.ceil(len(bars) / 24)) == 0]


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode("ascii")


def _size(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size
