"""A progress bar that keeps quiet for short work, and a line for each film that failed."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from aasce.api import MeasuredFile
    from aasce.evaluation.held_out import MeasuredFilm

T = TypeVar("T")
PATIENCE = 2.0
"""Seconds of work before a bar is worth showing."""


def progress(
    values: Iterable[T], total: int, text: str, size: Callable[[T], int] = lambda _: 1
) -> Iterator[T]:
    """Passes values on; a bar appears on stderr when they take over two seconds and a person is watching.

    Args:
        values: passed on.
        total: of their sizes.
        text: what is being done.
        size: how far a value takes the bar.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=console, transient=True)
    task = bar.add_task(text, total=total)
    started, shown = time.monotonic(), False
    try:
        for value in values:
            yield value
            bar.advance(task, size(value))
            if not shown and console.is_terminal and time.monotonic() - started > PATIENCE:
                bar.start()
                shown = True
    finally:
        if shown:
            bar.stop()


def watched_groups(groups: Iterator[list[MeasuredFile]], total: int) -> Iterator[list[MeasuredFile]]:
    """Passes groups of measured films on, with a progress bar and one line on stderr for each film that failed.

    Args:
        groups: as `aasce.api.measure_groups` yields them.
        total: number of files.
    """
    for group in progress(groups, total, "measuring", files_of):
        for file, _, measurement in group:
            if measurement.failure is not None:
                print(f"{file.path}: {measurement.failure}", file=sys.stderr)
        yield group


def files_of(group: Sequence[MeasuredFile]) -> int:
    """Number of files that a group of films came from."""
    return len({file.film_id for file, _, _ in group})


def watched(films: Iterator[MeasuredFilm], paths: Sequence[Path]) -> Iterator[MeasuredFilm]:
    """Passes measured films on, with a progress bar and one line on stderr for each that failed.

    Args:
        films: as `aasce.api.measure_films` yields them.
        paths: their files, in order.
    """
    for path, (film, measurement) in zip(paths, progress(films, len(paths), "measuring"), strict=True):
        if measurement.failure is not None:
            print(f"{path}: {measurement.failure}", file=sys.stderr)
        yield film, measurement
