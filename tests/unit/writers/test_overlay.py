"""The overlay shows the film unharmed, the lines where they belong, and the reason of a failure."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aasce.geometry.cobb import cobb_angles
from aasce.geometry.spine import turned_size
from aasce.preprocess.crop import letterbox
from aasce.types import AasceError, Array, CobbAngles, Orientation, Radiograph, Side, SpinePrediction
from aasce.writers.captions import COLOURS
from aasce.writers.overlay import MARGIN, RED, draw_overlay, save_overlay
from aasce.writers.page import Page, text_width, windowed, wrap
from tests.conftest import straight_spine


def film(height: int = 1000, width: int = 400, value: int = 60) -> Radiograph:
    return Radiograph("film [1]", np.full((height, width), value, dtype=np.uint8))


def prediction(landmarks: Array | None = None, **about: object) -> SpinePrediction:
    return SpinePrediction("film [1]", (1000, 400), landmarks=landmarks, solver="s", confidence=0.9, **about)  # type: ignore[arg-type]


def bent() -> Array:
    """Tilts 20 to -20 and back: the endplate lines of the upper half converge on the right."""
    tilt = np.concatenate([np.linspace(20, -20, 9), np.linspace(-15, 20, 8)])
    return straight_spine(17, tilt)


def count(overlay: Array, colour: tuple[int, int, int]) -> int:
    return int((overlay == np.array(colour)).all(axis=2).sum())


def corner(overlay: Array, height: int, width: int) -> tuple[int, int]:
    """Row and column of the film's corner on a overlay of scale 1 whose margins are even."""
    return overlay.shape[0] - height, (overlay.shape[1] - width) // 2


def test_film_of_one_grey_is_shown_as_it_is() -> None:
    pixels = np.arange(400 * 1000, dtype=np.uint32).reshape(1000, 400).astype(np.uint8)
    overlay = draw_overlay(Radiograph("x", pixels), prediction(), None)
    top, left = corner(overlay, 1000, 400)
    assert overlay.dtype == np.uint8
    assert (overlay[top:, left : left + 400] == pixels[..., None]).all()


def test_outlines_lie_on_the_vertebrae() -> None:
    points = straight_spine()
    overlay = draw_overlay(film(), prediction(points), None)
    top, left = corner(overlay, 1000, 400)
    for upper_left, upper_right, lower_left, lower_right in points:
        for pair in ((upper_left, upper_right), (lower_left, lower_right), (upper_left, lower_left)):
            x, y = np.mean(pair, axis=0).astype(int)
            assert overlay[top + y, left + x].mean() > 150
    assert (overlay[top + 60, left + 200] == 60).all()  # the middle of T1 stays visible


def test_three_curves_have_three_colours_and_their_lines_run_along_the_endplates() -> None:
    points = bent()
    angles = cobb_angles(points, 1000)
    overlay = draw_overlay(film(), prediction(points), angles)
    plain = draw_overlay(film(), prediction(points), None)
    for j, colour in enumerate(COLOURS):
        ends = angles.end_vertebrae[j]
        if ends is not None and ends[0] != ends[1]:
            assert count(overlay, colour) > 200
        assert count(plain, colour) == 0


def test_endplate_line_passes_the_middle_of_the_endplate() -> None:
    points = straight_spine(17, np.linspace(15.0, -15.0, 17))
    angles = CobbAngles(
        np.array([30.0, 0.0, 0.0]), "challenge", ((0, 16), None, None), (8, None, None), ("MT", "", "")
    )
    overlay = draw_overlay(film(), prediction(points), angles).astype(int)
    rows = np.argwhere((np.abs(overlay - np.array(COLOURS[0])).sum(axis=2)) < 30)
    top = overlay.shape[0] - 1000
    for plate in (points[0, [0, 1]], points[16, [2, 3]]):
        y = top + plate[:, 1].mean()
        assert (np.abs(rows[:, 0] - y) < 2).any()


def test_overlay_is_wide_enough_for_a_crossing_beside_the_film() -> None:
    """Endplates about 850 px apart, each at 45 degrees: they meet 425 px beside the spine, at x = 625."""
    points = straight_spine(17, np.linspace(45.0, -45.0, 17))
    wide = film(width=500)  # a third of it is 167 px: 625 lies within
    found = replace(prediction(points), size=wide.size)
    with_angles = draw_overlay(wide, found, cobb_angles(points, 1000))
    plain = draw_overlay(wide, found, None)
    assert with_angles.shape[1] > plain.shape[1]
    # The lines of the curve reach x = 625, beyond the film.
    amber = np.argwhere(
        (np.abs(with_angles.astype(int) - COLOURS[0]).sum(axis=2) < 30)[with_angles.shape[0] - 1000 :]
    )
    assert np.ptp(amber[:, 1]) > 425


