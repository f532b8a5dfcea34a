"""The commands as a user meets them: what they write, and one line for every mistake."""

from __future__ import annotations

import csv
import errno
import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from aasce import cli
from aasce.commands import predict as prediction
from aasce.commands import train as training
from aasce.types import SpinePrediction
from aasce.weights import released
from tests.synthetic import bent_spine, drawn_film, write_challenge

CONSTANT = ("--solver", "constant")
Run = Callable[..., "Said"]


class Said:
    """Exit code and output of one command."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    def one_line(self) -> str:
        """The only line on stderr of a command that ended with exit code 2."""
        assert self.code == 2, self.err
        assert self.err.count("\n") == 1, self.err
        return self.err.rstrip("\n")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs a command in an empty folder, without any data set named."""
    monkeypatch.chdir(tmp_path)
    for name in ("AASCE_DATA", "AASCE_WEIGHTS"):
        monkeypatch.delenv(name, raising=False)

    def call(*words: str | Path) -> Said:
        code = cli.run([str(word) for word in words])
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return Said(code, said.out, said.err)

    return call


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "good.png"
    Image.fromarray(drawn_film(bent_spine(40))).save(path)
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data set of six films that bend by 10 to 60 degrees."""
    return write_challenge(tmp_path / "data", [bent_spine(10.0 * k) for k in range(1, 7)])


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


# --- predict ---------------------------------------------------------------------------------------------


def test_predict_writes_tables_manifest_and_overlays(run: Run, film: Path) -> None:
    said = run("predict", film, *CONSTANT, "--overlay")
    assert (said.code, said.err) == (0, "")
    out = Path("aasce-out")
    assert sorted(p.name for p in out.iterdir()) == [
        "manifest.json", "overlays", "predictions.csv", "submission.csv",
    ]  # fmt: skip
    row = rows(out / "predictions.csv")[0]
    assert (row["name"], row["an1"], row["solver"]) == ("good", "36.8810", "constant")
    assert (out / "submission.csv").read_text() == "name,an1,an2,an3\ngood,36.8810,18.7340,15.7930\n"
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["solvers"] == ["constant"]
    assert manifest["settings"] == {"constant": {"seed": 0, "statistic": "median"}}
    with Image.open(out / "overlays" / "good.jpg") as picture:
        assert picture.mode == "RGB"
    assert "good" in said.out
    assert "36.9°" in said.out


def test_predict_writes_the_challenges_table_under_a_csv_name(run: Run, film: Path) -> None:
    assert run("predict", film, *CONSTANT, "--out", "entry/preds.csv").code == 0
    assert sorted(p.name for p in Path("entry").iterdir()) == ["manifest.json", "preds.csv"]
    assert Path("entry/preds.csv").read_text().startswith("name,an1,an2,an3\ngood,")


def test_predict_by_an_ensemble_of_the_users(run: Run, film: Path) -> None:
    Path("mine.yaml").write_text("members:\n- {solver: constant, weight: 2.0}\n")
    assert run("predict", "--ensemble", "mine.yaml", film).code == 0
    row = rows(Path("aasce-out/predictions.csv"))[0]
    assert (row["an1"], row["solver"]) == ("36.8810", "ensemble")


@pytest.mark.parametrize(
    ("words", "chosen"),
    [
        (("--ensemble", "good.png"), ""),
        (("good.png", "--ensemble"), ""),
        (("good.png", "--ensemble", "--overlay"), ""),
        (("--ensemble", "a.yml", "good.png"), "a.yml"),
        (("--ensemble=a.yaml", "good.png"), "a.yaml"),
        (("good.png",), None),
    ],
)
def test_ensemble_may_stand_without_a_value(
    run: Run, film: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], chosen: str | None
) -> None:
    asked: list[Any] = []
    members = prediction.choose_members("constant", None, "cpu")
    monkeypatch.setattr(prediction, "choose_members", lambda *given: asked.append(given) or members)
    assert run("predict", *words).code == 0
    assert asked == [(None, chosen, "cpu")]


def test_solver_and_ensemble_exclude_each_other(run: Run, film: Path) -> None:
    assert "exclude each other" in run("predict", film, *CONSTANT, "--ensemble").one_line()


def test_predict_many_films_shows_the_first_ones(run: Run, tmp_path: Path) -> None:
    for k in range(prediction.ROWS + 3):
        Image.fromarray(np.full((40, 40), 9, np.uint8)).save(tmp_path / f"film{k:02d}.png")
    said = run("predict", tmp_path, *CONSTANT)
    assert "23 films; the first 20 are shown" in said.out
    assert "film19" in said.out
    assert "film20" not in said.out
    assert len(rows(Path("aasce-out/predictions.csv"))) == 23


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
    ("name", "make", "said"),
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
    run: Run, film: Path, tmp_path: Path, name: str, make: Callable[[Path], None], said: str
) -> None:
    bad = tmp_path / name
    make(bad)
    answer = run("predict", bad, film, *CONSTANT, "--overlay")
    line = answer.one_line()
    assert line.startswith(f"{bad}: ")
    first, second = sorted(rows(Path("aasce-out/predictions.csv")), key=lambda row: row["name"] == "good")
    assert (first["name"], first["an1"]) == (bad.stem, "")
    assert first["failure"] in line
    assert any(words in line for words in said.split("|")), line
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
    said = run("predict", tmp_path / "holiday.png", *CONSTANT)
    assert said.code == 0
    assert "not_a_radiograph" in rows(Path("aasce-out/predictions.csv"))[0]["flags"].split(";")
    assert "not_a_radiograph" in said.out


def test_folder_without_films(run: Run, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    assert f"{tmp_path / 'none'}: a folder without films" in run(
        "predict", "none", *CONSTANT
    ).one_line().replace("none: a", f"{tmp_path / 'none'}: a")
    assert not Path("aasce-out").exists()


def test_film_that_does_not_exist(run: Run) -> None:
    assert "gone.png" in run("predict", "gone.png", *CONSTANT).one_line()


def test_two_films_of_one_name(run: Run, film: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    shutil.copy(film, tmp_path / "other" / "good.png")
    line = run("predict", film, tmp_path / "other", *CONSTANT).one_line()
    assert "has the same name as" in line
    assert not Path("aasce-out").exists()


def test_definition_that_a_solver_cannot_answer(run: Run, film: Path) -> None:
    assert "definition" in run("predict", film, *CONSTANT, "--definition", "clinical").one_line()
    assert not Path("aasce-out").exists()


# --- weights and devices ---------------------------------------------------------------------------------


def test_unknown_solver_names_the_nearest(run: Run, film: Path) -> None:
    assert "(did you mean 'constant'?)" in run("predict", film, "--solver", "constnat").one_line()
    assert "(did you mean 'constant'?)" in run("train", "--solver", "constnat").one_line()


def test_weights_of_another_solver(run: Run, film: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(released()["constant"], tmp_path / "run")
    (folder / "manifest.json").write_text('{"solver": "vertebra_field"}')
    said = run("predict", film, "--solver", folder)
    assert said.code == 2
    assert str(folder) in said.err
    assert "statistic: unknown setting" in said.err


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
    assert not Path("deep").exists()


def test_full_disk_keeps_the_answer_of_before(run: Run, film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("predict", film, *CONSTANT)
    before = {p: p.read_bytes() for p in Path("aasce-out").iterdir()}
    monkeypatch.setattr(prediction, "write_manifest", _full)
    run("predict", film, *CONSTANT).one_line()
    assert {p: p.read_bytes() for p in Path("aasce-out").iterdir()} == before


def test_interruption_leaves_nothing_and_exits_130(
    run: Run, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(prediction, "write_tables", interrupted)
    assert run("predict", film, *CONSTANT).code == 130
    assert not Path("aasce-out").exists()


# --- train -----------------------------------------------------------------------------------------------


def test_train_without_data_says_how(run: Run) -> None:
    line = run("train", *CONSTANT).one_line()
    assert "--data" in line
    assert "AASCE_DATA" in line


def test_train_and_predict_by_the_run(run: Run, data: Path, film: Path) -> None:
    said = run("train", *CONSTANT, "--data", data, "--validation", "0", "--set", "statistic=mean")
    assert said.code == 0, said.err
    folder = Path("runs/constant")
    assert sorted(p.name for p in folder.iterdir()) == [
        "config.yaml", "manifest.json", "split.json", "weights.safetensors",
    ]  # fmt: skip
    assert folder.joinpath("config.yaml").read_text() == "seed: 0\nstatistic: mean\n"
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["run"]["train_films"] == 6
    assert manifest["run"]["labels"] == "official"
    assert run("predict", film, "--solver", folder).code == 0
    # Major angles of 10, 20 ... 60 degrees up to the rounding of corners to whole px: their mean is 35.
    assert float(rows(Path("aasce-out/predictions.csv"))[0]["an1"]) == pytest.approx(35, abs=2.5)


def test_fold_is_predicted_at_the_end(run: Run, data: Path) -> None:
    assert run("train", *CONSTANT, "--data", data, "--fold", "1", "--folds", "3", "--seed", "4").code == 0
    folder = Path("runs/constant-fold1")
    table = rows(folder / "oof.csv")
    manifest = json.loads((folder / "oof.json").read_text())
    assert len(table) == manifest["notes"]["held_out_films"] == 2
    assert manifest["notes"] | {"fold": 1, "folds": 3, "seed": 4} == manifest["notes"]
    names = (data / "labels" / "training" / "filenames.csv").read_text().split("\n")
    assert all(f"{row['name']}.jpg" in names for row in table)


def test_folds_part_the_films(run: Run, data: Path) -> None:
    seen: list[str] = []
    for fold in "012":
        run("train", *CONSTANT, "--data", data, "--fold", fold, "--folds", "3")
        seen += [row["name"] for row in rows(Path(f"runs/constant-fold{fold}/oof.csv"))]
    assert len(seen) == len(set(seen)) == 6


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--fold", "5"), "--fold 5: is from 0 to 4 for --folds 5"),
        (("--fold", "0", "--folds", "9"), "--folds 9: folds is from 2"),
        (("--validation", "1.5"), "--validation 1.5: fraction is in [0, 1)"),
        (("--config", "none.yaml"), "none.yaml: cannot be read"),
    ],
)
def test_wrong_split_or_config(run: Run, data: Path, words: tuple[str, ...], said: str) -> None:
    assert said in run("train", *CONSTANT, "--data", data, *words).one_line()
    assert not Path("runs").exists()


def test_wrong_settings_are_told_all_at_once(run: Run, data: Path) -> None:
    said = run("train", *CONSTANT, "--data", data, "--set", "sede=1", "--set", "statistic=mode")
    assert said.code == 2
    assert len(said.err.splitlines()) == 3
    assert "sede: unknown setting (did you mean 'seed'?)" in said.err
    assert "statistic: input should be 'median' or 'mean', not 'mode'" in said.err


def test_run_folder_in_use(run: Run, data: Path) -> None:
    words = ("train", *CONSTANT, "--data", data)
    assert run(*words).code == 0
    assert "--resume" in run(*words).one_line()
    assert run(*words, "--resume").code == 0
    assert "the run began otherwise" in run(*words, "--resume", "--seed", "1").one_line()


def test_resume_in_the_folder_of_another_solver(run: Run, data: Path) -> None:
    Path("my_method.py").write_text(
        "from aasce.solvers.constant.solver import ConstantSolver\n\n"
        "class Mine(ConstantSolver):\n    name = 'mine'\n"
    )
    sys.path.insert(0, str(Path.cwd()))
    try:
        assert run("train", "--solver", "my_method:Mine", "--data", data, "--out", "run").code == 0
    finally:
        sys.path.remove(str(Path.cwd()))
    line = run("train", *CONSTANT, "--data", data, "--out", "run", "--resume").one_line()
    assert "split.json: the run began otherwise" in line


def test_held_out_film_that_fails_keeps_its_row(
    run: Run, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aasce.solvers.constant.solver import ConstantSolver

    monkeypatch.setattr(
        ConstantSolver,
        "_answer",
        lambda self, film, angles: SpinePrediction(
            film.film_id, film.size, solver="constant", failure="no luck"
        ),
    )
    said = run("train", *CONSTANT, "--data", data, "--fold", "0", "--folds", "3", "--out", "run")
    assert said.err.count("no luck") == 2
    manifest = json.loads(Path("run/oof.json").read_text())
    assert len(manifest["failures"]) == 2
    assert len(rows(Path("run/oof.csv"))) == 2
    assert training.run_name("my.module:Mine", 2) == "Mine-fold2"


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
    said = run("audit", data, "--out", "faults.csv", "--overlays", "seen")
    assert said.code == 0
    found = [row for row in rows(Path("faults.csv")) if row["fault"] == "off_film"]
    assert [(row["film"], row["vertebra"]) for row in found] == [("sunhl-1th-01-Jan-2017-2 A AP", "T6")]
    assert "off_film" in said.out
    assert [p.name for p in Path("seen").iterdir()] == ["sunhl-1th-01-Jan-2017-2 A AP.jpg"]
    for labels in ("official", "fixed"):
        assert run("train", *CONSTANT, "--data", data, "--labels", labels, "--out", labels).code == 0


def test_audit_of_sound_labels_finds_nothing(run: Run, data: Path) -> None:
    said = run("audit", data, "--out", "faults.csv")
    assert "6 films, labels official: 0 faults on 0 films" in said.out
    assert Path("faults.csv").read_text() == "film,vertebra,fault,detail,repair\n"


def test_audit_of_no_data_set(run: Run, tmp_path: Path) -> None:
    assert "holds neither data/" in run("audit", tmp_path).one_line()
    assert "nowhere" in run("audit", "nowhere").one_line()


# --- score -----------------------------------------------------------------------------------------------

TRUTH = "name,an1,an2,an3\na,40,20,10\nb,30,0,0\n"
GUESS = "name,an1,an2,an3\na,38,22,10\nb,30,6,0\n"


@pytest.fixture
def tables(tmp_path: Path) -> tuple[Path, Path]:
    predicted, truth = tmp_path / "p.csv", tmp_path / "t.csv"
    predicted.write_text(GUESS)
    truth.write_text(TRUTH)
    return predicted, truth


def test_score_of_the_worked_example(run: Run, tables: tuple[Path, Path]) -> None:
    # Film a: 4 of 140, film b: 6 of 66; 100/2 (4/140 + 6/66) = 5.974026.
    assert "5.974026" in run("score", *tables).out
    said = run("score", *tables, "--json", "--figure", "f.png")
    assert json.loads(said.out)["smape"] == pytest.approx(50 * (4 / 140 + 6 / 66), abs=1e-12)
    with Image.open("f.png") as figure:
        assert figure.size[0] > 500


@pytest.mark.parametrize(
    "content",
    [
        "a,38,22,10\nb,30,6,0\n",
        "name,an2,an1,an3\na,22,38,10\nb,6,30,0\n",
        "an1,an2,an3,name\n38,22,10,a\n30,6,0,b\n",
        "name,an1,an2,an3\na,38,22,10\n",
        "name,an1,an2,an3\na,38,22,10\nb,30,6,0\nc,1,1,1\n",
        "name,an1,an2,an3\na,38,22,10\nb,30,6,0\nb,30,6,0\n",
        "name,an1,an2,an3\na,38,22,nan\nb,30,6,0\n",
        "name,an1,an2,an3\na,38,-22,10\nb,30,6,0\n",
        "",
    ],
    ids=["no header", "swapped", "name last", "missing", "surplus", "duplicate", "nan", "negative", "empty"],
)
def test_wrong_tables_are_refused_by_name(run: Run, tables: tuple[Path, Path], content: str) -> None:
    tables[0].write_text(content)
    assert "p.csv" in run("score", *tables).one_line()


def test_score_of_no_file(run: Run, tables: tuple[Path, Path]) -> None:
    assert "none.csv" in run("score", "none.csv", tables[1]).one_line()
    Path("taken").write_text("")
    assert "taken" in run("score", *tables, "--figure", "taken/f.png").one_line()


# --- the program -----------------------------------------------------------------------------------------


def test_solvers_are_listed(run: Run) -> None:
    said = run("solvers")
    assert [said.out.count(f"{name} ") >= 1 for name in ("constant", "seg4reg", "vertebra_field")] == [
        True
    ] * 3
    assert "released" in said.out


def test_weights_in_the_cache_are_listed(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(released()["constant"], tmp_path / "cache" / "ours")
    monkeypatch.setenv("AASCE_WEIGHTS", str(tmp_path / "cache"))
    assert "ours" in run("solvers").out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("predcit",), "aasce: No such command 'predcit'."),
        (("train",), "'--solver'"),
        (("predict", "a.png", "--overlya"), "--overlya"),
        (("predict", "a.png", "--definition", "other"), "'--definition'"),
        (("train", "--solver", "constant", "--folds", "many"), "'--folds'"),
    ],
)
def test_wrong_words_are_one_line(run: Run, words: tuple[str, ...], said: str) -> None:
    line = run(*words).one_line()
    assert said in line
    assert "--help'" in line


def test_without_films_the_examples_are_measured_and_that_is_said(run: Run, tmp_path: Path) -> None:
    said = run("predict", "--solver", "constant", "--out", str(tmp_path / "out"))
    assert said.code == 0
    assert "rendered example films" in said.err
    assert "example-1" in (tmp_path / "out" / "submission.csv").read_text()


def test_help(run: Run) -> None:
    for words in ((), ("--help",), ("-h",)):
        said = run(*words)
        assert said.code == 0
        assert all(name in said.out for name in ("train", "predict", "score", "audit", "solvers"))
    assert "--ensemble [YAML]" in run("predict", "--help").out


def test_unforeseen_errors_are_not_swallowed(run: Run, film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(prediction, "predict", broken)
    with pytest.raises(ZeroDivisionError):
        run("predict", film, *CONSTANT)


@pytest.mark.parametrize("words", [["--help"], ["score", "p.csv", "t.csv"], ["solvers"]], ids=lambda w: w[0])
def test_quick_commands_load_no_torch(tables: tuple[Path, Path], words: list[str]) -> None:
    code = (
        "import sys; from aasce.cli import run; code = run(sys.argv[1:]); "
        "heavy = {'torch', 'torchvision', 'timm'} & set(sys.modules); "
        "sys.exit(f'{heavy} {code}' if heavy or code else 0)"
    )
    command = [sys.executable, "-c", code, *words]
    subprocess.run(command, check=True, cwd=tables[0].parent, capture_output=True, env=_path())


@pytest.mark.parametrize("words", [["--help"], ["score", "p.csv", "t.csv"]], ids=lambda w: w[0])
def test_quick_commands_are_quick(tables: tuple[Path, Path], words: list[str]) -> None:
    """Under 0.6 s on an idle machine. Processor time is what a busy one still measures truly, and a loaded
    torch would not fit into the room given."""
    seconds = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-m", "aasce.cli", *words]
        subprocess.run(command, check=True, cwd=tables[0].parent, capture_output=True, env=_path())
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(seconds) < 1.2, seconds


def _path() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
