"""Cobb angles of scans, on columns of known tilt and against the phantom's own truth."""

from __future__ import annotations

import numpy as np
import pytest

from aasce.ct.angles import film_corners, measure_spine, tangents, to_film
from aasce.ct.base import Surface, vertebra_set
from aasce.ct.endplates import Body, Endplate, Frame
from aasce.geometry.cobb import cobb_angles, tilts
from aasce.types import AasceError
from aasce.volume import Volume
from tests.unit.ct.solids import HALF, column, turned

TILTS = {17: 0.0, 18: 20.0, 19: 5.0, 20: -10.0, 21: 0.0}


def test_coronal_angles_of_a_column() -> None:
    """Tilts 0, 20, 5, -10, 0: 30 degrees between T11 and L1, 20 above them, 10 below."""
    masks, places = column(TILTS)
    found = measure_spine(vertebra_set("a", places, masks=masks))
    assert found.source == "masks"
    assert found.clinical is not None
    assert found.clinical.degrees == pytest.approx([30, 20, 10], abs=1.0)
    assert found.ends(found.clinical, 0) == ("T11", "L1", "T12")
    # A body that leans to its right falls on its right, which is the film's left: negative tilt.
    assert tilts(found.landmarks) == pytest.approx([0, -20, -5, 10, 0], abs=0.8)
    assert found.space == pytest.approx(30, abs=1.0)
    assert found.space_ends == (18, 20)


def test_sagittal_curves_count_in_space_alone() -> None:
    masks, places = column({19: 0.0, 20: 0.0})
    upright = measure_spine(vertebra_set("a", places, masks=masks))
    from tests.unit.ct.solids import inside, world_of

    bent = Volume(np.zeros_like(masks.data), masks.affine, "label")
    for label, lean in ((19, 15.0), (20, -10.0)):
        bent.data[inside(world_of(bent), places[label], turned(0.0, lean))] = label
    found = measure_spine(vertebra_set("a", places, masks=bent))
    assert found.clinical is not None
    assert found.clinical.degrees[0] < 1
    assert found.space == pytest.approx(25, abs=1.0)
    assert upright.space == pytest.approx(0, abs=1.0)


def test_volumes_and_heights() -> None:
    masks, places = column({20: 0.0, 21: 8.0})
    found = measure_spine(vertebra_set("a", places, masks=masks))
    for vertebra in found.vertebrae:
        count = np.count_nonzero(masks.data == vertebra.label)
        assert vertebra.volume_ml == pytest.approx(count / 1000)
        assert vertebra.body is not None
        assert vertebra.body.heights_mm == pytest.approx([22.4] * 3, abs=0.7)


def test_centroids_alone_bend_as_the_line_through_them() -> None:
    """Ten centroids on a circle of 300 mm radius, 6 degrees apart: tilts from -27 to 27 degrees."""
    angle = np.radians(np.linspace(-27, 27, 10))
    places = {
        label: np.array([300 * (1 - np.cos(a)), 0.0, -300 * np.sin(a)])
        for label, a in zip(range(12, 22), angle, strict=True)
    }
    found = measure_spine(vertebra_set("a", places))
    assert found.source == "centroids"
    assert found.clinical is not None
    assert found.clinical.degrees[0] == pytest.approx(54, abs=1.5)
    assert found.ends(found.clinical, 0)[:2] == ("T5", "L2")  # type: ignore[index]
    assert found.space is None
    assert all(vertebra.volume_ml is None for vertebra in found.vertebrae)


def test_tangents_through_noise_and_gaps() -> None:
    rng = np.random.default_rng(1)
    height = np.array([0.0, 25, 50, 100, 125, 150, 175])[::-1]
    line = np.stack([0.2 * height, 0.1 * height, height], -1) + rng.normal(0, 0.5, (7, 3))
    straight = np.array([0.2, 0.1, 1.0]) / np.linalg.norm([0.2, 0.1, 1.0])
    assert np.degrees(np.arccos(tangents(line) @ straight)).max() < 1.5
    assert tangents(line[:2]) @ straight == pytest.approx([1, 1], abs=1e-3)
    assert tangents(line[:1]).tolist() == [[0, 0, 1]]


def test_one_vertebra_has_no_angle() -> None:
    masks, places = column({20: 10.0})
    found = measure_spine(vertebra_set("a", places, masks=masks))
    assert (found.clinical, found.challenge, found.space) == (None, None, None)
    assert found.vertebrae[0].body is not None
    with pytest.raises(AasceError, match="nothing can be measured"):
        measure_spine(vertebra_set("a", {}))


