"""Nothing half-written stays, whatever goes wrong while writing."""

from __future__ import annotations

import os
import resource
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aasce.files import atomic_write, file_name, write_text
from aasce.types import AasceError


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """No file may grow over `size` bytes: the kernel refuses the write as it does on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_text_arrives_whole_with_plain_line_ends(tmp_path: Path) -> None:
    write_text(tmp_path / "new" / "a.txt", "one\ntwo °\n")
    assert (tmp_path / "new" / "a.txt").read_bytes() == "one\ntwo °\n".encode()


def test_a_new_file_has_the_usual_rights(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    write_text(tmp_path / "a.txt", "x")
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == stat.S_IMODE(
        (tmp_path / "plain").stat().st_mode
    )


def test_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("old")
    with (
        full_disk(1000),
        pytest.raises(AasceError, match=r"a\.csv: cannot be written \(File too large\)") as caught,
    ):
        write_text(path, "x" * 5000)
    assert "\n" not in str(caught.value)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.csv"]


def test_an_error_of_the_writer_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("old")

    def interrupted() -> None:
        with atomic_write(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.csv"]


def test_a_failed_move_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(AasceError, match="Permission denied"):
        write_text(tmp_path / "a.csv", "x")
    assert os.listdir(tmp_path) == []


def test_a_folder_or_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    with pytest.raises(AasceError, match="it is a folder"):
        write_text(tmp_path, "x")
    (tmp_path / "file").touch()
    with pytest.raises(AasceError, match=r"file/a\.csv: cannot be written"):
        write_text(tmp_path / "file" / "a.csv", "x")


def test_unwritable_folder_is_told_in_one_line(tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    if os.access(locked, os.W_OK):
        locked = Path("/proc")  # to root every folder is open but this one
    if not locked.is_dir():
        pytest.skip("no folder here that this user may not write to")
    with pytest.raises(AasceError, match=r"preds\.csv: cannot be written"):
        write_text(locked / "preds.csv", "x")


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to("real.txt")
    write_text(tmp_path / "link.txt", "new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "new"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_device_is_written_to_and_never_replaced() -> None:
    with pytest.raises(AasceError, match="No space left on device"):
        write_text("/dev/full", "x")
    assert Path("/dev/full").is_char_device()
    write_text("/dev/null", "x")
    assert Path("/dev/null").is_char_device()


def test_names_too_long_for_a_file_system_are_cut_and_stay_apart(tmp_path: Path) -> None:
    assert file_name("film", ".jpg") == "film.jpg"
    long = ["é" * 200 + end for end in "ab"]
    names = [file_name(name, ".mrk.json") for name in long]
    assert len(set(names)) == 2
    for name in names:
        assert 250 <= len(name.encode()) <= 255
        (tmp_path / name).write_text("taken")
