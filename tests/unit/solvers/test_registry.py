"""The registry: every solver of the kit, read without torch; an error names the nearest right name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from aasce.solvers.registry import DEFAULT_SOLVER, ENTRIES, HIDDEN, SOLVERS, Figure, entry_of, solver_class
from aasce.types import AasceError


def test_names_are_unique_and_summaries_one_line() -> None:
    assert DEFAULT_SOLVER in SOLVERS
    assert len(SOLVERS) == len(ENTRIES)
    for entry in ENTRIES:
        assert "\n" not in entry.summary + entry.citation
        assert len(entry.citation) > 20
    assert entry_of("my.module:Mine").figures == ()


def test_figures_are_on_the_official_scale() -> None:
    """Dubost's 20.4 has a factor of 200 / n; its leaderboard figure has not."""
    local, major, hidden = SOLVERS["centerline"].figures
    assert 2 * local.value == pytest.approx(20.4)
    assert "20.4" in local.remark
    assert (major.value, hidden.value) == (3.18, 22.96)
    assert all(0 < f.value < 30 for entry in ENTRIES for f in entry.figures if f.metric == "SMAPE")


def test_order_of_the_hidden_test_is_the_leaderboards() -> None:
    scores = {e.name: f.value for e in ENTRIES for f in e.figures if f.measured_on == HIDDEN}
    assert sorted(scores, key=lambda name: scores[name]) == [
        "seg4reg", "keypoint_fusion", "scg_net", "centerline", "coarse_to_fine", "rotated_proposals",
        "corner_regression", "top_down",
    ]  # fmt: skip


def test_figures_as_text() -> None:
    assert str(Figure(3.18, "MAE an1", "61 films")) == "MAE an1 3.18°"
    assert str(Figure(21.71, "SMAPE", HIDDEN)) == "SMAPE 21.71"
    assert Figure(1.0, "SMAPE", "x", "cropped").films == "x [cropped]"
    assert Figure(1.0, "SMAPE", "x").films == "x"


@pytest.mark.parametrize("name", SOLVERS)
def test_class_knows_its_name(name: str) -> None:
    assert solver_class(name).name == name


def test_table_needs_no_torch() -> None:
    code = "import sys, aasce.solvers.registry; print('torch' in sys.modules)"
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
    base = "from aasce.solvers.base import Solver\n"
    (tmp_path / "my_outside_method.py").write_text(
        f"{base}class Mine(Solver):\n    name = 'mine'\nclass Other:\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert solver_class("my_outside_method:Mine").name == "mine"
    with pytest.raises(AasceError, match="holds no class 'Yours'"):
        solver_class("my_outside_method:Yours")
    with pytest.raises(AasceError, match=r"derive it from aasce\.solvers\.base\.Solver"):
        solver_class("my_outside_method:Other")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("seg4rag", r"unknown solver \(did you mean 'seg4reg'\?\)"),
        ("unet", f"known: {', '.join(SOLVERS)}, or 'my.module:Class'"),
        ("no_such_package.solver:Mine", "module 'no_such_package' is neither installed nor on PYTHONPATH"),
        (":", "unknown solver"),
    ],
)
def test_wrong_name_is_one_line(name: str, message: str) -> None:
    with pytest.raises(AasceError, match=message) as caught:
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
