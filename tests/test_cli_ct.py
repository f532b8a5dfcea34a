"""The commands for scans as a user meets them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from aasce.commands import ct as scanning
from aasce.commands import ct_film as filming
from aasce.ct.base import vertebra_set
from aasce.ensemble import Measurement, with_angles
from aasce.readers.centroids import read_centroids, slicer_form, verse_form
from aasce.readers.scans import read_scan, write_scan
from aasce.types import Radiograph, SpinePrediction
from aasce.volume import Volume
from tests.commandline import Run, rows
from tests.conftest import straight_spine
from tests.unit.ct.known import Known
from tests.unit.ct.solids import column

AFFINE = np.diag([1.0, 1.0, 2.0, 1.0])


def labelled(shift: int = 0) -> Volume:
    """Two boxes of 8x8x4 voxels, L1 above L2, moved along x."""
    labels = np.zeros((24, 20, 24), np.uint8)
    labels[4 + shift : 12 + shift, 6:14, 14:18] = 20
    labels[4 + shift : 12 + shift, 6:14, 4:8] = 21
    return Volume(labels, AFFINE, "label")


MIDDLES = {20: np.array([7.5, 9.5, 31.0]), 21: np.array([7.5, 9.5, 11.0])}


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    write_scan(labelled(), tmp_path / "truth.nii.gz")
    return tmp_path / "truth.nii.gz"


# --- score -----------------------------------------------------------------------------------------------


def test_score_of_label_maps(run: Run, truth: Path) -> None:
    write_scan(labelled(shift=2), "pred.mha")
    done = run("ct", "score", "pred.mha", truth, "--out", "score.csv")
    assert (done.code, done.err) == (0, "")
    table = {row["vertebra"]: row for row in rows(Path("score.csv"))}
    assert list(table) == ["L1", "L2", "lumbar", "all"]
    # Moved by 2 of 8 voxels of 1 mm: 6/8 are common.
    assert (table["L1"]["dice"], table["L1"]["distance_mm"]) == ("0.75", "2.0")
    assert (table["all"]["vertebrae"], table["all"]["identified"]) == ("2", "100.0")
    assert "0.750" in done.out
    assert "middles of the masks" in done.out


def test_score_of_centroids_of_either_format(run: Run, truth: Path) -> None:
    moved = {label: place + np.array([0.0, 3.0, 4.0]) for label, place in MIDDLES.items()}
    Path("pred.mrk.json").write_text(json.dumps(slicer_form(moved)))
    Path("pred.json").write_text(json.dumps(verse_form(moved, labelled().reorient("PIR"))))
    Path("truth.json").write_text(json.dumps(verse_form(MIDDLES, labelled())))
    for name in ("pred.mrk.json", "pred.json"):
        done = run("ct", "score", name, "truth.json", "--grid", truth, "--out", "score.json")
        assert done.code == 0, done.err
        content = json.loads(Path("score.json").read_text())
        last = content["regions"][-1]
        assert (last["vertebra"], last["distance_mm"], last["dice"]) == ("all", pytest.approx(5), None)
        assert [row["vertebra"] for row in content["vertebrae"]] == ["L1", "L2"]


def test_score_takes_true_centroids_beside_a_label_map(run: Run, truth: Path) -> None:
    only = {20: MIDDLES[20] + np.array([0.0, 0.0, 1.0])}
    Path("truth.mrk.json").write_text(json.dumps(slicer_form(only)))
    done = run("ct", "score", truth, truth, "--centroids", "truth.mrk.json", "--out", "score.csv")
    assert done.code == 0, done.err
    table = {row["vertebra"]: row for row in rows(Path("score.csv"))}
    assert (table["L1"]["distance_mm"], table["L1"]["dice"]) == ("1.0", "1.0")
    assert (table["L2"]["false"], table["L2"]["vertebrae"]) == ("1", "0")


def test_score_on_turned_grids(run: Run, truth: Path) -> None:
    write_scan(labelled().reorient("PIR"), "turned.nii.gz")
    done = run("ct", "score", "turned.nii.gz", truth, "--out", "score.csv")
    assert done.code == 0, done.err
    assert {row["dice"] for row in rows(Path("score.csv"))} == {"1.0"}


def test_what_score_refuses(run: Run, truth: Path) -> None:
    write_scan(labelled().crop((0, 0, 0), (20, 20, 20)), "small.nii.gz")
    assert "another grid" in run("ct", "score", "small.nii.gz", truth).one_line()
    write_scan(Volume(np.full((4, 4, 4), 99, np.uint8), AFFINE, "label"), "other.nii.gz")
    assert "no vertebra of VerSe" in run("ct", "score", "other.nii.gz", truth).one_line()
    hounsfield = np.arange(64, dtype=np.float32).reshape(4, 4, 4) * 10 - 300
    write_scan(Volume(hounsfield, AFFINE, "ct"), "scan.nii.gz")
    assert "no labels of vertebrae" in run("ct", "score", "scan.nii.gz", truth).one_line()
    Path("verse.json").write_text(json.dumps(verse_form(MIDDLES, labelled())))
    assert "--grid" in run("ct", "score", "verse.json", "verse.json").one_line()
    assert "no such file" in run("ct", "score", "none.nii.gz", truth).one_line()
    Path("empty").mkdir()
    assert "holds no centroids.json" in run("ct", "score", "empty", truth).one_line()
    assert ".csv or .json" in run("ct", "score", truth, truth, "--out", "score.txt").one_line()
    assert not Path("score.txt").exists()


# --- locate, segment, fit, angles ------------------------------------------------------------------------

SPINE, PLACES = column({19: 12.0, 20: 0.0}, (2.0, 2.0, 2.0))
FILES = [
    "angles.json",
    "centroids.json",
    "centroids.mrk.json",
    "coronal.jpg",
    "sagittal.jpg",
    "vertebrae.csv",
]


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    """Two vertebrae of 500 HU in flesh, in a grid that lies turned."""
    hu = np.where(SPINE.data > 0, 500, 30).astype(np.float32)
    hu[0, 0, 0] = -1000
    write_scan(Volume(hu, SPINE.affine, "ct").reorient("PIR"), tmp_path / "spine.nii.gz")
    return tmp_path / "spine.nii.gz"


@pytest.fixture
def methods(monkeypatch: pytest.MonkeyPatch) -> dict[str, Known]:
    """Methods that know the answer, in the place of trained ones."""
    made = vertebra_set("", PLACES)
    known = {
        "spine_localization": Known(centerline=made.centroids),
        "vertebra_localization": Known(
            labels=made.labels, centroids=made.centroids, confidence=made.confidence
        ),
        "vertebra_segmentation": Known(masks=SPINE.reorient("PIR")),
        "template": Known(masks=SPINE.reorient("PIR")),
    }
    monkeypatch.setattr(scanning, "load_scan_method", lambda name, device: known[name])
    return known


def written(folder: str) -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir())


def test_locate_writes_centroids_table_and_pictures(run: Run, scan: Path, methods: dict[str, Known]) -> None:
    done = run("ct", "locate", scan, "--out", "out")
    assert (done.code, done.err) == (0, "")
    assert written("out/spine") == FILES
    assert [row["level"] for row in rows(Path("out/spine/vertebrae.csv"))] == ["T12", "L1"]
    found = read_centroids(Path("out/spine/centroids.json"), read_scan(scan))
    assert found[19] == pytest.approx(PLACES[19], abs=0.02)
    assert json.loads(Path("out/spine/angles.json").read_text())["measured_on"] == "centroids"
    assert not methods["vertebra_segmentation"].asked
    assert "T12 to L1 (2)" in done.out


def test_segment_writes_the_label_map_on_the_scans_grid(
    run: Run, scan: Path, methods: dict[str, Known]
) -> None:
    assert run("ct", "segment", scan, "--out", "out").code == 0
    assert written("out/spine") == sorted([*FILES, "labels.nii.gz"])
    labels, grid = read_scan("out/spine/labels.nii.gz"), read_scan(scan)
    assert labels.affine == pytest.approx(grid.affine, abs=1e-5)
    assert np.array_equal(labels.data, SPINE.reorient("PIR").data)
    angles = json.loads(Path("out/spine/angles.json").read_text())
    assert angles["coronal"]["clinical"][0]["degrees"] == pytest.approx(12, abs=1.5)
    # What was written is scored as a folder, against itself.
    done = run("ct", "score", "out/spine", "out/spine", "--out", "score.csv")
    assert done.code == 0, done.err
    assert {row["dice"] for row in rows(Path("score.csv"))} == {"1.0"}


def test_fit_starts_from_given_centroids(run: Run, scan: Path, methods: dict[str, Known]) -> None:
    Path("given.mrk.json").write_text(json.dumps(slicer_form(PLACES)))
    assert run("ct", "fit", scan, "--centroids", "given.mrk.json", "--out", "out").code == 0
    start = methods["template"].asked[0][1]
    assert start is not None
    assert start.labels.tolist() == [19, 20]
    assert not methods["spine_localization"].asked


def test_angles_of_a_label_map_need_no_method(run: Run, truth: Path) -> None:
    write_scan(SPINE, "labels.mha")
    done = run("ct", "angles", "labels.mha", "--out", "out")
    assert (done.code, done.err) == (0, "")
    record = json.loads(Path("out/labels/angles.json").read_text())
    assert record["coronal"]["clinical"][0]["degrees"] == pytest.approx(12, abs=1.5)
    assert record["method"] == "label map"


def test_a_dicom_folder_and_a_folder_of_scans(run: Run, scan: Path, methods: dict[str, Known]) -> None:
    volume = read_scan(scan).reorient("LPS")
    write_scan(volume, "series")
    Path("many").mkdir()
    write_scan(volume, "many/a.mha")
    write_scan(volume, "many/b.nrrd")
    assert run("ct", "locate", "series", "many", "--out", "out").code == 0
    assert written("out") == ["a", "b", "series"]


def test_one_scan_that_fails_does_not_stop_the_others(
    run: Run, scan: Path, methods: dict[str, Known]
) -> None:
    Path("damaged.nii.gz").write_bytes(b"no scan")
    write_scan(Volume(np.full((20, 20, 20), -5.0, np.float32), np.diag([2, 2, 2, 1.0]), "ct"), "flesh.nii.gz")
    done = run("ct", "locate", "damaged.nii.gz", "flesh.nii.gz", scan, "--out", "out")
    assert done.code == 2
    damaged, flesh = done.err.splitlines()
    assert damaged.startswith("damaged.nii.gz: damaged or no NIfTI")
    assert flesh.startswith("flesh.nii.gz: holds no bone")
    assert written("out") == ["spine"]
    assert "spine" in done.out


def test_no_vertebra_in_view_is_one_line(run: Run, scan: Path, methods: dict[str, Known]) -> None:
    methods["vertebra_localization"].answer = {"failure": "no vertebra seen"}
    done = run("ct", "segment", scan, "--out", "out")
    assert "no vertebra seen; give a CT that shows vertebrae" in done.one_line()
    assert not Path("out").exists()


def test_an_upside_down_scan_is_named(run: Run, scan: Path, methods: dict[str, Known]) -> None:
    upside = {19: PLACES[20], 20: PLACES[19]}
    Path("upside.mrk.json").write_text(json.dumps(slicer_form(upside)))
    assert run("ct", "segment", scan, "--centroids", "upside.mrk.json", "--out", "out").code == 0
    assert "upside_down" in json.loads(Path("out/spine/angles.json").read_text())["flags"]


def test_nothing_half_written_stays(
    run: Run, scan: Path, methods: dict[str, Known], monkeypatch: pytest.MonkeyPatch
) -> None:
    from aasce.types import AasceError

    def full(*_: object) -> None:
        raise AasceError("out: cannot be written (disk full)")

    monkeypatch.setattr(scanning, "save_overlay", full)
    assert "disk full" in run("ct", "segment", scan, "--out", "out").one_line()
    assert not Path("out").exists()


def test_without_a_scan_a_phantom_is_rendered(
    run: Run, scan: Path, methods: dict[str, Known], monkeypatch: pytest.MonkeyPatch
) -> None:
    from aasce.phantom import scans as phantom

    small = phantom.PhantomScan(read_scan(scan), SPINE, verse_form(PLACES, SPINE))
    monkeypatch.setattr(phantom, "phantom_scan", lambda *_: small)
    done = run("ct", "locate", "--out", "out")
    assert done.code == 0
    assert done.err.splitlines() == ["no scan named: rendering the scan of a phantom into out"]
    names = [
        "phantom-000000",
        "phantom-000000.nii.gz",
        "phantom-000000_truth.json",
        "phantom-000000_truth.nii.gz",
    ]
    assert written("out") == names


def test_what_the_commands_refuse(run: Run, scan: Path, methods: dict[str, Known], truth: Path) -> None:
    Path("c.mrk.json").write_text(json.dumps(slicer_form(PLACES)))
    assert "one scan" in run("ct", "fit", scan, truth, "--centroids", "c.mrk.json").one_line()
    assert "is a label map" in run("ct", "locate", truth).one_line()
    Path("sub").mkdir()
    write_scan(read_scan(scan), "sub/spine.nii.gz")
    assert "has the same name" in run("ct", "locate", scan, "sub/spine.nii.gz").one_line()
    Path("none").mkdir()
    assert "holds no scan" in run("ct", "locate", "none").one_line()
    far = {label: place + 500 for label, place in PLACES.items()}
    Path("far.mrk.json").write_text(json.dumps(slicer_form(far)))
    assert "lie outside the scan" in run("ct", "fit", scan, "--centroids", "far.mrk.json").one_line()
    assert not Path("aasce-ct").exists()


def test_missing_weights_are_one_line(run: Run, scan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from aasce.weights import scans as weights

    monkeypatch.setattr(weights, "released_scans", dict)
    assert "train with 'aasce ct train'" in run("ct", "locate", scan, scan).one_line()
    assert "no run folder" in run("ct", "locate", scan, "--weights", "nowhere").one_line()


# --- film ------------------------------------------------------------------------------------------------


class Straight:
    """A solver that sees an upright spine on every film."""

    def measure(self, films: list[Radiograph], definition: str) -> list[Measurement]:
        assert definition == "clinical"
        return [
            with_angles(
                SpinePrediction(film.film_id, film.size, straight_spine(), solver="straight"), "clinical"
            )
            for film in films
        ]


def test_film_writes_both_answers(
    run: Run, scan: Path, methods: dict[str, Known], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filming, "load_single", lambda *_: Straight())
    done = run("ct", "film", scan, "--out", "out")
    assert done.code == 0, done.err
    assert written("out/spine") == ["both.json", "film.png", "overlay.jpg"]
    record = json.loads(Path("out/spine/both.json").read_text())
    assert record["scan"]["coronal"]["clinical"][0]["degrees"] == pytest.approx(12, abs=1.5)
    film = record["film"]
    assert film["degrees"] == [0, 0, 0]
    # 1680 mm from the focus to the spine, 1830 to the film.
    assert film["mm_per_px"] == pytest.approx(film["mm_per_px_spine"] * 1830 / 1680, rel=1e-4)
    assert film["mm_per_px_spine"] == pytest.approx(0.7, rel=0.02)
    assert "scan, endplates" in done.out
    assert "film, straight" in done.out


def test_film_is_measured_where_the_scan_cannot_be(
    run: Run, scan: Path, methods: dict[str, Known], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filming, "load_single", lambda *_: Straight())
    methods["spine_localization"].answer = {"failure": "no spine seen"}
    done = run("ct", "film", scan, "--out", "out")
    assert "no spine seen" in done.one_line()
    record = json.loads(Path("out/spine/both.json").read_text())
    assert (record["scan"], record["film"]["degrees"]) == (None, [0, 0, 0])
    assert "no spine seen" in record["scan_failure"]


# --- train, methods --------------------------------------------------------------------------------------


def test_methods_are_listed_without_weights(run: Run) -> None:
    done = run("ct", "methods")
    assert done.code == 0
    assert "needs none" in next(line for line in done.out.splitlines() if "template" in line)


def test_what_train_refuses(run: Run) -> None:
    assert (
        "not trained; use 'aasce ct fit'"
        in run("ct", "train", "--method", "template", "--out", "r").one_line()
    )
    assert "is unknown" in run("ct", "train", "--method", "spine_localisation", "--out", "r").one_line()
    Path("empty").mkdir()
    line = run("ct", "train", "--method", "spine_localization", "--data", "empty", "--out", "r").one_line()
    assert "holds neither packed phantoms" in line
    assert not Path("r").exists()


# --- all -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [["ct", "--help"], ["ct", "score", "truth.nii.gz", "truth.nii.gz"]])
def test_light_commands_load_no_torch(truth: Path, words: list[str]) -> None:
    code = (
        "import sys; from aasce.cli import run; code = run(sys.argv[1:]); "
        "heavy = {'torch', 'torchvision', 'monai', 'nanodrr'} & set(sys.modules); "
        "sys.exit(f'{heavy} {code}' if heavy or code else 0)"
    )
    place = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-c", code, *words]
    subprocess.run(command, check=True, cwd=truth.parent, capture_output=True, env=place)