def test_cervical_vertebrae_count_where_there_are_no_others() -> None:
    masks, places = column({3: 0.0, 4: 12.0, 8: 0.0, 9: 0.0})
    assert measure_spine(vertebra_set("a", places, masks=masks)).labels == (8, 9)
    cut = {label: places[label] for label in (3, 4)}
    assert measure_spine(vertebra_set("a", cut, masks=masks)).labels == (3, 4)


def test_the_atlas_the_axis_and_the_sacrum_have_no_endplates() -> None:
    masks, places = column({1: 0.0, 2: 0.0, 3: 0.0, 26: 0.0})
    found = measure_spine(vertebra_set("a", places, masks=masks))
    assert [vertebra.body is None for vertebra in found.vertebrae] == [True, True, False, True]


def test_surfaces_are_measured_as_masks() -> None:
    """Boxes as closed surfaces, the upper one tilted by 12 degrees."""
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * HALF
    faces = np.array(
        [[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1], [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4],
         [1, 5, 7], [1, 7, 3]]
    )  # fmt: skip
    places = {20: np.array([0, 0, 30.0]), 21: np.zeros(3)}
    shapes = {20: Surface(corners @ turned(12.0) + places[20], faces), 21: Surface(corners.copy(), faces)}
    found = measure_spine(vertebra_set("a", places, surfaces=shapes))
    assert found.source == "surfaces"
    assert found.clinical is not None
    assert found.clinical.degrees[0] == pytest.approx(12, abs=0.8)
    assert found.vertebrae[1].volume_ml == pytest.approx(8 * np.prod(HALF) / 1000, rel=0.05)


def test_the_widest_points_of_a_rotated_endplate() -> None:
    """An endplate of half axes 20 and 14, level and rotated by t: its shadow is sqrt(400 cos2 + 196 sin2) wide."""
    t = np.radians(30)
    across, along = 20 * np.array([np.cos(t), np.sin(t), 0]), 14 * np.array([-np.sin(t), np.cos(t), 0])
    plate = Endplate(np.array([5.0, 0, 40]), np.array([0, 0, 1.0]), across, along, 0.0)
    corners = film_corners(Body(Frame(np.zeros(3), np.eye(3)), plate, plate, np.ones(3)))
    half = np.sqrt(400 * np.cos(t) ** 2 + 196 * np.sin(t) ** 2)
    assert corners[:2] == pytest.approx(np.array([[-5 - half, -40], [-5 + half, -40]]))


def test_frontal_film_shows_the_patients_right_on_the_left() -> None:
    assert to_film(np.array([10.0, 3.0, 20.0])).tolist() == [-10, -20]


@pytest.mark.parametrize(("seed", "cobb"), [(1, 45.0), (2, 60.0)])
def test_phantoms_angles_are_found_in_their_label_maps(seed: int, cobb: float) -> None:
    from aasce.phantom.person import build_person, draw_person
    from aasce.phantom.spine.pose import LEVELS
    from aasce.phantom.truth import film_truth
    from aasce.readers.vertebrae import VERSE
    from aasce.xray.camera import SlotScanner
    from aasce.xray.voxels import voxelise

    phantom = build_person(draw_person(seed, cobb=cobb), spine_only=True)
    levels = [f"T{i}" for i in range(1, 13)] + [f"L{i}" for i in range(1, 6)]
    bones = [mesh for mesh in phantom.meshes if mesh.name in levels]
    points = np.concatenate([mesh.vertices.numpy() for mesh in bones])
    bounds = [points.min(axis=0) - 3, points.max(axis=0) + 3]
    labels = voxelise(bones, (1.0, 1.0, 2.0), bounds, lambda mesh: VERSE[mesh.name], kind="label")
    middles = phantom.pose.centre.double().numpy()
    places = {VERSE[level]: middles[LEVELS.index(level)] for level in levels}
    found = measure_spine(vertebra_set("phantom", places, masks=labels))
    truth = film_truth(phantom.pose, phantom.points, SlotScanner((900, 500), (-250, 250, -100, 800), "AP"))
    corners = to_film(truth.points)
    expected = cobb_angles(corners - corners.min(axis=(0, 1)), 900, "clinical").degrees
    assert found.clinical is not None
    assert found.clinical.degrees[0] == pytest.approx(expected[0], abs=3)
    assert found.centroid_line is not None
    assert found.centroid_line.degrees[0] == pytest.approx(expected[0], rel=0.25)
