"""Where weights of methods for scans are found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aasce.ct.registry import entry, method_class, method_names
from aasce.types import AasceError
from aasce.weights import released
from aasce.weights.scans import load_scan_method, method_of, released_scans, resolve_scan


def run_folder(folder: Path, method: str) -> Path:
    folder.mkdir(parents=True)
    state = {"solver": method, "class": method, "learned": {}, "training": {}}
    (folder / "state.json").write_text(json.dumps(state))
    (folder / "config.yaml").write_text("seed: 0\n")
    (folder / "weights.safetensors").write_bytes(b"")
    return folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AASCE_WEIGHTS", str(tmp_path))
    return tmp_path


def test_weights_of_the_users_own_are_listed(home: Path) -> None:
    folder = run_folder(home / "ct" / "mine", "spine_localization")
    assert released_scans()["mine"] == folder
    assert (resolve_scan("mine"), method_of("mine")) == (folder, "spine_localization")
    assert "mine" not in released()  # films and scans do not mix
    assert "ct" not in released()


def test_released_weights_are_of_methods_and_have_cards() -> None:
    for name, folder in released_scans().items():
        assert method_of(name) in method_names()
        assert (folder / "card.md").is_file()


def test_run_folders_by_path(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "run", "vertebra_localization")
    assert method_of(folder) == "vertebra_localization"
    (folder / "weights.safetensors").unlink()
    with pytest.raises(AasceError, match=r"weights\.safetensors missing"):
        resolve_scan(folder)


def test_what_is_no_method_for_scans(tmp_path: Path, home: Path) -> None:
    with pytest.raises(AasceError, match="reads no scans"):
        resolve_scan(run_folder(tmp_path / "film", "seg4reg"))
    run_folder(home / "ct" / "mine", "spine_localization")
    with pytest.raises(AasceError, match=r"no released weights.*mine.*aasce ct train"):
        resolve_scan("mime")


def test_a_method_without_training_needs_no_weights() -> None:
    assert load_scan_method("template").name == "template"


def test_the_registry_knows_which_methods_are_trained() -> None:
    assert {name: entry(name).trains for name in method_names()} == {
        name: method_class(name).trains for name in method_names()
    }
