"""The names of `import aasce`: fixed, and free of torch until a solver is loaded."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import aasce

NAMES = ["cobb_angles", "load", "measure", "read_film", "read_scan", "score"]


def test_names_are_fixed() -> None:
    assert aasce.__all__ == NAMES
    assert set(NAMES) <= set(dir(aasce))


@pytest.mark.parametrize("name", NAMES)
def test_each_name_is_a_documented_function(name: str) -> None:
    assert inspect.isfunction(getattr(aasce, name))
    assert inspect.getdoc(getattr(aasce, name))


def test_arguments_are_fixed() -> None:
    assert list(inspect.signature(aasce.cobb_angles).parameters) == ["landmarks", "height", "definition"]
    assert list(inspect.signature(aasce.load).parameters) == ["name_or_folder", "device"]
    assert list(inspect.signature(aasce.measure).parameters) == [
        "films", "solver", "definition", "device", "coverage",
    ]  # fmt: skip
    assert next(iter(inspect.signature(aasce.read_film).parameters)) == "path"
    assert list(inspect.signature(aasce.read_scan).parameters) == ["path", "kind"]


def test_unknown_name_says_what_there_is() -> None:
    with pytest.raises(AttributeError, match="read_film"):
        aasce.read_movie  # noqa: B018


def test_import_brings_no_torch() -> None:
    code = f"import sys, aasce; [getattr(aasce, name) for name in {NAMES}]; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_import_brings_no_scan_library() -> None:
    code = "import sys, aasce; aasce.read_scan; print({'nibabel', 'SimpleITK'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_released_constant_answers_its_medians() -> None:
    import numpy as np

    film = aasce.types.Radiograph("blank", np.zeros((64, 64), np.uint8))
    prediction = aasce.load("constant").predict([film])[0]
    assert prediction.angles is not None
    # Medians of the three columns of the release's angles.csv (481 rows, so the 241st of each sorted column).
    assert prediction.angles.degrees.tolist() == [36.881, 18.734, 15.793]
