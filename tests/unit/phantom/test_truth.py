"""The ground truth of a rendered film is consistent, on the film and in space."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from aasce.geometry.cobb import cobb_angles
from aasce.phantom.films import Framing, RenderedFilms, draw_framing, render_film, rendered_label
from aasce.phantom.person import POPULATIONS, Person, Phantom, build_person, draw_person
from aasce.phantom.spine.pose import LEVELS, SpinePose, axis_rotation
from aasce.phantom.spine.statistics import average_pose
from aasce.phantom.truth import film_truth, maximum_curvature, vertebra_masks
from aasce.types import VERTEBRAE, AasceError


@pytest.fixture(scope="module")
def person() -> Person:
    return draw_person(3, cobb=45.0, curve="single thoracic")


@pytest.fixture(scope="module")
def spine(person: Person) -> Phantom:
    return build_person(person, spine_only=True, dtype=torch.float64)


def framing(person: Person, view: str = "AP", scanner: bool = False) -> Framing:
    drawn = draw_framing(np.random.default_rng(0), build_person(person, spine_only=True), 800, "trunk")
    return drawn.model_copy(update={"view": view, "scanner": scanner, "turn": (0.0, 0.0, 0.0)})


@pytest.mark.parametrize("scanner", [False, True])
@pytest.mark.parametrize("view", ["AP", "PA"])
def test_landmarks_are_their_points_in_space_projected(
    person: Person, spine: Phantom, view: str, scanner: bool
) -> None:
    camera = framing(person, view, scanner).camera()
    truth = film_truth(spine.pose, spine.points, camera)
    again = camera.project(torch.from_numpy(truth.points)).numpy()
    assert np.abs(again - truth.landmarks).max() < 0.05
    assert np.array_equal(cobb_angles(truth.landmarks, truth.size[0]).degrees, truth.challenge.degrees)
    clinical = cobb_angles(truth.landmarks, truth.size[0], "clinical")
    assert np.array_equal(clinical.degrees, truth.clinical.degrees)


@pytest.mark.parametrize("view", ["AP", "PA"])
def test_corners_stand_in_the_challenge_order(person: Person, spine: Phantom, view: str) -> None:
    landmarks = film_truth(spine.pose, spine.points, framing(person, view).camera()).landmarks
    assert landmarks.shape == (17, 4, 2)
    assert (landmarks[:, 0, 0] < landmarks[:, 1, 0]).all()
    assert (landmarks[:, 2, 0] < landmarks[:, 3, 0]).all()
    assert (landmarks[:, 0, 1] < landmarks[:, 2, 1]).all()
    assert (np.diff(landmarks[:, :, 1].mean(axis=1)) > 0).all()


def test_a_pa_film_mirrors_an_ap_film(person: Person, spine: Phantom) -> None:
    both = [
        film_truth(spine.pose, spine.points, framing(person, view, True).camera()) for view in ("AP", "PA")
    ]
    tilts = [np.arctan2(*(t.landmarks[:, 1] - t.landmarks[:, 0])[:, ::-1].T) for t in both]
    assert np.degrees(np.abs(tilts[0] + tilts[1])).max() < 6


def test_corners_are_where_the_projected_rim_is_widest(person: Person, spine: Phantom) -> None:
    camera = framing(person).camera()
    truth = film_truth(spine.pose, spine.points, camera)
    for number, level in enumerate(VERTEBRAE):
        rim = torch.stack(
            [spine.points[level][f"superior_{side}"] for side in ("left", "right", "front", "back")]
        )
        flat = camera.project(rim).numpy()
        axis = truth.landmarks[number, 1] - truth.landmarks[number, 0]
        axis /= np.linalg.norm(axis)
        ends = truth.landmarks[number, :2] @ axis
        assert ends[0] <= (flat @ axis).min() + 0.6
        assert ends[1] >= (flat @ axis).max() - 0.6


def test_masks_lie_on_their_vertebrae(person: Person, spine: Phantom) -> None:
    camera = framing(person).camera()
    truth = film_truth(spine.pose, spine.points, camera)
    masks = vertebra_masks(spine, camera)
    assert masks.shape == truth.size
    assert set(np.unique(masks)) == set(range(18))
    for number, corners in enumerate(truth.landmarks, start=1):
        x, y = np.rint(corners.mean(axis=0)).astype(int)
        assert masks[y, x] == number


class TestMaximumCurvature:
    def pose(self, coronal: list[float], sagittal: list[float]) -> SpinePose:
        angles = torch.zeros(2, len(LEVELS), dtype=torch.float64)
        for row, values in enumerate((coronal, sagittal)):
            angles[row, 7 : 7 + len(values)] = torch.tensor(values, dtype=torch.float64)
        rotation = axis_rotation(angles[0], angles[1], torch.zeros(len(LEVELS), dtype=torch.float64))
        return SpinePose(rotation, average_pose().centre)

    def test_a_bend_in_the_frontal_plane_is_the_angle_itself(self) -> None:
        found = maximum_curvature(self.pose([20.0, 0.0, -20.0], [0.0, 0.0, 0.0]))
        assert found.degrees == pytest.approx(40)
        assert found.ends == (0, 2)
        assert found.plane == pytest.approx(0, abs=1e-6)

    def test_a_bend_in_a_plane_between_is_larger_than_its_shadow(self) -> None:
        # Axes (tan 20, tan 20, 1) and its negative: atan(sqrt(2) tan 20) to each side, at 45 degrees.
        found = maximum_curvature(self.pose([20.0, 0.0, -20.0], [20.0, 0.0, -20.0]))
        half = np.degrees(np.arctan(np.sqrt(2) * np.tan(np.radians(20))))
        assert found.degrees == pytest.approx(2 * half)
        assert found.plane == pytest.approx(45)


class TestPerson:
    def test_a_record_builds_the_same_person_again(self, person: Person, spine: Phantom) -> None:
        again = Person.model_validate_json(person.model_dump_json())
        assert again == person
        built = build_person(again, spine_only=True, dtype=torch.float64)
        assert all(
            torch.equal(a.vertices, b.vertices) for a, b in zip(built.meshes, spine.meshes, strict=True)
        )

    def test_every_population_can_be_drawn(self) -> None:
        ages = {name: [draw_person(s, name).age for s in range(8)] for name in POPULATIONS}
        assert min(ages["elderly"]) >= 65
        assert np.median(ages["patients"]) < 18
        with pytest.raises(AasceError, match="population 'martians' is unknown; choose one of patients"):
            draw_person(0, "martians")

    def test_an_impossible_angle_is_refused(self) -> None:
        with pytest.raises(AasceError, match="Cobb angle of 130 degrees is impossible"):
            draw_person(0, cobb=130.0)

    def test_the_angle_on_the_film_is_near_the_one_asked_for(self) -> None:
        off = []
        for seed in range(8):
            one = draw_person(seed, cobb=50.0, curve="single thoracic")
            truth = film_truth(one.pose(), build_person(one, spine_only=True).points, framing(one).camera())
            off.append(truth.challenge.degrees[0] - 50)
        assert np.abs(off).max() < 15
        assert abs(np.mean(off)) < 6


class TestFilms:
    def test_a_seed_gives_the_same_film(self) -> None:
        first, second = (render_film(5, rows=256) for _ in range(2))
        assert np.array_equal(first.pixels, second.pixels)
        assert np.array_equal(first.truth.landmarks, second.truth.landmarks)
        assert first.pixels.dtype == np.uint8
        assert first.pixels.shape == first.truth.size

    def test_labels_without_the_film_are_those_of_the_film(self) -> None:
        label, film = rendered_label(5, 256, "patients"), render_film(5, rows=256)
        assert label.landmarks is not None
        assert np.abs(label.landmarks - film.truth.landmarks).max() < 1e-3

    def test_bones_are_bright(self) -> None:
        film = render_film(6, rows=384, frame="trunk")
        inside = [film.pixels[tuple(np.rint(c.mean(axis=0)).astype(int)[::-1])] for c in film.truth.landmarks]
        assert np.mean(inside) > np.median(film.pixels)

    def test_the_whole_column_is_on_every_film(self) -> None:
        for seed in range(12):
            label = rendered_label(seed, 512, "patients")
            framed = draw_framing(
                np.random.default_rng((seed, 1)), build_person(draw_person(seed), True), 512
            )
            height, width = framed.camera().size
            assert label.landmarks is not None
            assert label.landmarks.min() >= 0
            assert (label.landmarks.reshape(-1, 2).max(axis=0) <= (width - 1, height - 1)).all()

    def test_a_set_renders_as_it_goes(self) -> None:
        films = RenderedFilms(3, seed=40, rows=256)
        part = films.subset([2, 0])
        assert [film.film_id for film in part] == ["rendered-000042", "rendered-000040"]
        assert np.array_equal(part.radiograph(0).pixels, render_film(42, rows=256).pixels)
        assert len(set(films.studies)) == 3

    def test_framing_is_readable_again(self, person: Person) -> None:
        one = framing(person)
        assert Framing.model_validate(json.loads(one.model_dump_json()), strict=False) == one
