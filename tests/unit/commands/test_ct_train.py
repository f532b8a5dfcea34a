"""`aasce ct train`: which scans are found, how they are dealt, and the run folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aasce.commands import ct_train
from aasce.commands.ct_train import ScanTrainOptions, labelled_scans, split, train
from aasce.ct.base import ScanSet
from aasce.readers.centroids import verse_form
from aasce.readers.scans import write_scan
from aasce.solvers.base import FitReport, RunFolder, SolverConfig, read_state, write_run
from aasce.types import AasceError
from aasce.volume import Volume
from tests.unit.ct.known import Known
from tests.unit.ct.solids import column

SPINE, PLACES = column({19: 0.0, 20: 0.0}, (3.0, 3.0, 3.0))
CT = Volume(np.where(SPINE.data > 0, 500, -100).astype(np.float32), SPINE.affine, "ct")


def test_scans_and_label_maps_of_several_layouts(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "masks").mkdir()
    write_scan(CT, tmp_path / "raw" / "sub-a_ct.nii.gz")  # as VerSe
    write_scan(SPINE, tmp_path / "masks" / "sub-a_seg-vert_msk.nii.gz")
    moved = {label: place + np.array([0, 5.0, 0]) for label, place in PLACES.items()}
    (tmp_path / "masks" / "sub-a_seg-vb_ctd.json").write_text(json.dumps(verse_form(moved, CT)))
    write_scan(CT, tmp_path / "b.mha")
    write_scan(SPINE, tmp_path / "b_seg.mha")
    write_scan(CT, tmp_path / "alone.nii.gz")
    first, second = sorted(labelled_scans(tmp_path), key=lambda scan: scan.scan_id)
    assert (first.scan_id, second.scan_id) == ("b", "sub-a")
    assert second.centroids[19] == pytest.approx(moved[19], abs=0.02)
    assert set(first.centroids) == {19, 20}


def test_a_folder_of_neither(tmp_path: Path) -> None:
    write_scan(CT, tmp_path / "alone.nii.gz")
    with pytest.raises(AasceError, match="holds neither packed phantoms"):
        list(labelled_scans(tmp_path))


@dataclass
class View:
    """A training scan by name alone."""

    scan_id: str


def test_views_of_one_person_stay_together() -> None:
    views: list[Any] = [View(f"p{k}{view}") for k in range(5) for view in ("", "_view1", "_view2")]
    training, validation = split(views, 0.2)
    assert [scan.scan_id for scan in validation] == ["p4", "p4_view1", "p4_view2"]
    assert len(training) == 12
    assert split(views, 0.0) == (views, [])
    assert {scan.scan_id[:2] for scan in split(views, 0.01)[1]} == {"p4"}
    with pytest.raises(AasceError, match="leaves none"):
        split(views[:3], 0.1)


class Trained(Known):
    """Learns nothing, and says so."""

    name = "spine_localization"

    def __init__(self, config: SolverConfig, device: str = "cpu") -> None:
        super().__init__()
        self.config = config

    def fit(self, train: ScanSet, validation: ScanSet | None, run: RunFolder) -> FitReport:
        assert (run.path / "data.json").is_file()
        return FitReport(epochs=len(train), best_epoch=len(validation or ()), best_score=0.5, seconds=1.0)

    def save(self, folder: Path) -> None:
        holder: Any = self
        write_run(folder, holder)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A data set of two scans; training takes no time."""
    monkeypatch.setattr(ct_train, "method_class", lambda name: Trained)
    for name in ("a", "b"):
        write_scan(CT, tmp_path / "data" / f"{name}_ct.nii.gz")
        write_scan(SPINE, tmp_path / "data" / f"{name}_seg.nii.gz")
    return tmp_path


def test_a_run_folder_says_what_it_was_trained_on(trained: Path) -> None:
    options = ScanTrainOptions("spine_localization", trained / "run", data=trained / "data", seed=3)
    report = train(options)
    assert (report.epochs, report.best_epoch) == (1, 1)
    state = read_state(trained / "run", "spine_localization")
    assert state.training["data"] == "1 scans of data"
    assert state.training["best_score"] == 0.5
    assert "seed: 3" in (trained / "run" / "config.yaml").read_text()
    content = json.loads((trained / "run" / "data.json").read_text())
    assert (content["training"], content["validation"]) == (["a"], ["b"])


def test_a_run_folder_in_use(trained: Path) -> None:
    options = ScanTrainOptions("spine_localization", trained / "run", data=trained / "data")
    train(options)
    with pytest.raises(AasceError, match="holds a run already; go on with --resume"):
        train(options)
    again = ScanTrainOptions("spine_localization", trained / "run", data=trained / "data", resume=True)
    assert train(again).epochs == 1
    other = ScanTrainOptions(
        "spine_localization", trained / "run", data=trained / "data", resume=True, seed=9
    )
    with pytest.raises(AasceError, match="the run began otherwise"):
        train(other)


def test_without_data_phantoms_are_packed(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from aasce.ct.shared import samples

    packed: list[tuple[Path, int, int]] = []
    monkeypatch.setattr(samples, "pack_phantoms", lambda *given: packed.append(given))
    monkeypatch.setattr(
        samples, "read_scan_set", lambda folder, seed: [View("p0"), View("p1"), View("p1_view1")]
    )
    report = train(ScanTrainOptions("spine_localization", trained / "run", phantoms=2, seed=4))
    folder = trained / "run" / "phantoms"
    assert packed == [(folder, 1, 4_000_000), (folder, 2, 4_000_000)]
    assert (report.epochs, report.best_epoch) == (1, 2)
    assert capsys.readouterr().err == f"no data named: training on 2 phantoms packed into {folder}\n"
