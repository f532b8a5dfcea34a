"""`aasce measure-landmarks`: landmarks that were corrected or drawn by hand to angles, by the kit's own geometry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aasce.commands.staging import staged
from aasce.ensemble import Measurement, with_angles
from aasce.readers.landmarks import read_landmarks
from aasce.types import AasceError, Definition, FilmFacts
from aasce.writers import write_predictions
from aasce.writers.records import write_records


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a call of `measure-landmarks` measured.

    Attributes:
        rows: every film of every file that could be read, in this order.
        faults: a line for each file that could not be read.
    """

    rows: tuple[tuple[FilmFacts, Measurement], ...]
    faults: tuple[str, ...]

    @property
    def measurements(self) -> tuple[Measurement, ...]:
        return tuple(measurement for _, measurement in self.rows)

    @property
    def failures(self) -> int:
        """Films without angles, and files that could not be read."""
        return len(self.faults) + sum(measurement.failure is not None for measurement in self.measurements)


def measure_landmarks(
    files: Sequence[Path], out: Path, definition: Definition = "challenge", height: int | None = None
) -> Outcome:
    """Measures the films of files of landmarks and writes predictions.csv and predictions.json.

    Args:
        files: of any format that `read_landmarks` knows.
        out: a folder; nothing is written where no file could be read.
        definition: of the angles.
        height: rows of the films, where a file does not say.

    Raises:
        AasceError: two files hold a film of one name, a file would be overwritten, or the results cannot be written.
    """
    names = ("predictions.csv", "predictions.json")
    for file in files:
        if file.resolve() in {(out / name).resolve() for name in names}:
            raise AasceError(f"{file}: would be overwritten; choose another folder with --out")
    rows: dict[str, tuple[FilmFacts, Measurement]] = {}
    sources: dict[str, Path] = {}
    faults = []
    for file in files:
        try:
            films = read_landmarks(file, height)
        except AasceError as error:
            faults.append(str(error))
            continue
        for facts, prediction in films:
            if facts.film_id in rows:
                other = sources[facts.film_id]
                raise AasceError(f"{file}: film {facts.film_id!r} is in {other} too; give each film once")
            rows[facts.film_id] = facts, with_angles(prediction, definition)
            sources[facts.film_id] = file
    outcome = Outcome(tuple(rows.values()), tuple(faults))
    if rows:
        with staged(out) as folder:
            write_predictions(
                folder / names[0], outcome.measurements, {f.film_id: f for f, _ in rows.values()}
            )
            write_records(folder / names[1], outcome.rows)
    return outcome


def summary(outcome: Outcome, out: Path) -> str:
    """One line: how many films were measured, how many failed, and where the tables are."""
    count = len(outcome.rows)
    failed = sum(measurement.failure is not None for measurement in outcome.measurements)
    return f"{out / 'predictions.csv'}: {count} film{'s' if count > 1 else ''}{f', {failed} failed' if failed else ''}"
