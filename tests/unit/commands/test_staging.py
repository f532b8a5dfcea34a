"""All files or none."""

from __future__ import annotations

from pathlib import Path

import pytest

from aasce.commands.staging import staged
from aasce.types import AasceError


def tree(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): p.read_text() for p in sorted(folder.rglob("*")) if p.is_file()}


def half_written(out: Path, error: Exception) -> None:
    with staged(out) as folder:
        (folder / "one.txt").write_text("half")
        raise error


def test_files_and_folders_move_in_at_the_end(tmp_path: Path) -> None:
    out = tmp_path / "a" / "b"
    with staged(out) as folder:
        (folder / "one.txt").write_text("1")
        (folder / "deep").mkdir()
        (folder / "deep" / "two.txt").write_text("2")
        assert "one.txt" not in tree(out)
    assert tree(out) == {"deep/two.txt": "2", "one.txt": "1"}
    assert sorted(p.name for p in out.iterdir()) == ["deep", "one.txt"]


def test_files_of_before_are_replaced_and_others_stay(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("old")
    (tmp_path / "other.txt").write_text("stays")
    with staged(tmp_path) as folder:
        (folder / "one.txt").write_text("new")
    assert tree(tmp_path) == {"one.txt": "new", "other.txt": "stays"}


def test_a_failed_block_changes_nothing(tmp_path: Path) -> None:
    out = tmp_path / "a" / "b"
    with pytest.raises(KeyError):
        half_written(out, KeyError())
    assert list(tmp_path.iterdir()) == []


def test_a_failed_block_keeps_a_folder_that_was_there(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("old")
    with pytest.raises(AasceError, match="No space left"):
        half_written(tmp_path, OSError(28, "No space left on device"))
    assert tree(tmp_path) == {"one.txt": "old"}


def test_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(AasceError, match="a file stands there"), staged(tmp_path / "taken" / "x"):
        raise AssertionError("never entered")
    assert tree(tmp_path) == {"taken": "mine"}


def test_a_folder_in_place_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "table.csv").mkdir()
    with pytest.raises(AasceError, match="cannot be written"), staged(tmp_path) as folder:
        (folder / "table.csv").write_text("1")
    assert tree(tmp_path) == {}
