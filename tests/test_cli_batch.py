"""Many films in one call: what goes wrong with one of them leaves the others measured."""

from __future__ import annotations

import json
import os
import shutil
import socket
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

from aasce.commands import predict as prediction
from aasce.readers.names import SUFFIXES
from aasce.types import AasceError
from tests.commandline import CONSTANT, Run, rows

OUT = Path("aasce-out")
PATIENT = {"PatientName": "Zwetschgenbaum^Aurelia", "PatientID": "PID-77123", "StudyDate": "20190408"}


def picture(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).integers(0, 255, (48, 40), np.uint8)
    Image.fromarray(values).save(path, path.suffix[1:].replace("jpg", "jpeg") if path.suffix else "JPEG")
    return path


def dicom(path: Path, frames: int = 1, seed: int = 0, **tags: object) -> Path:
    values = np.random.default_rng(seed).integers(0, 4000, (frames, 48, 40)).astype(np.uint16)
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = tags.pop("storage", DigitalXRayImageStorageForPresentation)
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[str(path), str(seed)])
    dataset = Dataset()
    dataset.file_meta = meta
    dataset.SOPClassUID, dataset.SOPInstanceUID = (
        meta.MediaStorageSOPClassUID,
        meta.MediaStorageSOPInstanceUID,
    )
    dataset.Modality, dataset.PhotometricInterpretation = "DX", "MONOCHROME2"
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = 48, 40, 1
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    if frames > 1:
        dataset.NumberOfFrames = frames
    dataset.PixelData = values.tobytes()
    for name, value in tags.items():
        setattr(dataset, name, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    pydicom.dcmwrite(path, dataset, enforce_file_format=True)
    return path


def names(table: str = "predictions.csv") -> list[str]:
    return [row["name"] for row in rows(OUT / table)]


# --- names that stand for no film -------------------------------------------------------------------------


def test_names_that_stand_for_no_film_are_told_and_the_others_measured(run: Run, tmp_path: Path) -> None:
    picture(tmp_path / "good.png")
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("plug.png")
        done = run("predict", "gone.png", "empty", "pipe.png", "plug.png", "/dev/null", "good.png", *CONSTANT)
    assert done.code == 2
    assert done.err.splitlines() == [
        "gone.png: no such film; give files, folders or globs",
        f"empty: a folder without films; they end in {', '.join(SUFFIXES)}",
        "pipe.png: is a pipe, no file; save the film to a file first",
        "plug.png: is a socket, no file; save the film to a file first",
        "/dev/null: is a device, no file; save the film to a file first",
    ]
    assert names() == ["good"]


def test_files_of_a_folder_that_are_no_films_are_told(run: Run, tmp_path: Path) -> None:
    picture(tmp_path / "films" / "good.png")
    picture(tmp_path / "films" / "inner" / "other.png")
    picture(tmp_path / "films" / "a JPEG without suffix")
    (tmp_path / "films" / "letter.pdf").write_bytes(b"%PDF-1.7")
    os.mkfifo(tmp_path / "films" / "pipe")
    dicom(tmp_path / "films" / "report.dcm", storage=UID("1.2.840.10008.5.1.4.1.1.88.33"))
    done = run("predict", "films", *CONSTANT)
    assert done.code == 0, done.err
    assert done.err.splitlines() == [
        "films/letter.pdf: skipped, no film by its name or content",
        "films/pipe: skipped, is a pipe, no file",
        "films/report.dcm: skipped, a DICOM report",
        "films: folders in it are not looked into (inner); name them for their films",
    ]
    assert names() == ["a JPEG without suffix", "good"]
    for k in range(10):
        (tmp_path / "films" / f"{k}.txt").write_text("no film")
    assert "films: 13 files skipped that are no films (10 .txt, " in run("predict", "films", *CONSTANT).err


def test_files_that_cannot_be_opened(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("bare", "named.png", "good.png"):
        picture(tmp_path / "films" / name)
    (tmp_path / "closed").mkdir()
    opened, listed = Path.open, os.scandir

    def refuse(self: Path, *words: str, **more: str) -> object:
        if self.name in ("bare", "named.png"):
            raise PermissionError(13, "Permission denied")
        return opened(self, *words, **more)  # type: ignore[call-overload]

    def closed(folder: Path | int) -> object:
        if isinstance(folder, Path) and folder.name == "closed":
            raise PermissionError(13, "Permission denied")
        return listed(folder)

    monkeypatch.setattr(Path, "open", refuse)
    monkeypatch.setattr("aasce.readers.listing.os.scandir", closed)
    done = run("predict", "closed", "films", *CONSTANT)
    assert done.code == 2
    assert done.err.splitlines() == [
        "closed: cannot be opened (Permission denied); check its permissions",
        "films/bare: cannot be read (Permission denied); check its permissions",
        "films/named.png: cannot be read (Permission denied); check its permissions",
    ]
    assert names() == ["good", "named"]


def test_a_large_file_is_looked_at_before_it_is_read(run: Run, tmp_path: Path) -> None:
    picture(tmp_path / "good.png")
    for name, begin in (("disk.tif", b"no film"), ("stack.tif", b"II*\0")):
        with (tmp_path / name).open("wb") as stream:
            stream.write(begin)
            stream.truncate(6 * 10**9)  # takes no room on the disk
    done = run("predict", "disk.tif", "good.png", "stack.tif", *CONSTANT)
    assert done.code == 2
    assert done.err.splitlines() == [
        "disk.tif: no film that can be read; give PNG, JPEG, TIFF or DICOM",
        "stack.tif: 6.0 GB are too large for a film; export the film alone",
    ]
    assert names() == ["disk", "good", "stack"]


# --- names of films ---------------------------------------------------------------------------------------


def test_films_of_one_name_are_told_apart_and_scored(run: Run, tmp_path: Path) -> None:
    dicom(tmp_path / "x.dcm")
    picture(tmp_path / "x.jpg", 1)
    picture(tmp_path / "one" / "y.jpg", 2)
    picture(tmp_path / "two" / "y.jpg", 3)
    assert run("predict", ".", "one", "two", *CONSTANT, "--overlay").code == 0
    assert names() == ["one-y", "two-y", "x.dcm", "x.jpg"]
    assert sorted(p.name for p in (OUT / "overlays").iterdir()) == [
        "one-y.jpg", "two-y.jpg", "x.dcm.jpg", "x.jpg.jpg",
    ]  # fmt: skip
    done = run("score", OUT / "submission.csv", OUT / "predictions.csv", "--json")
    assert (done.code, json.loads(done.out)["smape"]) == (0, 0)


def test_a_disc_from_a_picture_archive_is_walked(run: Run, tmp_path: Path) -> None:
    for study in ("ST000001", "ST000002"):
        for film in ("IM000001", "IM000002"):
            dicom(tmp_path / "CD" / "DICOM" / study / "SE000001" / film, seed=len(os.listdir(tmp_path)))
    dicom(tmp_path / "CD" / "DICOMDIR", storage=UID("1.2.840.10008.1.3.10"))
    (tmp_path / "CD" / "AUTORUN.INF").write_text("[autorun]")
    for given in ("CD", "CD/DICOMDIR", "CD/DICOM"):
        done = run("predict", given, *CONSTANT)
        assert done.code == 0, done.err
        front = "" if given == "CD/DICOM" else "DICOM-"
        assert names() == [
            f"{front}{study}-SE000001-{film}"
            for study in ("ST000001", "ST000002")
            for film in ("IM000001", "IM000002")
        ]
    assert run("predict", OUT, *CONSTANT).one_line().startswith("aasce-out: holds results of aasce")


def test_each_frame_is_a_film(run: Run, tmp_path: Path) -> None:
    dicom(tmp_path / "cine.dcm", frames=3)
    picture(tmp_path / "cine#2.png")
    assert run("predict", "cine.dcm", "cine#2.png", *CONSTANT).code == 0
    assert names() == ["cine#1", "cine#2", "cine#2~", "cine#3"]
    films = json.loads((OUT / "predictions.json").read_text())["films"]
    assert [(film["film"], film["frame"]) for film in films] == [
        ("cine#1", 1), ("cine#2", None), ("cine#2~", 2), ("cine#3", 3),
    ]  # fmt: skip


def test_a_name_that_is_no_utf8_is_written_out(run: Run, tmp_path: Path) -> None:
    latin = os.fsencode(tmp_path) + b"/caf\xe9.png"
    picture(tmp_path / "good.png")
    shutil.copy(tmp_path / "good.png", os.fsdecode(latin))
    assert run("predict", tmp_path, *CONSTANT, "--overlay").code == 0
    assert names() == ["caf\\xe9", "good"]
    assert names("submission.csv") == names()
    assert sorted(p.name for p in (OUT / "overlays").iterdir()) == ["caf\\xe9.jpg", "good.jpg"]
    assert json.loads((OUT / "predictions.json").read_text())["films"][0]["file"] == "caf\udce9.png"


def test_a_name_as_long_as_the_file_system_takes(run: Run, tmp_path: Path) -> None:
    long = "n" * 255
    picture(tmp_path / "films" / "good.png")
    shutil.copy(tmp_path / "films" / "good.png", tmp_path / "films" / long)
    assert run("predict", "films", *CONSTANT, "--overlay").code == 0
    assert names() == ["good", long]
    short, cut = sorted((p.name for p in (OUT / "overlays").iterdir()), key=len)
    assert (short, len(cut)) == ("good.jpg", 255)


@pytest.mark.parametrize("first", "=+-@")
def test_names_that_a_spreadsheet_would_compute(run: Run, tmp_path: Path, first: str) -> None:
    name = f"{first}SUM(A1)"
    picture(tmp_path / "films" / f"{name}.png")
    assert run("predict", "films", *CONSTANT).code == 0
    assert names() == names("submission.csv") == [f"'{name}"]
    assert json.loads((OUT / "predictions.json").read_text())["films"][0]["film"] == name
    Path("truth.csv").write_text(f"name,an1,an2,an3\n{name}.png,36,18,15\n")
    assert run("score", OUT / "submission.csv", "truth.csv").code == 0


def test_one_exposure_twice_is_flagged(run: Run, tmp_path: Path) -> None:
    for name, seed in (("a.png", 0), ("b.png", 1), ("c.png", 0)):
        picture(tmp_path / "films" / name, seed)
    assert run("predict", "films", *CONSTANT).code == 0
    flags = {row["name"]: row["flags"].split(";") for row in rows(OUT / "predictions.csv")}
    assert {name for name, found in flags.items() if "same_exposure" in found} == {"c"}


# --- outputs ----------------------------------------------------------------------------------------------


class Refusing:
    """An output that cannot be made of one film."""

    def add(self, folder: Path, film: object, measurement: object) -> None:
        name = getattr(film, "film_id", "")
        if name == "b":
            raise AasceError(f"{name}: cannot be exported; give another film")
        (folder / "made").mkdir(exist_ok=True)
        (folder / "made" / f"{name}.txt").write_text(name)

    def close(self, folder: Path, measured: list[tuple[object, object]]) -> None:
        (folder / "made" / "all.txt").write_text(str(len(measured)))


def test_a_film_that_cannot_be_exported_is_told(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prediction, "exports_of", lambda *_: [Refusing()])
    for name in "abc":
        picture(tmp_path / "films" / f"{name}.png", ord(name))
    assert run("predict", "films", *CONSTANT).one_line() == "b: cannot be exported; give another film"
    assert names() == ["a", "b", "c"]
    assert sorted(p.name for p in (OUT / "made").iterdir()) == ["a.txt", "all.txt", "c.txt"]
    assert (OUT / "made" / "all.txt").read_text() == "3"


def test_a_wrong_name_of_an_output_is_told_before_anything_is_read(run: Run) -> None:
    line = run("predict", "gone.png", *CONSTANT, "--format", "coco,nonsense").one_line()
    assert "nonsense" in line
    assert "gone" not in line
    assert "need a folder" in run("predict", *CONSTANT, "--report", "--out", "a.csv").one_line()


def test_overlays_of_an_earlier_call_do_not_stay(run: Run, tmp_path: Path) -> None:
    for name in "ab":
        picture(tmp_path / f"{name}.png", ord(name))
    assert run("predict", "a.png", "b.png", *CONSTANT, "--overlay").code == 0
    (OUT / "overlays" / "mine.jpg").write_bytes(b"a person's own")
    done = run("predict", "a.png", *CONSTANT, "--overlay")
    assert (done.code, done.err) == (
        0,
        "aasce-out: replaces the results of an earlier call (2 films); removed what they held of other films or "
        "outputs: 1 file (overlays/b.jpg)\n",
    )
    assert sorted(p.name for p in (OUT / "overlays").iterdir()) == ["a.jpg", "mine.jpg"]


def test_what_a_person_changed_is_not_replaced(run: Run, tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    assert run("predict", "a.png", *CONSTANT, "--overlay").code == 0
    later = (OUT / "manifest.json").stat().st_mtime + 3600
    os.utime(OUT / "overlays" / "a.jpg", (later, later))
    line = run("predict", "a.png", *CONSTANT).one_line()
    assert "1 file (overlays/a.jpg) changed since aasce wrote" in line
    assert (OUT / "overlays" / "a.jpg").exists()


# --- privacy ----------------------------------------------------------------------------------------------


def contents(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_nothing_of_the_patient_leaves_without_being_asked_for(run: Run, tmp_path: Path) -> None:
    dicom(tmp_path / "film.dcm", **PATIENT)
    words = ("predict", "film.dcm", *CONSTANT, "--overlay", "--report")
    assert run(*words).code == 0
    found = contents(OUT)
    assert b"film" in found
    for word in ("zwetschgenbaum", "aurelia", "pid-77123", "20190408"):
        assert word.encode() not in found.lower()
        assert word.encode("utf-16-le") not in found.lower()
    assert run(*words, "--identify").code == 0
    row = rows(OUT / "predictions.csv")[0]
    assert (row["patient_id"], row["patient_name"], row["study_date"]) == (
        "PID-77123", "Zwetschgenbaum^Aurelia", "20190408",
    )  # fmt: skip
    (film,) = json.loads((OUT / "predictions.json").read_text())["films"]
    assert film["patient"] == {
        "patient_id": "PID-77123", "patient_name": "Zwetschgenbaum^Aurelia", "study_date": "20190408",
    }  # fmt: skip
