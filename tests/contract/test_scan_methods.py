"""The contract of every method for scans, whatever it does; a new one adds its case to `CASES`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aasce.config import load_settings
from aasce.ct.base import ScanMethod, VertebraSet, vertebra_set
from aasce.ct.registry import ENTRIES, method_class
from aasce.readers.vertebrae import HEAD_TO_FOOT
from aasce.solvers.base import CONFIG_FILE, STATE_FILE, WEIGHTS_FILE, RunFolder
from aasce.types import AasceError
from aasce.volume import Volume
from tests.unit.ct.columns import Column, rotation

SPACING = 4.0
"""mm per voxel of the scans."""


@dataclass(frozen=True)
class Case:
    """What a method needs to learn, or to fit, the column of boxes in seconds.

    Attributes:
        learn: settings over its `tiny()` ones.
        close: mm, largest mean error of centroids, or of the centreline, that it reaches.
        dice: smallest mean Dice that it reaches; for a method that gives masks.
    """

    learn: tuple[str, ...] = ()
    close: float = 8.0
    dice: float = 0.8


CASES = {
    "spine_localization": Case(),
    "vertebra_localization": Case(),
    "vertebra_segmentation": Case(),
    "template": Case(dice=0.5),  # its vertebrae are no boxes
}

TRAIN = [Column(bend) for bend in (-16.0, -6.0, 6.0, 16.0)]
UNSEEN = Column(10.0, scan_id="unseen")


def importable() -> list[str]:
    """Names of the registry's methods that are there."""
    return [entry.name for entry in ENTRIES if find_spec(entry.target.partition(":")[0]) is not None]


def tiny(name: str) -> ScanMethod:
    """The method with settings that learn in seconds."""
    make: Any = method_class(name)
    given = [
        f"{key}={json.dumps(value)}" for key, value in make.Config.tiny().model_dump(mode="json").items()
    ]
    method: ScanMethod = make(load_settings(make.Config, None, [*given, *CASES[name].learn]))
    return method


def start_of(method: ScanMethod, column: Column) -> VertebraSet | None:
    """What the step before would have found, exactly."""
    places = dict(column.centroids)
    if method.needs == "nothing":
        return VertebraSet(column.scan_id, flags=("from_before",))
    if method.needs == "centerline":
        line = np.array(list(places.values()))
        return VertebraSet(column.scan_id, centerline=line, flags=("from_before",))
    return vertebra_set(column.scan_id, places, flags=("from_before",))


def answer_of(method: ScanMethod, scan: Volume, column: Column = UNSEEN) -> VertebraSet:
    return method.predict(scan, start_of(method, column))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[ScanMethod, Path]]:
    """Methods that have learned the columns, and where they are saved, by name; made on first use."""

    class Made(dict[str, tuple[ScanMethod, Path]]):
        def __missing__(self, name: str) -> tuple[ScanMethod, Path]:
            method, folder = tiny(name), tmp_path_factory.mktemp(name)
            report = method.fit(TRAIN, [UNSEEN], RunFolder(folder, device="cpu", quiet=True))
            assert np.isfinite(report.best_score or 0.0)
            method.save(folder)
            self[name] = (method, folder)
            return self[name]

    return Made()


Trained = dict[str, tuple[ScanMethod, Path]]
every_method = pytest.mark.parametrize("name", CASES)


def assert_same(one: VertebraSet, two: VertebraSet) -> None:
    """Bit by bit."""
    np.testing.assert_array_equal(one.labels, two.labels)
    np.testing.assert_array_equal(one.centroids, two.centroids)
    np.testing.assert_array_equal(one.confidence, two.confidence)
    assert (one.flags, one.failure, one.scan_id, one.method) == (
        two.flags, two.failure, two.scan_id, two.method,
    )  # fmt: skip
    for a, b in ((one.masks, two.masks), (one.centerline, two.centerline)):
        assert (a is None) == (b is None)
        if a is not None and b is not None:
            np.testing.assert_array_equal(getattr(a, "data", a), getattr(b, "data", b))