@pytest.mark.parametrize("tilt", [8.0, 20.0, 35.0])
def test_the_film_stays_large_where_the_lines_meet_far_outside(tilt: float) -> None:
    """Endplates 850 px apart meet 425 / tan(tilt) beside the spine: beyond 400 + 133 px."""
    points = straight_spine(17, np.linspace(tilt, -tilt, 17))
    overlay = draw_overlay(film(), prediction(points), cobb_angles(points, 1000))
    plain = draw_overlay(film(), prediction(points), None)
    assert overlay.shape[1] <= max(plain.shape[1], round(400 * (1 + 2 * MARGIN)) + 2)


def test_titles_keep_off_the_vertebrae() -> None:
    points = bent()
    page = Page(np.zeros((1000, 400, 3), np.uint8), 1.0, 0, 0, 19)
    page.keep_clear(points[:, [0, 1, 3, 2]])
    middle = points[8].mean(axis=0)
    assert not page.is_free(page.box_of("MT 40.0°", middle, 19, 0.5))
    assert page.is_free(page.box_of("MT 40.0°", (10.0, float(middle[1])), 19, 0.0))


def test_the_patients_sides_stand_in_the_upper_corners() -> None:
    def corners(left: Side | None, turns: int = 0) -> list[Array]:
        lying = replace(
            film(), pixels=np.rot90(film().pixels, turns), patient_left=left, patient_left_source="marker"
        )
        found = replace(prediction(), size=lying.size, orientation=Orientation(turns))
        overlay = draw_overlay(lying, found, None)
        top, first = corner(overlay, 1000, 400)
        return [overlay[top : top + 60, first + x : first + x + 60] for x in (0, 340)]

    here, there = corners("left"), corners("right")
    assert not (here[0] == there[0]).all()  # "L" on the left of the film or on its right
    assert all((part == 60).all() for part in corners(None))
    upside_down = corners("right", 2)
    assert all((a == b).all() for a, b in zip(here, upside_down, strict=True))
    assert all(
        (part == 60).all() for part in corners("left", 1)
    )  # on its side the patient's sides are unknown


@pytest.mark.parametrize(
    ("height", "width"), [(1, 1), (973, 355), (3755, 1427), (30000, 60), (60, 9000), (2000, 2000)]
)
def test_any_size_gives_a_overlay_of_at_most_1600_rows(height: int, width: int) -> None:
    scale = np.array([width / 400, height / 1000])
    points = bent() * scale
    blank = Radiograph("x", np.zeros((height, width), dtype=np.uint16))
    overlay = draw_overlay(
        blank, replace(prediction(points), size=(height, width)), cobb_angles(points, height)
    )
    assert overlay.ndim == 3
    assert overlay.shape[2] == 3
    assert overlay.shape[0] <= 1600
    assert overlay.shape[1] >= 300


def test_many_flags_do_not_crowd_out_the_film() -> None:
    flags = tuple(f"flag_number_{i}" for i in range(500))
    assert draw_overlay(film(3000, 1200), prediction(bent(), flags=flags), None).shape[0] <= 1600


def test_failed_film_carries_its_reason_and_no_angle() -> None:
    points = bent()
    angles = cobb_angles(points, 1000)
    overlay = draw_overlay(film(), prediction(points, failure="no spine was found " * 20), angles)
    assert count(overlay, RED) > 200
    assert all(count(overlay, colour) == 0 for colour in COLOURS)
    assert count(draw_overlay(film(), prediction(points), angles), RED) == 0


def test_flags_of_the_prediction_are_written_and_no_others() -> None:
    """A solver's prediction carries the flags of its film too."""
    plain = draw_overlay(film(), prediction(), None)
    flagged = draw_overlay(film(), prediction(flags=("curve_leaves_film",)), None)
    assert flagged.shape[0] > plain.shape[0]
    of_film = replace(film(), flags=("anisotropic_pixels_corrected",))
    assert (draw_overlay(of_film, prediction(), None) == plain).all()


def test_angles_without_landmarks_are_written_only() -> None:
    angles = CobbAngles(np.array([43.2, 20.0, 10.0]), "challenge")
    overlay = draw_overlay(film(), prediction(), angles)
    assert all(count(overlay, colour) > 30 for colour in COLOURS)
    top, left = corner(overlay, 1000, 400)
    assert (overlay[top:, left : left + 400] == 60).all()


def test_mask_and_centreline_are_drawn_where_there_are_no_landmarks() -> None:
    mask = np.zeros((1000, 400), dtype=np.uint8)
    mask[100:200, 100:200] = 1
    line = np.array([[300.0, 10.0], [300.0, 900.0]])
    overlay = draw_overlay(film(), prediction(mask=mask, centerline=line), None)
    top, left = corner(overlay, 1000, 400)
    assert overlay[top + 100, left + 150].mean() > 120
    assert overlay[top + 500, left + 300].max() > 200
    assert (overlay[top + 150, left + 150] == 60).all()


