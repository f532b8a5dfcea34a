"""The pages for the surgeon and the research assistant: each command runs, and does what the page says."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest

from aasce import api
from aasce.examples import LANDMARKS, example_films
from aasce.solvers.base import LearnedState
from aasce.types import Radiograph, SpinePrediction
from aasce.writers.comparison import THRESHOLD
from tests.commandline import Run, rows

SHOWN = {"before": "example-01", "after": "example-02"} | dict.fromkeys(
    ("film", "earlier", "later"), "example-01"
)
"""Films of the pages, and the examples that stand in for them."""

PAGES = Path(__file__).parents[1] / "docs" / "pages"


def commands(page: str) -> list[list[str]]:
    """The words after `aasce` of each command in the page's blocks."""
    text = (PAGES / page).read_text("utf-8")
    lines = [
        line
        for block in re.findall(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
        for line in block.splitlines()
    ]
    assert lines
    assert all(line.startswith("aasce ") for line in lines)
    return [shlex.split(line)[1:] for line in lines]


class Known:
    """Answers the rendered example films by their known landmarks: the pages are tested, not a network."""

    name = "vertebra_field"
    config = SimpleNamespace(model_dump=lambda mode: {})
    learned = LearnedState()
    engine, localizer = "", None
    training: ClassVar[dict[str, str]] = {}

    def predict(self, films: Sequence[Radiograph]) -> list[SpinePrediction]:
        known = json.loads(LANDMARKS.read_text("utf-8"))
        landmarks = {name: np.array(known[example]["landmarks"]) for name, example in SHOWN.items()}
        return [
            SpinePrediction(
                film.film_id, film.size, landmarks[film.film_id], confidence=0.9, solver=self.name
            )
            for film in films
        ]


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "load_solver", lambda name, device: Known())


def write_angles(path: str, degrees: dict[str, tuple[float, float, float]]) -> None:
    lines = [f"{name},{','.join(map(str, row))}" for name, row in degrees.items()]
    Path(path).write_text("\n".join(["name,an1,an2,an3", *lines]) + "\n")


def test_commands_of_the_research_assistant(run: Run) -> None:
    Path("films").mkdir()
    first, second = example_films()[:2]
    shutil.copy(first, "films/before.jpg")
    shutil.copy(second, "films/after.jpg")
    for reader, more in (("truth", 0.0), ("anna", 1.0), ("ben", -2.0)):
        write_angles(f"{reader}.csv", {"before": (30 + more, 15, 15), "after": (50 - more, 40, 10)})
    for words in commands("research.md"):
        done = run(*words)
        assert (done.code, done.err) == (0, ""), words
    text = (PAGES / "research.md").read_text("utf-8")
    for name in re.findall(r"^\| `([\w./]+)` \|", text, re.MULTILINE):
        if name not in ("major",):
            assert Path("results", name).exists(), name
    assert {row["name"] for row in rows(Path("corrected/predictions.csv"))} == {"before", "after"}
    assert json.loads(Path("study/agreement.json").read_text())["readers"] == ["anna", "ben", "predictions"]
    assert Path("study/agreement.png").exists()
    assert Path("score.png").exists()
    change = json.loads(Path("change/comparison.json").read_text())
    assert (change["earlier"]["film"], change["later"]["film"]) == ("before", "after")
    assert change["verdict"] == "change"


def test_commands_of_the_surgeon(run: Run) -> None:
    film = example_films()[0]
    for name in ("film.jpg", "earlier.jpg", "later.jpg"):
        shutil.copy(film, name)
    for words in commands("surgeon.md"):
        done = run(*words)
        assert (done.code, done.err) == (0, ""), words
    row = rows(Path("measured/predictions.csv"))[0]
    assert row["definition"] == "clinical"
    assert Path("measured/overlays/film.jpg").exists()
    change = json.loads(Path("change/comparison.json").read_text())
    assert (change["verdict"], change["threshold_deg"]) == ("no change", THRESHOLD)
    assert np.allclose([curve["change_deg"] for curve in change["curves"]], 0)
    assert Path("change/comparison.jpg").exists()


def test_the_threshold_on_the_page_is_the_one_used() -> None:
    text = (PAGES / "surgeon.md").read_text("utf-8")
    assert f"A change counts from over {THRESHOLD:g} degrees." in text
    assert round(1.96 * 2**0.5 * 2.7, 1) == THRESHOLD


def test_regions_on_the_page_are_those_of_the_geometry() -> None:
    from aasce.geometry.description import region_of, severity_of

    assert [region_of(level) for level in (4, 4.5, 5, 10.5, 11, 12, 12.5)] == [
        "proximal thoracic", "proximal thoracic", "main thoracic", "main thoracic", "thoracolumbar", "thoracolumbar",
        "lumbar",
    ]  # fmt: skip
    assert [severity_of(d) for d in (9.9, 10, 24.9, 25, 40, 40.1)] == [
        "under 10 degrees", "mild", "mild", "moderate", "moderate", "severe",
    ]  # fmt: skip
