"""The commands for scans as a user meets them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from aasce.readers.centroids import slicer_form, verse_form
from aasce.readers.scans import write_scan
from aasce.volume import Volume
from tests.commandline import Run, rows

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