def test_landmarks_that_cannot_be_drawn_do_no_harm() -> None:
    plain = draw_overlay(film(), prediction(), None)
    for bad in (np.full((17, 4, 2), np.nan), np.zeros((17, 2))):
        assert (draw_overlay(film(), prediction(bad), None) == plain).all()
    far = bent() * 1e7
    assert draw_overlay(film(), prediction(far), cobb_angles(far, 1000)).shape[0] <= 1600


def test_ends_that_no_landmark_has_are_left_out() -> None:
    angles = CobbAngles(np.array([5.0, 5.0, 5.0]), "clinical", ((0, 30), (2, 2), None), (20, 2, None))
    overlay = draw_overlay(film(), prediction(bent()), angles)
    assert overlay.shape[0] > 1000


def test_sixteen_bits_are_stretched_over_their_percentiles() -> None:
    ramp = np.linspace(3000, 7000, 1000).astype(np.uint16)[:, None].repeat(50, axis=1)
    shown = windowed(ramp, 1000, 50)
    assert shown.dtype == np.uint8
    assert (shown.min(), shown.max()) == (0, 255)
    assert shown[500, 0] == pytest.approx(127.5, abs=1.5)
    assert (windowed(np.full((5, 5), 900, dtype=np.uint16), 5, 5) == 0).all()


def test_text_is_wrapped_to_its_width() -> None:
    lines = wrap("a spine of " + "x" * 200, 150, 14)
    assert "".join("".join(lines).split()) == "aspineof" + "x" * 200
    assert all(text_width(line, 14) <= 150 for line in lines)
    assert text_width("43°", 14) > text_width("43", 14)


def test_overlay_is_saved_by_its_suffix(tmp_path: Path) -> None:
    overlay = draw_overlay(film(), prediction(bent()), None)
    for name, form in (("a.png", "PNG"), ("a.jpg", "JPEG"), ("b.JPEG", "JPEG")):
        save_overlay(tmp_path / name, overlay)
        with Image.open(tmp_path / name) as image:
            assert image.format == form
            assert image.size == (overlay.shape[1], overlay.shape[0])
    with Image.open(tmp_path / "a.png") as image:
        assert (np.array(image) == overlay).all()


def test_overlay_that_cannot_be_saved_is_one_line(tmp_path: Path) -> None:
    overlay = np.zeros((4, 4, 3), dtype=np.uint8)
    with pytest.raises(AasceError, match=r"a\.bmp: an overlay is a JPEG or PNG"):
        save_overlay(tmp_path / "a.bmp", overlay)
    (tmp_path / "file").touch()
    with pytest.raises(AasceError, match="cannot be written"):
        save_overlay(tmp_path / "file" / "a.png", overlay)
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_film_that_lies_turned_is_shown_upright(turns: int) -> None:
    spine = bent()
    upright = replace(film(), pixels=np.random.default_rng(0).integers(0, 99, (1000, 400)).astype(np.uint8))
    angles = cobb_angles(spine, 1000)
    there = letterbox((1000, 400), turned_size((1000, 400), -turns), -turns)
    lying = replace(upright, pixels=np.ascontiguousarray(np.rot90(upright.pixels, turns)))
    found = replace(prediction(there.apply(spine)), size=lying.size, orientation=Orientation(turns))
    np.testing.assert_array_equal(
        draw_overlay(lying, found, angles), draw_overlay(upright, prediction(spine), angles)
    )


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_line_and_a_mask_that_lie_turned_are_shown_upright(turns: int) -> None:
    line = np.stack([np.linspace(180.0, 220.0, 50), np.linspace(100.0, 900.0, 50)], axis=1)
    mask = np.zeros((1000, 400), np.uint8)
    mask[100:900, 150:240] = 1
    found = prediction(centerline=line, mask=mask)
    there = letterbox((1000, 400), turned_size((1000, 400), -turns), -turns)
    lying = replace(film(), pixels=np.full(turned_size((1000, 400), turns), 60, np.uint8))
    turned = replace(
        found,
        size=lying.size,
        centerline=there.apply(line),
        mask=np.rot90(mask, turns),
        orientation=Orientation(turns),
    )
    np.testing.assert_array_equal(draw_overlay(lying, turned, None), draw_overlay(film(), found, None))


def test_a_negative_keeps_its_greys() -> None:
    """The reader meets the film as given; the flags say that it is a negative."""
    negative = prediction(bent(), orientation=Orientation(negative=True))
    plain = draw_overlay(film(), prediction(bent()), None)
    assert (draw_overlay(film(), negative, None) == plain).all()
