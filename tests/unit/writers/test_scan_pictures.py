"""Pictures of scans: everything is drawn where it is, and the sides are the right ones."""

from __future__ import annotations

import numpy as np
import pytest

from aasce.ct.angles import measure_spine
from aasce.ct.base import VertebraSet, vertebra_set
from aasce.volume import Volume
from aasce.writers.scan_pictures import OPACITY, _labels, colour_of, coronal_summary, draw_scan, plane_of
from tests.unit.ct.solids import column


@pytest.fixture(scope="module")
def found() -> VertebraSet:
    masks, places = column({19: 20.0, 20: 0.0, 21: -5.0}, (2.0, 2.0, 2.0))
    return vertebra_set("scan", places, masks=masks, method="fake", flags=("metal",))


@pytest.fixture(scope="module")
def scan(found: VertebraSet) -> Volume:
    """Flesh, with a dense ball at the patient's right, in front, at the height of T12."""
    assert found.masks is not None
    index = np.stack(np.meshgrid(*map(np.arange, found.masks.shape), indexing="ij"), -1)
    world = found.masks.to_world(index)
    hu = np.where(np.linalg.norm(world - BALL, axis=-1) < 5, 1200, -80).astype(np.float32)
    return Volume(hu, found.masks.affine, "ct").reorient("PIR")


BALL = np.array([36.0, 8.0, 64.0])


def test_places_on_the_plane(scan: Volume, found: VertebraSet) -> None:
    for view, axis in (("coronal", 0), ("sagittal", 1)):
        plane = plane_of(scan, found, view)  # type: ignore[arg-type]
        one = plane.to_px(np.array([10.0, 10.0, 50.0]))
        other = plane.to_px(np.array([12.0, 12.0, 46.0]))
        # Right and front of the patient are to the left, down is down.
        assert other - one == pytest.approx([-2 / plane.step, 4 / plane.step])
        assert plane.across[round(one[0])] == pytest.approx(10, abs=plane.step)
        assert plane.heights[round(one[1])] == pytest.approx(50, abs=plane.step)
        assert plane.axis == axis


def test_the_patients_right_is_on_the_left(scan: Volume, found: VertebraSet) -> None:
    bare = found.with_(masks=None)
    picture = draw_scan(scan, bare, measure_spine(bare), "coronal")
    assert picture.dtype == np.uint8
    left = (picture.min(axis=2) > 200)[:, : picture.shape[1] // 2]
    right = (picture.min(axis=2) > 200)[150:, picture.shape[1] // 2 :]
    assert np.count_nonzero(left[150:]) > 50  # the ball, white, below the text
    assert np.count_nonzero(right) < np.count_nonzero(left[150:])


def test_vertebrae_are_tinted_in_their_colours(scan: Volume, found: VertebraSet) -> None:
    angles = measure_spine(found)
    for view in ("coronal", "sagittal"):
        with_masks = draw_scan(scan, found, angles, view)  # type: ignore[arg-type]
        for label in found.labels.tolist():
            # Over grey, a translucent colour leaves its share of the differences between the channels.
            wanted = OPACITY * np.diff(colour_of(label))
            close = np.abs(np.diff(with_masks.astype(int), axis=2) - wanted).max(axis=2) < 3
            assert np.count_nonzero(close) > 500, (view, label)


def test_neighbours_have_different_colours() -> None:
    assert colour_of(19) != colour_of(28) != colour_of(20) != colour_of(19)


def test_the_angle_is_drawn_and_named_from_the_front_alone(scan: Volume, found: VertebraSet) -> None:
    angles = measure_spine(found)
    assert angles.clinical is not None
    with_lines = draw_scan(scan, found, angles, "coronal")
    flat = measure_spine(found)
    object.__setattr__(flat, "clinical", None)
    without = draw_scan(scan, found, flat, "coronal")
    assert with_lines.shape != without.shape or (with_lines != without).any()
    summary = coronal_summary(angles, angles.clinical)
    assert summary.startswith("coronal Cobb 2")
    assert "T12–L2 (endplates of masks, clinical definition)" in summary


def test_a_picture_of_a_thick_oblique_scan_is_true_to_scale(found: VertebraSet) -> None:
    """Slices of 6 mm and pixels of 2 mm: a body is still about as wide as it is."""
    masks, places = column({20: 0.0, 21: 0.0}, (2.0, 2.0, 6.0))
    made = vertebra_set("thick", places, masks=masks)
    hu = Volume(np.where(masks.data > 0, 900, -1000).astype(np.float32), masks.affine, "ct")
    plane = plane_of(hu, made, "coronal")
    labels = _labels(plane, masks)
    row = labels[round(plane.to_px(places[20])[1])]
    assert np.count_nonzero(row == 20) * plane.step == pytest.approx(40, abs=4)
