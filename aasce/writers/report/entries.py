"""One film of the report: what both the HTML page and the PDF say of it, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aasce.ensemble.combine import Measurement
from aasce.geometry.description import Curve, SpineDescription
from aasce.readers.identity import Identity
from aasce.scoring.bootstrap import Interval
from aasce.types import FilmFacts
from aasce.writers.captions import bracket, interval_words
from aasce.writers.describe import description_of


@dataclass(frozen=True, slots=True)
class Entry:
    """One film.

    Attributes:
        name: of the film.
        failure: why it has no angles, "" for a film that has.
        flags: in words.
        degrees: an1 to an3; empty for a film that failed.
        definition: of the angles, "" for a film that failed.
        severity: of the largest curve, "" for a film that failed.
        pattern: the curves of 10 degrees or more in words.
        curves: a line for each measured curve.
        intervals: of an1 to an3 as text, "37.9 to 46.2", "" where there is none; empty for a film that failed.
        coverage: of the intervals as text, "90 % intervals", "" without any.
        balance: tilt and shift of T1, height of the trunk, a line each where known.
        confidence: in [0, 1].
        solver: that measured it.
        identity: what the file's header says of the patient; empty unless it was asked for.
        picture, thumbnail: JPEG files, None where there is no picture.
    """

    name: str
    failure: str
    flags: tuple[str, ...]
    degrees: tuple[float, ...]
    definition: str
    severity: str
    pattern: str
    curves: tuple[str, ...]
    balance: tuple[str, ...]
    confidence: float
    solver: str
    identity: Identity = ()
    picture: Path | None = None
    thumbnail: Path | None = None
    intervals: tuple[str, ...] = ()
    coverage: str = ""

    @property
    def major_interval(self) -> str:
        """Interval of the largest angle, "" where there is none."""
        found = dict(zip(self.degrees, self.intervals, strict=False))
        return found.get(max(self.degrees), "") if self.degrees else ""

    @property
    def major(self) -> float | None:
        """The largest angle, degrees."""
        return max(self.degrees) if self.degrees else None

    @property
    def rank(self) -> tuple[int, str]:
        """Films that need a look come first: those that failed, then those with flags."""
        return (0 if self.failure else 1 if self.flags else 2), self.name


def entry_of(
    facts: FilmFacts,
    measurement: Measurement,
    identity: Identity = (),
    picture: Path | None = None,
    thumbnail: Path | None = None,
) -> Entry:
    """Puts a measured film into words; see `Entry` for the arguments."""
    prediction, angles = measurement.prediction, measurement.angles
    found = description_of(facts, measurement)
    largest = None if found is None else max(found.curves, key=lambda curve: curve.degrees)
    return Entry(
        name=facts.film_id,
        failure=" ".join((measurement.failure or "").split()),
        flags=tuple(flag.replace("_", " ") for flag in prediction.flags),
        degrees=() if angles is None else tuple(float(value) for value in angles.degrees),
        definition="" if angles is None else angles.definition,
        severity="" if largest is None else largest.severity,
        pattern="" if found is None else found.pattern,
        curves=()
        if found is None
        else tuple(curve_words(c, i) for c, i in zip(found.curves, measurement.intervals, strict=True)),
        balance=() if found is None else tuple(balance_words(found, facts)),
        confidence=float(prediction.confidence),
        solver=prediction.solver,
        identity=identity,
        picture=picture,
        thumbnail=thumbnail,
        intervals=() if angles is None else tuple(bracket(one).strip(" ()") for one in measurement.intervals),
        coverage="" if measurement.coverage is None else interval_words(measurement.coverage),
    )


def curve_words(curve: Curve, interval: Interval | None = None) -> str:
    """As "an1 41.3° (37.9 to 46.2), T6 to L1, apex T9, main thoracic, convex right, severe"."""
    parts = [f"an{curve.number} {curve.degrees:.1f}°{bracket(interval)}"]
    if curve.upper and curve.upper != curve.lower:
        parts.append(f"{curve.upper} to {curve.lower}")
        parts += [f"apex {curve.apex}"] if curve.apex else []
    parts += [curve.region] if curve.region else []
    parts += [f"convex {curve.side}"] if curve.side and curve.region else []
    return ", ".join([*parts, curve.severity])


def balance_words(found: SpineDescription, facts: FilmFacts) -> list[str]:
    """Lengths in mm where the file says how large a pixel is, else in px."""
    lines = []
    if found.t1_tilt_deg is not None:
        lower = "right" if found.t1_tilt_deg > 0 else "left"
        level = round(abs(found.t1_tilt_deg), 1) == 0
        lines.append(
            "T1 level" if level else f"T1 tilted by {abs(found.t1_tilt_deg):.1f}°, image {lower} lower"
        )
    shift = _length(found.t1_shift_mm, found.t1_shift_px)
    if shift is not None and found.t1_shift_px is not None:
        lines.append(f"T1 {shift} to the image {'right' if found.t1_shift_px > 0 else 'left'} of L5")
    height = _length(found.trunk_height_mm, found.trunk_height_px)
    if height is not None:
        lines.append(f"T1 to L5 {height} high")
    if lines and found.t1_shift_mm is not None and facts.spacing_source:
        lines.append(f"mm by {facts.spacing_source}")
    return lines


def _length(mm: float | None, px: float | None) -> str | None:
    if mm is not None:
        return f"{abs(mm):.0f} mm"
    return None if px is None else f"{abs(px):.0f} px"


def summary_line(entries: Sequence[Entry]) -> str:
    """How many films, how many of them failed or are flagged, and the major angles in short."""
    count = len(entries)
    measured = sorted(entry.major for entry in entries if entry.major is not None)
    parts = [f"{count} film{'' if count == 1 else 's'}", f"{len(measured)} measured"]
    parts.append(f"{sum(bool(entry.failure) for entry in entries)} failed")
    parts.append(f"{sum(bool(entry.flags) and not entry.failure for entry in entries)} measured with flags")
    if measured:
        half = len(measured) // 2
        median = measured[half] if len(measured) % 2 else (measured[half - 1] + measured[half]) / 2
        parts.append(f"major angle {measured[0]:.1f}° to {measured[-1]:.1f}°, median {median:.1f}°")
    return ", ".join(parts)


NOTICE = (
    "Not a medical device. These angles were measured by a program for research; a qualified reader confirms each one "
    "on the original film."
)
