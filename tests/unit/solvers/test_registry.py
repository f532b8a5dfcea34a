"""The table of solvers: read without torch, a wrong name answered with the nearest right one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from aasce.solvers.registry import DEFAULT_SOLVER, SOLVERS, SUMMARIES, solver_class
from aasce.types import AasceError


def test_every_solver_has_a_summary_of_one_line() -> None:
    assert list(SUMMARIES) == list(SOLVERS)
    assert all("\n" not in text and 10 < len(text) < 100 for text in SUMMARIES.values())
    assert DEFAULT_SOLVER in SOLVERS


@pytest.mark.parametrize("name", SOLVERS)
def test_class_knows_its_name(name: str) -> None:
    assert solver_class(name).name == name


def test_table_needs_no_torch() -> None:
    code = "import sys, aasce.solvers; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_measuring_by_the_default_solver_loads_nothing_that_training_alone_needs() -> None:
    code = (
        "import sys; from aasce.solvers.registry import DEFAULT_SOLVER, solver_class; solver_class(DEFAULT_SOLVER); "
        "print({'albumentations', 'lightning_fabric', 'scipy.optimize', 'scipy.io', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_class_of_another_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_method.py").write_text("class Mine:\n    name = 'mine'\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert solver_class("my_method:Mine").name == "mine"
    with pytest.raises(AasceError, match="holds no class 'Yours'"):
        solver_class("my_method:Yours")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("seg4rag", r"unknown solver \(did you mean 'seg4reg'\?\)"),
        ("unet", f"known: {', '.join(SOLVERS)}, or 'my.module:Class'"),
        ("no_such_package.solver:Mine", "module 'no_such_package' is neither installed nor on PYTHONPATH"),
        (":", "unknown solver"),
    ],
)
def test_wrong_name_is_one_line(name: str, said: str) -> None:
    with pytest.raises(AasceError, match=said) as caught:
        solver_class(name)
    assert "\n" not in str(caught.value)


def test_torchvision_without_compiled_operators_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What torch says when torchvision was built for another torch, as CPU-only installations meet it.
    (tmp_path / "with_vision.py").write_text(
        "raise RuntimeError('operator torchvision::nms does not exist\\nsecond line')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(AasceError, match="pip install --force-reinstall torch torchvision") as caught:
        solver_class("with_vision:Mine")
    assert "\n" not in str(caught.value)


def test_broken_module_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_method.py").write_text("raise RuntimeError('no such thing\\nsecond line')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(AasceError, match=r"cannot be imported \(RuntimeError: no such thing\)") as caught:
        solver_class("broken_method:Mine")
    assert "\n" not in str(caught.value)