def line_error(line: np.ndarray, column: Column) -> float:
    """Mean distance in mm from the centroids to the nearest point of a line in the axial plane, at their height."""
    places = np.array(list(column.centroids.values()))
    z = line[::-1, 2]
    at = np.stack([np.interp(places[:, 2], z, line[::-1, axis]) for axis in (0, 1)], axis=-1)
    return float(np.linalg.norm(at - places[:, :2], axis=1).mean())


def mean_dice(found: Volume, true: Volume, labels: tuple[int, ...]) -> float:
    """Of the labels' masks."""
    pairs = [(found.data == label, true.data == label) for label in labels]
    return float(np.mean([2 * (a & b).sum() / max(1, a.sum() + b.sum()) for a, b in pairs]))


def test_every_method_of_the_registry_has_a_case() -> None:
    assert set(importable()) == set(CASES)


@every_method
def test_the_column_is_learned(name: str, trained: Trained) -> None:
    """An unseen column, by what the method answers: masks, centroids, or a centreline alone."""
    scan, labels = UNSEEN.volumes(SPACING)
    found = answer_of(trained[name][0], scan)
    assert found.failure is None
    if found.masks is not None:
        assert mean_dice(found.masks, labels, UNSEEN.labels) >= CASES[name].dice
    if len(found.labels):
        assert tuple(found.labels.tolist()) == UNSEEN.labels
        off = [np.linalg.norm(found.centroid(label) - UNSEEN.centroids[label]) for label in UNSEEN.labels]
        assert np.mean(off) <= CASES[name].close
    else:
        assert found.centerline is not None
        assert line_error(found.centerline, UNSEEN) <= CASES[name].close


@every_method
def test_an_answer_is_complete_and_carries_on_what_was_known(name: str, trained: Trained) -> None:
    scan, _ = UNSEEN.volumes(SPACING)
    found = answer_of(trained[name][0], scan)
    assert found.scan_id == UNSEEN.scan_id
    assert found.method == name
    assert found.flags.count("from_before") == 1
    assert ((found.confidence > 0) & (found.confidence <= 1)).all()
    order = [HEAD_TO_FOOT.index(label) for label in found.labels.tolist()]
    assert order == sorted(order)
    if found.masks is not None:
        assert found.masks.kind == "label"
        assert found.masks.shape == scan.shape
        np.testing.assert_array_equal(found.masks.affine, scan.affine)
        assert set(np.unique(found.masks.data)) <= {0, *found.labels.tolist()}
    if found.centerline is not None and len(found.centerline) > 1:
        assert found.centerline[0, 2] > found.centerline[-1, 2]


@every_method
def test_the_same_scan_twice_has_the_same_answer(name: str, trained: Trained) -> None:
    scan, _ = UNSEEN.volumes(SPACING)
    method = trained[name][0]
    assert_same(answer_of(method, scan), answer_of(method, scan))


@every_method
def test_saved_and_loaded_it_answers_with_the_same_bits(name: str, trained: Trained) -> None:
    method, folder = trained[name]
    assert {CONFIG_FILE, STATE_FILE} <= {path.name for path in folder.iterdir()}
    loaded = type(method).load(folder)
    assert loaded.config == method.config
    scan, _ = UNSEEN.volumes(SPACING)
    assert_same(answer_of(method, scan), answer_of(loaded, scan))


@every_method
@pytest.mark.parametrize("codes", ["LPS", "SLA"])
def test_a_flipped_or_transposed_grid_has_the_same_answer_in_the_world(
    name: str, codes: str, trained: Trained
) -> None:
    scan, _ = UNSEEN.volumes(SPACING)
    method = trained[name][0]
    one, two = answer_of(method, scan), answer_of(method, scan.reorient(codes))
    np.testing.assert_array_equal(one.labels, two.labels)
    np.testing.assert_allclose(one.centroids, two.centroids, atol=0.5)
    if one.masks is not None and two.masks is not None:
        assert two.masks.axcodes == tuple(codes)
        assert (two.masks.reorient("RAS").data != one.masks.data).mean() < 1e-3
    if one.centerline is not None and two.centerline is not None:
        np.testing.assert_allclose(one.centerline, two.centerline, atol=0.5)


