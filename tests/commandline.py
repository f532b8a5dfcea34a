"""A command line for tests: runs a command in this process and keeps its output. The fixtures `run`, `film` and
`data` are handed on by conftest.py."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from aasce import cli
from tests.synthetic import bent_spine, drawn_film, write_challenge

CONSTANT = ("--solver", "constant")
Run = Callable[..., "Finished"]


class Finished:
    """Exit code and output of one command."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    def one_line(self) -> str:
        """The only line on stderr of a command that ended with exit code 2."""
        assert self.code == 2, self.err
        assert self.err.count("\n") == 1, self.err
        return self.err.rstrip("\n")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs a command in an empty folder, without any data set named."""
    monkeypatch.chdir(tmp_path)
    for name in ("AASCE_DATA", "AASCE_WEIGHTS"):
        monkeypatch.delenv(name, raising=False)

    def call(*words: str | Path) -> Finished:
        code = cli.run([str(word) for word in words])
        output = capsys.readouterr()
        assert "Traceback" not in output.err
        return Finished(code, output.out, output.err)

    return call


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "good.png"
    Image.fromarray(drawn_film(bent_spine(40))).save(path)
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data set of six films that bend by 10 to 60 degrees."""
    return write_challenge(tmp_path / "data", [bent_spine(10.0 * k) for k in range(1, 7)])


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))
