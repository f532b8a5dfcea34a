"""What a call of `predict` has measured so far, kept on the disk, so that a call that was cut off can go on.

Films are measured in groups; a group's rows stand in the journal once its overlays and other outputs are written. A
call that goes on repeats the group that was cut off and takes the rows of the others as they stand, so that its tables
are those of a call that was never interrupted, to the byte.
"""

from __future__ import annotations

import json
import shutil
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aasce.commands.staging import FILES, JOURNAL, fault, held, missing, move, remove_empty, sweep
from aasce.ensemble import Measurement
from aasce.files import write_text
from aasce.types import AasceError, FilmFacts
from aasce.writers.records import film_record, read_record

CALL, ROWS, CLOSED, DONE = "call.json", "journal.jsonl", "closed.txt", "done.json"

Row = tuple[FilmFacts, Measurement]


@dataclass(slots=True)
class Run:
    """One call of `predict` at work.

    Attributes:
        folder: where the results go.
        place: the hidden folder in it.
        total: number of files to measure.
        rows: films measured so far; no masks.
        files: number of files that they came from.
        faults: outputs that could not be written.
        exposures: see `aasce.api.measure_groups`, which adds to it.
        noted: how many of the exposures stand in the journal.
        done: whether all is measured and written, and only has to be moved.
    """

    folder: Path
    place: Path
    total: int
    rows: list[Row] = field(default_factory=list)
    files: int = 0
    faults: int = 0
    exposures: dict[str, str] = field(default_factory=dict)
    noted: int = 0
    done: bool = False

    @property
    def staging(self) -> Path:
        """Where outputs wait until all are there."""
        return self.place / FILES

    def add(self, films: Sequence[Row], files: int, faults: int) -> None:
        """Notes a group of films whose outputs are written.

        Args:
            films: of the group.
            files: that they came from.
            faults: outputs of these films that could not be written.
        """
        group = {
            "films": [film_record(facts, measurement, whole_path=True) for facts, measurement in films],
            "files": files,
            "faults": faults,
            "exposures": dict(list(self.exposures.items())[self.noted :]),
        }
        line = json.dumps(group)
        with (self.place / ROWS).open("a", encoding="ascii") as stream:
            stream.write(line + "\n")
        self.take(json.loads(line))

    def take(self, group: Mapping[str, Any]) -> None:
        """Takes a group of films as the journal has it."""
        self.rows += [read_record(record) for record in group["films"]]
        self.files += group["files"]
        self.faults += group["faults"]
        self.exposures |= group["exposures"]
        self.noted = len(self.exposures)

    @property
    def closed(self) -> int:
        """Number of outputs of the whole call that are written; they may have removed what they were made of."""
        path = self.place / CLOSED
        return int(path.read_text(encoding="ascii")) if path.is_file() else 0

    @closed.setter
    def closed(self, count: int) -> None:
        write_text(self.place / CLOSED, str(count))

    def finish(self, earlier: Sequence[str]) -> list[str]:
        """Moves all outputs to their places, and removes those of an earlier call that this one has not made.

        Args:
            earlier: files of the earlier call, relative to the folder.

        Returns:
            What was removed.
        """
        listed = self.place / DONE
        if not self.done:
            made = [path.relative_to(self.staging).as_posix() for path in _files_in(self.staging)]
            write_text(listed, json.dumps(made))
            self.done = True
        now = set(json.loads(listed.read_text(encoding="utf-8")))
        move(self.staging, self.folder)
        removed = [name for name in earlier if name not in now and (self.folder / name).is_file()]
        for name in removed:
            (self.folder / name).unlink()
        remove_empty(sorted({(self.folder / name).parent for name in removed}, reverse=True))
        return removed


def _files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


@contextmanager
def open_run(folder: Path, call: Mapping[str, Any], total: int, resume: bool) -> Iterator[Run]:
    """A run that writes into `folder`, new or gone on with; what it measured stays when it is cut off.

    SIGTERM and SIGHUP interrupt it as Ctrl-C does. A new run removes what a run that was cut off has left.

    Args:
        folder: where the results go.
        call: what the results depend on, plain values only; a run goes on only where it began with the same.
        total: number of files to measure.
        resume: go on with a run that was cut off; without one, begin.

    Raises:
        AasceError: another run is at work in the folder, or the one that was cut off began otherwise, or the folder
            cannot be written to.
    """
    made = missing(folder)
    place = folder / JOURNAL
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        remove_empty(made)
        raise AasceError(fault(folder, error)) from error
    run = Run(folder, place, total)
    with held(place, folder):
        sweep(folder)
        try:
            _begin(run, json.dumps(call, sort_keys=True), resume)
            with interruptible(), _kept(run):
                yield run
            shutil.rmtree(place, ignore_errors=True)
        except OSError as error:
            remedy = "free the disk and go on with --resume," if run.files else "free the disk"
            raise AasceError(fault(folder, error, remedy)) from error
        finally:
            if not run.files:  # nothing to go on with
                shutil.rmtree(place, ignore_errors=True)
                remove_empty(made)


def _begin(run: Run, call: str, resume: bool) -> None:
    """Reads the journal of the run to go on with, or begins one."""
    known, journal = run.place / CALL, run.place / ROWS
    groups = _groups(journal)
    if resume and groups:
        other = _differences(known, call)
        if other:
            run.files = sum(group["files"] for group in groups)
            raise AasceError(
                f"{run.folder}: the interrupted run began with other {', '.join(other)}; "
                "give the same films and options, or leave out --resume to begin anew"
            )
        for group in groups:
            run.take(group)
        run.done = (run.place / DONE).is_file()
        # A line that was cut off goes, so that the next one begins on a line of its own.
        write_text(journal, "".join(json.dumps(group) + "\n" for group in groups))
        return
    if groups:
        films = sum(group["files"] for group in groups)
        print(
            f"{run.folder}: begins anew; {films} films of an interrupted run are dropped (--resume goes on)",
            file=sys.stderr,
        )
    for name in (ROWS, CLOSED, DONE):
        (run.place / name).unlink(missing_ok=True)
    shutil.rmtree(run.staging, ignore_errors=True)
    run.staging.mkdir()
    write_text(known, call)


def _differences(known: Path, call: str) -> list[str]:
    """In what a call differs from the one that was cut off, in the keys of `call.json`."""
    before, now = json.loads(known.read_text(encoding="utf-8")), json.loads(call)
    return [key for key in now if before.get(key) != now[key]]


def _groups(journal: Path) -> list[dict[str, Any]]:
    """The groups of a journal, up to the first line that is not whole."""
    groups: list[dict[str, Any]] = []
    with suppress(OSError, ValueError), journal.open(encoding="ascii") as stream:
        for line in stream:
            group = json.loads(line)
            for record in group["films"]:
                read_record(record)
            groups.append(group)
    return groups


@contextmanager
def _kept(run: Run) -> Iterator[None]:
    """Says of a run that is cut off what is kept, and how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        rest = "nothing was measured yet"
        if run.files:
            rest = f"{run.files} of {run.total} films are kept; the same command with --resume goes on"
        print(f"{run.folder}: interrupted, {rest}", file=sys.stderr)
        raise
    except AasceError as error:
        if not run.files:
            raise
        raise AasceError(f"{error}; {run.files} of {run.total} films are kept, --resume goes on") from error


@contextmanager
def interruptible() -> Iterator[None]:
    """Inside, a signal that ends the process raises KeyboardInterrupt, as Ctrl-C does; one that is ignored stays so."""
    before = {}
    if threading.current_thread() is threading.main_thread():
        for name in ("SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) == signal.SIG_DFL:
                before[number] = signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
