"""Where weights are found, and whose they must be."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from aasce.solvers.base import read_state
from aasce.solvers.registry import SOLVERS
from aasce.types import AasceError
from aasce.weights import FILES, load_solver, released, resolve

CONSTANT = released()["constant"]


def run_folder(folder: Path, solver: str = "constant") -> Path:
    shutil.copytree(CONSTANT, folder)
    body = {"solver": solver, "class": solver, "learned": {}, "training": {}}
    (folder / "state.json").write_text(json.dumps(body))
    return folder


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AASCE_WEIGHTS", raising=False)


@pytest.mark.parametrize("name", released())
def test_released_weights_are_complete_and_small(name: str) -> None:
    folder = resolve(name)
    assert read_state(folder).solver in SOLVERS
    assert all((folder / file).is_file() for file in (*FILES, "card.md"))
    assert (folder / "weights.safetensors").stat().st_size <= 8 * 2**20


@pytest.mark.parametrize("name", SOLVERS)
def test_a_solvers_name_means_its_own_weights(name: str) -> None:
    assert read_state(resolve(name)).solver == name


def test_run_folder(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "run")
    assert resolve(folder) == folder
    assert resolve(str(folder), solver="constant") == folder
    assert load_solver(folder).name == "constant"


def test_bare_word_means_the_released_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_folder(tmp_path / "constant")
    monkeypatch.chdir(tmp_path)
    assert resolve("constant") == CONSTANT
    assert resolve("./constant").resolve() == tmp_path / "constant"


def test_folder_of_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_folder(tmp_path / "mine")
    monkeypatch.setenv("AASCE_WEIGHTS", str(tmp_path))
    assert resolve("mine") == tmp_path / "mine"
    monkeypatch.setenv("AASCE_WEIGHTS", str(tmp_path / "absent"))
    assert "mine" not in released()


def refused(name: str | Path, solver: str | None = None) -> str:
    with pytest.raises(AasceError) as caught:
        resolve(name, solver)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_wrong_name_names_the_nearest() -> None:
    assert "(did you mean 'constant'?)" in refused("constnat")


def test_incomplete_folder_names_what_is_missing(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "run")
    (folder / "weights.safetensors").unlink()
    assert "weights.safetensors missing" in refused(folder)


def test_weights_of_another_solver(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "run", solver="seg4reg")
    message = refused(folder, "constant")
    assert str(folder) in message
    assert "seg4reg" in message
    assert "constant" in message


def test_unreadable_state(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "run")
    (folder / "state.json").write_text("{")
    assert "state.json" in refused(folder)


def test_unknown_solver_in_the_state(tmp_path: Path) -> None:
    with pytest.raises(AasceError, match="unknown solver"):
        load_solver(run_folder(tmp_path / "run", solver="of_old"))


def test_hub_repository_is_looked_up_in_the_cache_when_offline(tmp_path: Path) -> None:
    """In a process of its own: huggingface_hub reads HF_HUB_OFFLINE once, when it is imported."""
    code = (
        "import sys\nfrom aasce.types import AasceError\nfrom aasce.weights import load_solver, resolve\n"
        "for name in ['hf:someone/absent', 'hf:not a name', 'hf:someone/cached@main']:\n"
        "    try:\n        print(resolve(name))\n        load_solver(name)\n"
        "    except AasceError as error:\n        print(error)\n"
    )
    snapshot = tmp_path / "models--someone--cached" / "snapshots" / "abc"
    run_folder(snapshot, solver="os.path:join")
    (tmp_path / "models--someone--cached" / "refs").mkdir()
    (tmp_path / "models--someone--cached" / "refs" / "main").write_text("abc")
    env = os.environ | {"HF_HUB_OFFLINE": "1", "AASCE_WEIGHTS": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    absent, bad, cached, foreign = done.stdout.splitlines()
    assert absent.startswith("hf:someone/absent: not in the cache and the hub is out of reach")
    assert bad.startswith("hf:not a name: cannot be fetched")
    assert Path(cached) == snapshot
    assert "os.path:join" in foreign
    assert "this kit lacks" in foreign


def test_a_class_from_outside_may_bear_a_name_of_the_kits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = (
        "from aasce.solvers.constant.solver import ConstantSolver\nclass Mine(ConstantSolver):\n    pass\n"
    )
    (tmp_path / "my_constant.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    folder = run_folder(tmp_path / "run")
    state = json.loads((folder / "state.json").read_text())
    (folder / "state.json").write_text(json.dumps({**state, "class": "my_constant:Mine"}))
    assert type(load_solver(folder)).__name__ == "Mine"
