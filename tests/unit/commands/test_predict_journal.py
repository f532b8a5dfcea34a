"""A call that is cut off, in whatever way, keeps what it measured and goes on to the same tables."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image

from aasce.api import Single, load_single
from aasce.commands import predict as prediction
from aasce.commands.journal import Run, interruptible, open_run
from aasce.commands.predict import Outcome, PredictOptions
from aasce.commands.staging import JOURNAL, LOCK, OLD, staged
from aasce.readers import FilmFile, list_films
from aasce.scoring.conformal import IntervalRule, SeverityGroup
from aasce.types import AasceError, Radiograph

FILMS = 11
"""Two whole groups of four films, and three more."""

TABLES = ("predictions.csv", "predictions.json", "submission.csv")


@pytest.fixture
def films(tmp_path: Path) -> tuple[FilmFile, ...]:
    folder = tmp_path / "films"
    folder.mkdir()
    for k in range(FILMS - 2):
        values = np.random.default_rng(k).integers(0, 255, (40, 40), np.uint8)
        Image.fromarray(values).save(folder / f"f{k:02d}.png")
    (folder / "f04 damaged.png").write_bytes(b"no film")
    (folder / "f09.png").write_bytes((folder / "f01.png").read_bytes())  # the same exposure
    return list_films([folder]).files


def call(
    films: tuple[FilmFile, ...], out: Path, resume: bool = False, measurer: Single | None = None
) -> Outcome:
    options = PredictOptions(out, overlay=True, resume=resume)
    return prediction.predict(films, measurer or load_single("constant"), options)


def with_intervals() -> Single:
    """A solver whose angles have intervals of 1/3 degrees to either side, but for an3."""
    solver = load_single("constant").solvers[0]
    scores, scale = ((1 / 3,) * 9, (1 / 3,) * 9, ()), (0.0, 0.0, 0.0)
    groups = (SeverityGroup(below=None, scores=scores),)
    rule = IntervalRule(definition="challenge", films=9, scales=(scale, scale, scale), groups=groups)
    solver.learned = solver.learned.model_copy(update={"intervals": (rule,)})
    return Single(("constant",), (solver,))


def contents(out: Path) -> dict[str, bytes]:
    files = (path for path in out.rglob("*") if path.is_file() and path.name != "manifest.json")
    return {str(path.relative_to(out)): path.read_bytes() for path in files}


def stopping(after: int, how: type[BaseException]) -> Callable[..., None]:
    """An overlay writer that ends the call at a film."""
    save, seen = prediction.save_overlay, []

    def stop(path: Path, drawn: object) -> None:
        seen.append(path)
        if len(seen) > after:
            raise how
        save(path, drawn)  # type: ignore[arg-type]

    return stop


@pytest.mark.parametrize("after", [4, 6, 8])
def test_a_call_that_goes_on_ends_as_one_that_was_never_cut_off(
    films: tuple[FilmFile, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    after: int,
) -> None:
    whole = call(films, tmp_path / "whole", measurer=with_intervals())
    with monkeypatch.context() as patch:
        patch.setattr(prediction, "save_overlay", stopping(after, KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            call(films, tmp_path / "cut", measurer=with_intervals())
    assert [path.name for path in (tmp_path / "cut").iterdir()] == [JOURNAL]
    kept = 4 if after < 7 else 8  # whole groups; one film of the second cannot be drawn
    line = f"{tmp_path / 'cut'}: interrupted, {kept} of {FILMS} films are kept; the same command with --resume goes on"
    assert capsys.readouterr().err.splitlines()[-1] == line
    read: list[str] = []
    monkeypatch.setattr("aasce.api.read_films", reading(read))
    again = call(films, tmp_path / "cut", resume=True, measurer=with_intervals())
    assert read == [film.film_id for film in films[kept:]]
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")
    assert (again.failures, again.faults) == (whole.failures, whole.faults) == (1, 0)
    assert "same_exposure" in (tmp_path / "cut" / "predictions.csv").read_text()
    with (tmp_path / "cut" / "predictions.csv").open(newline="") as stream:
        first = next(csv.DictReader(stream))
    ends = [float(first[end]) - float(first["an1"]) for end in ("an1_low", "an1_high")]
    assert ends == pytest.approx([-1 / 3, 1 / 3], abs=2e-4)
    assert (first["an3_low"], first["an3_high"], first["coverage"]) == ("", "", "0.9000")


def reading(read: list[str]) -> Callable[[Path, str], list[Radiograph]]:
    from aasce.readers import read_films

    def noted(path: Path, film_id: str) -> list[Radiograph]:
        read.append(film_id)
        return read_films(path, film_id)

    return noted


@pytest.mark.parametrize("step", ["write_tables", "write_manifest", "move"])
def test_a_call_cut_off_at_its_end_measures_nothing_again(
    films: tuple[FilmFile, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    call(films, tmp_path / "whole")

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    home = "aasce.commands.journal" if step == "move" else "aasce.commands.predict"
    with monkeypatch.context() as patch:
        patch.setattr(f"{home}.{step}", stop)
        with pytest.raises(KeyboardInterrupt):
            call(films, tmp_path / "cut")
    read: list[str] = []
    monkeypatch.setattr("aasce.api.read_films", reading(read))
    call(films, tmp_path / "cut", resume=True)
    assert (read, contents(tmp_path / "cut")) == ([], contents(tmp_path / "whole"))


def test_a_row_that_was_cut_off_is_measured_again(films: tuple[FilmFile, ...], tmp_path: Path) -> None:
    call(films, tmp_path / "whole")
    out = tmp_path / "cut"
    cut_off(out, films)
    journal = out / JOURNAL / "journal.jsonl"
    journal.write_bytes(journal.read_bytes()[:-20])
    call(films, out, resume=True)
    assert contents(out) == contents(tmp_path / "whole")


def asked(films: tuple[FilmFile, ...], out: Path) -> dict[str, object]:
    return prediction.call_of(films, load_single("constant"), PredictOptions(out, overlay=True))


def cut_off(out: Path, films: tuple[FilmFile, ...]) -> None:
    """A call that is interrupted when its last film was measured."""
    options = PredictOptions(out, overlay=True)
    with suppress(KeyboardInterrupt), open_run(out, asked(films, out), FILMS, False) as run:
        prediction.measure_all(run, films, load_single("constant"), options, [])
        raise KeyboardInterrupt


def test_a_call_goes_on_only_as_it_began(films: tuple[FilmFile, ...], tmp_path: Path) -> None:
    cut_off(tmp_path, films)
    with pytest.raises(AasceError, match="began with other films"):
        call(films[1:], tmp_path, resume=True)
    films[0].path.write_bytes(films[1].path.read_bytes())
    with pytest.raises(AasceError, match="began with other films"):
        call(films, tmp_path, resume=True)
    assert (tmp_path / JOURNAL).is_dir()


def test_a_new_call_says_what_it_drops(
    films: tuple[FilmFile, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut_off(tmp_path, films)
    capsys.readouterr()
    call(films[:2], tmp_path)
    assert f"{FILMS} films of an interrupted run are dropped (--resume goes on)" in capsys.readouterr().err
    assert not (tmp_path / JOURNAL).exists()


def test_two_calls_at_once_do_not_share_a_folder(films: tuple[FilmFile, ...], tmp_path: Path) -> None:
    def second(_: Run) -> None:
        with pytest.raises(AasceError, match=rf"another run \(process {os.getpid()}\) is writing there"):
            call(films, tmp_path)

    with open_run(tmp_path, asked(films, tmp_path), FILMS, False) as run:
        second(run)
    assert len(call(films, tmp_path).measurements) == FILMS


def test_leftovers_of_dead_runs_are_removed_and_a_living_ones_stay(tmp_path: Path) -> None:
    dead, alive, old, young = (tmp_path / f".aasce-{name}" for name in ("dead", "alive", "old", "young"))
    for place in (dead, alive, old, young):
        place.mkdir()
    (dead / LOCK).touch()
    os.utime(old, (time.time() - 2 * OLD,) * 2)
    with FileLock(alive / LOCK), staged(tmp_path) as folder:
        (folder / "table.csv").write_text("1")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".aasce-alive", ".aasce-young", "table.csv"]


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_signals_interrupt_as_a_key_does_unless_they_are_ignored(name: str) -> None:
    number = getattr(signal, name)
    before = signal.signal(number, signal.SIG_DFL)  # whatever the tests were started by
    try:
        with interruptible(), pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
        assert signal.getsignal(number) == signal.SIG_DFL
        signal.signal(number, signal.SIG_IGN)  # as `nohup` does
        with interruptible():
            os.kill(os.getpid(), number)
    finally:
        signal.signal(number, before)


def test_a_killed_process_goes_on(films: tuple[FilmFile, ...], tmp_path: Path) -> None:
    """kill -9 leaves no time for anything: what stands in the journal is what was written as it was measured."""
    out = tmp_path / "cut"
    program = (
        "import os, signal, sys\n"
        "from aasce.commands import predict\n"
        "save, seen = predict.save_overlay, []\n"
        "def killed(path, drawn):\n"
        "    seen.append(path)\n"
        "    save(path, drawn) if len(seen) < 6 else os.kill(os.getpid(), signal.SIGKILL)\n"
        "predict.save_overlay = killed\n"
        "from aasce.cli import run\n"
        "sys.exit(run(sys.argv[1:]))\n"
    )
    words = ["predict", str(films[0].path.parent), "--solver", "constant", "--overlay", "--out", str(out)]
    done = subprocess.run([sys.executable, "-c", program, *words], timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL
    assert len((out / JOURNAL / "journal.jsonl").read_text().splitlines()) == 1
    call(films, out, resume=True)
    call(films, tmp_path / "whole")
    assert contents(out) == contents(tmp_path / "whole")
    assert sorted(path.name for path in out.iterdir()) == sorted([*TABLES, "manifest.json", "overlays"])
    assert len(json.loads((out / "manifest.json").read_text())["notes"]["files"]) == FILMS - 1


def test_masks_are_not_kept(films: tuple[FilmFile, ...], tmp_path: Path) -> None:
    from dataclasses import replace

    class Masked:
        names, weights, intervals = ("constant",), (1.0,), ()

        def __init__(self) -> None:
            self.one = load_single("constant")
            self.solvers = self.one.solvers

        def measure(self, films: list[Radiograph], definition: str) -> list[object]:
            mask = np.ones((2000, 2000), np.uint8)
            found = self.one.measure(films)
            return [replace(m, prediction=replace(m.prediction, mask=mask)) for m in found]

    outcome = prediction.predict(films, Masked(), PredictOptions(tmp_path / "out"))  # type: ignore[arg-type]
    assert all(measurement.prediction.mask is None for measurement in outcome.measurements)
