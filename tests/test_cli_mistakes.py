"""Bad films, weights, folders and labels: one line that names the file and the remedy, and nothing lost."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aasce.commands import predict as prediction
from aasce.weights import released
from tests.commandline import CONSTANT, Run, rows
from tests.synthetic import bent_spine, drawn_film, write_challenge

# --- bad films -------------------------------------------------------------------------------------------


def _jpeg(path: Path) -> bytes:
    Image.fromarray(drawn_film(bent_spine(20))).save(path, "JPEG")
    return path.read_bytes()


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _truncated(path: Path) -> None:
    path.write_bytes(_jpeg(path)[:2000])


def _one_pixel(path: Path) -> None:
    Image.fromarray(np.zeros((1, 1), np.uint8)).save(path, "PNG")


def _very_high(path: Path) -> None:
    Image.fromarray(np.zeros((30_000, 64), np.uint8)).save(path, "PNG")


def _text(path: Path) -> None:
    path.write_text("no picture")


def _ct_slice(path: Path) -> None:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    ct = Dataset()
    ct.file_meta = meta
    ct.SOPClassUID, ct.SOPInstanceUID, ct.Modality = CTImageStorage, meta.MediaStorageSOPInstanceUID, "CT"
    ct.Rows = ct.Columns = 64
    ct.SamplesPerPixel, ct.PhotometricInterpretation = 1, "MONOCHROME2"
    ct.BitsAllocated, ct.BitsStored, ct.HighBit, ct.PixelRepresentation = 16, 12, 11, 0
    ct.PixelData = np.zeros((64, 64), np.uint16).tobytes()
    ct.save_as(path, enforce_file_format=True)


@pytest.mark.parametrize(
    ("name", "make", "text"),
    [
        ("empty.png", _empty, "is empty"),
        ("cut.jpg", _truncated, "cut short|damaged|truncated"),
        ("dot.png", _one_pixel, "1x1 px is too small"),
        ("tower.png", _very_high, "64x30000 px is too large"),
        ("letter.png", _text, "no film that can be read"),
        ("slice.dcm", _ct_slice, "CT slice, not a radiograph"),
    ],
)
def test_bad_film_keeps_its_row_and_the_others_are_measured(
    run: Run, film: Path, tmp_path: Path, name: str, make: Callable[[Path], None], text: str
) -> None:
    bad = tmp_path / name
    make(bad)
    done = run("predict", bad, film, *CONSTANT, "--overlay")
    line = done.one_line()
    assert line.startswith(f"{bad}: ")
    first, second = sorted(rows(Path("aasce-out/predictions.csv")), key=lambda row: row["name"] == "good")
    assert (first["name"], first["an1"]) == (bad.stem, "")
    assert first["failure"] in line
    assert any(words in line for words in text.split("|")), line
    assert (second["name"], second["an1"], second["failure"]) == ("good", "36.8810", "")
    manifest = json.loads(Path("aasce-out/manifest.json").read_text())
    # In the submission, which has to hold every film, the training medians stand in; the manifest says so.
    assert manifest["medians"] == {bad.stem: [36.881, 18.734, 15.793]}
    assert f"{bad.stem},36.8810" in Path("aasce-out/submission.csv").read_text()
    assert [p.name for p in Path("aasce-out/overlays").iterdir()] == ["good.jpg"]


def test_only_bad_films_still_give_tables(run: Run, tmp_path: Path) -> None:
    _empty(tmp_path / "empty.png")
    assert "is empty" in run("predict", tmp_path / "empty.png", *CONSTANT).one_line()
    assert [row["name"] for row in rows(Path("aasce-out/predictions.csv"))] == ["empty"]


def test_film_of_zeros_is_answered(run: Run, tmp_path: Path) -> None:
    Image.fromarray(np.zeros((300, 150), np.uint8)).save(tmp_path / "zeros.png")
    assert run("predict", tmp_path / "zeros.png", *CONSTANT).code == 0


def test_photo_is_flagged_and_not_refused(run: Run, tmp_path: Path) -> None:
    x, y = np.meshgrid(np.arange(200), np.arange(300))
    Image.fromarray(np.stack([x, y % 256, 255 - x], -1).astype(np.uint8)).save(tmp_path / "holiday.png")
    done = run("predict", tmp_path / "holiday.png", *CONSTANT)
    assert done.code == 0
    assert "not_a_radiograph" in rows(Path("aasce-out/predictions.csv"))[0]["flags"].split(";")
    assert "not_a_radiograph" in done.out


def test_folder_without_films(run: Run, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    assert f"{tmp_path / 'none'}: a folder without films" in run(
        "predict", "none", *CONSTANT
    ).one_line().replace("none: a", f"{tmp_path / 'none'}: a")
    assert not Path("aasce-out").exists()


def test_film_that_does_not_exist(run: Run) -> None:
    assert "gone.png" in run("predict", "gone.png", *CONSTANT).one_line()


def test_definition_that_a_solver_cannot_answer(run: Run, film: Path) -> None:
    assert "definition" in run("predict", film, *CONSTANT, "--definition", "clinical").one_line()
    assert not Path("aasce-out").exists()


# --- weights and devices ---------------------------------------------------------------------------------


def test_unknown_solver_names_the_nearest(run: Run, film: Path) -> None:
    assert "(did you mean 'constant'?)" in run("predict", film, "--solver", "constnat").one_line()
    assert "(did you mean 'constant'?)" in run("train", "--solver", "constnat").one_line()


def test_weights_of_another_solver(run: Run, film: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(released()["constant"], tmp_path / "run")
    state = json.loads((folder / "state.json").read_text())
    (folder / "state.json").write_text(json.dumps(state | {"solver": "vertebra_field"}))
    done = run("predict", film, "--solver", folder)
    assert done.code == 2
    assert str(folder) in done.err
    assert "statistic: unknown setting" in done.err


@pytest.mark.parametrize("solver", ["seg4reg", "vertebra_field"])
def test_torchvision_without_compiled_operators(tmp_path: Path, data: Path, solver: str) -> None:
    """As beside a CPU-only torch: torchvision's own code runs, and its operators are not there."""
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text(
        "raise RuntimeError('operator torchvision::nms does not exist')\n"
    )
    path = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[1])])
    command = [sys.executable, "-m", "aasce.cli", "train", "--solver", solver, "--data", str(data)]
    command += ["--out", str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path})
    assert done.returncode == 2, done.stderr
    assert "pip install --force-reinstall torch torchvision" in done.stderr
    assert not (tmp_path / "run").exists()
    assert done.stderr.count("\n") == 1