@every_method
def test_an_oblique_grid_has_nearly_the_same_answer_in_the_world(name: str, trained: Trained) -> None:
    """The scan's own content, sampled anew on turned axes, which cut its corners."""
    method = trained[name][0]
    scan, labels = UNSEEN.volumes(SPACING, rotation(8.0, 2) @ rotation(5.0, 0))
    found = answer_of(method, scan)
    if found.masks is not None:
        assert found.masks.shape == scan.shape
        assert mean_dice(found.masks, labels, UNSEEN.labels) >= CASES[name].dice - 0.1
    elif len(found.labels):
        assert tuple(found.labels.tolist()) == UNSEEN.labels
        off = [np.linalg.norm(found.centroid(label) - UNSEEN.centroids[label]) for label in UNSEEN.labels]
        assert np.mean(off) <= CASES[name].close + 2
    else:
        assert found.centerline is not None
        assert line_error(found.centerline, UNSEEN) <= CASES[name].close + 2


@every_method
def test_air_has_a_reason_and_no_vertebra(name: str, trained: Trained) -> None:
    scan, _ = UNSEEN.volumes(SPACING)
    air = Volume(np.full(scan.shape, -1000.0, np.float32), scan.affine, "ct")
    found = answer_of(trained[name][0], air)
    if found.failure is None:
        assert found.masks is not None or not len(found.labels)
        assert found.masks is None or not found.masks.data.any()
    else:
        assert found.failure.strip()
        assert not len(found.labels)
    assert found.scan_id == UNSEEN.scan_id


@every_method
def test_without_what_it_needs_it_says_so_in_one_line(name: str) -> None:
    method = tiny(name)
    if method.needs == "nothing":
        return
    scan, _ = UNSEEN.volumes(8.0)
    for start in (None, VertebraSet("unseen")):
        with pytest.raises(AasceError, match="needs") as caught:
            method.predict(scan, start)
        assert len(str(caught.value).splitlines()) == 1


@every_method
def test_a_training_step_changes_every_trainable_weight(name: str, tmp_path: Path) -> None:
    method: Any = tiny(name)
    if not method.trains:
        assert method.fit(TRAIN, None, RunFolder(tmp_path, device="cpu", quiet=True)).epochs == 0
        return
    before = {key: value.detach().clone() for key, value in method.module.named_parameters()}
    train = method.config.train.model_copy(update={"epochs": 1, "ema": 0.0, "lr": 1e-2})
    method.config = method.config.model_copy(update={"steps": 2, "train": train})
    method.fit(TRAIN, None, RunFolder(tmp_path, device="cpu", quiet=True))
    same = [key for key, value in method.module.named_parameters() if (value == before[key]).all()]
    assert [key for key in same if before[key].requires_grad] == []


@every_method
def test_training_goes_on_from_another_run(name: str, trained: Trained, tmp_path: Path) -> None:
    method, folder = trained[name]
    other: Any = tiny(name)
    if not method.trains:
        with pytest.raises(AasceError, match="no weights"):
            other.start_from(folder)
        return
    other.start_from(folder)
    other.config = other.config.model_copy(
        update={"train": other.config.train.model_copy(update={"epochs": 0})}
    )
    other.fit(TRAIN, None, RunFolder(tmp_path, device="cpu", quiet=True))
    scan, _ = UNSEEN.volumes(SPACING)
    assert_same(answer_of(method, scan), answer_of(other, scan))


@every_method
def test_the_same_seed_trains_to_the_same_bits(name: str, tmp_path: Path) -> None:
    first: Any = tiny(name)
    if not first.trains:
        return
    written = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        method: Any = tiny(name)
        train = method.config.train.model_copy(update={"epochs": 1})
        method.config = method.config.model_copy(update={"steps": 3, "train": train})
        method.fit(TRAIN, None, RunFolder(folder, device="cpu", quiet=True))
        method.save(folder)
        written.append((folder / WEIGHTS_FILE).read_bytes())
    assert written[0] == written[1]