def test_device_that_is_not_there(run: Run, film: Path) -> None:
    assert "try --device cpu" in run("predict", film, *CONSTANT, "--device", "cuda:99").one_line()


# --- outputs ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("out", ["taken", "taken/below", "taken/preds.csv"])
def test_output_folder_that_is_a_file(run: Run, film: Path, out: str) -> None:
    Path("taken").write_text("mine")
    line = run("predict", film, *CONSTANT, "--out", out).one_line()
    assert "taken" in line
    assert "cannot be written (a file stands there)" in line
    assert Path("taken").read_text() == "mine"


def _full(path: Path, *_: object) -> None:
    path.write_text("half of it")
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


@pytest.mark.parametrize(
    "written", ["write_submission", "write_predictions", "write_manifest", "save_overlay"]
)
def test_full_disk_leaves_nothing_half_written(
    run: Run, film: Path, monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    monkeypatch.setattr(
        prediction, written, lambda path, *rest: (path.parent.mkdir(exist_ok=True), _full(path))
    )
    line = run("predict", film, *CONSTANT, "--overlay", "--out", "deep/out").one_line()
    assert line.startswith("deep/out: cannot be written (No space left on device)")
    if written == "save_overlay":  # nothing was measured yet
        assert not Path("deep").exists()
    else:
        assert "go on with --resume" in line
        assert [p.name for p in Path("deep/out").iterdir()] == [".aasce-predict"]


def test_full_disk_keeps_the_answer_of_before(run: Run, film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("predict", film, *CONSTANT)
    before = {p: p.read_bytes() for p in Path("aasce-out").iterdir()}
    monkeypatch.setattr(prediction, "write_manifest", _full)
    run("predict", film, *CONSTANT).one_line()
    assert {p: p.read_bytes() for p in Path("aasce-out").iterdir() if p.is_file()} == before


def test_interruption_before_a_film_is_measured_leaves_nothing_and_exits_130(
    run: Run, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(prediction, "measure_groups", interrupted)
    done = run("predict", film, *CONSTANT)
    assert (done.code, done.err) == (130, "aasce-out: interrupted, nothing was measured yet\n")
    assert not Path("aasce-out").exists()


# --- labels ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [("audit",), ("train", *CONSTANT, "--data")])
@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("sunhl-1th-01-Jan-2017-3 A AP.jpg.mat", b"no mat file"),
        ("angles.csv", b"1,2,3\n"),
        ("angles.csv", b"a,b,c\n" * 6),
        ("filenames.csv", b"\xff\xfe"),
        ("filenames.csv", b""),
    ],
)
def test_unreadable_label_file_is_named(
    run: Run, data: Path, command: tuple[str, ...], file: str, content: bytes
) -> None:
    (data / "labels" / "training" / file).write_bytes(content)
    assert file in run(*command, data).one_line()


def test_landmarks_outside_the_film(run: Run, tmp_path: Path) -> None:
    beyond = bent_spine(30)
    beyond[5, 1, 0] = 400  # the film is 192 px wide
    data = write_challenge(tmp_path / "data", [bent_spine(20), beyond, bent_spine(40)])
    done = run("audit", data, "--out", "faults.csv", "--overlays", "seen")
    assert done.code == 0
    found = [row for row in rows(Path("faults.csv")) if row["fault"] == "off_film"]
    assert [(row["film"], row["vertebra"]) for row in found] == [("sunhl-1th-01-Jan-2017-2 A AP", "T6")]
    assert "off_film" in done.out
    assert [p.name for p in Path("seen").iterdir()] == ["sunhl-1th-01-Jan-2017-2 A AP.jpg"]
    for labels in ("official", "fixed"):
        assert run("train", *CONSTANT, "--data", data, "--labels", labels, "--out", labels).code == 0


def test_audit_of_sound_labels_finds_nothing(run: Run, data: Path) -> None:
    done = run("audit", data, "--out", "faults.csv")
    assert "6 films, labels official: 0 faults on 0 films" in done.out
    assert Path("faults.csv").read_text() == "film,vertebra,fault,detail,repair\n"


def test_audit_of_no_data_set(run: Run, tmp_path: Path) -> None:
    assert "holds neither data/" in run("audit", tmp_path).one_line()
    assert "nowhere" in run("audit", "nowhere").one_line()
