"""A film shows the body with bone bright and leaves landmarks in place, whatever its appearance."""

from __future__ import annotations

import time
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from aasce.config import dump_settings
from aasce.types import AasceError
from aasce.xray import detector, marks, processing
from aasce.xray.appearance import Exposure
from aasce.xray.film import FilmAppearance, develop, draw_appearance, stored
from aasce.xray.styles import STYLES, Style

PITCH = 0.8


def body(height: int = 512, width: int = 256) -> NDArray[np.float32]:
    """Intensity behind an elliptical trunk with two lungs and a column of vertebrae."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    x, y = x / width * 2 - 1, y / height * 2 - 1
    integral = 4.2 * np.sqrt(np.clip(1 - (x / 0.9) ** 2, 0, 1))
    for side in (-0.45, 0.45):
        integral -= 2.4 * np.sqrt(np.clip(1 - ((x - side) / 0.3) ** 2 - ((y + 0.4) / 0.4) ** 2, 0, 1))
    integral += 1.0 * (np.abs(x) < 0.12) * (np.sin(y * 60) > -0.7)
    return np.exp(-np.clip(integral, 0, None)).astype(np.float32)


def quiet(**changes: Any) -> FilmAppearance:
    """An appearance without noise, texture, borders, letters or compression; parts changed by keyword."""
    appearance = draw_appearance(np.random.default_rng(0), style="plain")
    exposure = {
        "clutter": 0.0, "scatter": 0.0, "focus_mm": 0.0, "motion_mm": 0.0, "quanta": 1e12, "wedge": 0.0, "heel": 0.0,
        "cutoff": 0.0, "tilt": 0.0, "grid": 0.0, "seams": (),
    }  # fmt: skip
    plain = {"equalise": 0.0, "detail": 0.0, "power": 1.0, "sharpen": 0.0, "clahe": 0.0}
    window = {
        "dark": 0.02,
        "bright": 0.98,
        "floor": 0.0,
        "ceiling": 200.0,
        "gamma": 1.0,
        "slope": 0.0,
        "toe": 0.0,
    }
    border = {"left": 0.0, "right": 0.0, "top": 0.0, "bottom": 0.0, "corners": (0.0, 0.0, 0.0, 0.0)}
    storage = {
        "vignette": 0.0,
        "streaks": 0.0,
        "dust": 0,
        "scale": 1.0,
        "grain": 0.0,
        "levels": 256,
        "jpeg": 100,
    }
    parts: dict[str, dict[str, Any]] = {
        "exposure": exposure, "processing": plain, "window": window, "border": border, "storage": storage,
    }  # fmt: skip
    marks = changes.pop("marks", ())
    for name, part in parts.items():
        part.update(changes.pop(name, {}))
    updated = {name: getattr(appearance, name).model_copy(update=part) for name, part in parts.items()}
    return appearance.model_copy(update={**updated, "marks": marks})


def film(
    appearance: FilmAppearance, intensity: NDArray[np.float32] | None = None, seed: int = 0
) -> NDArray[np.uint8]:
    return develop(body() if intensity is None else intensity, appearance, np.random.default_rng(seed), PITCH)


@pytest.mark.parametrize("style", STYLES)
def test_bone_is_brighter_than_lung_on_every_film(style: Style) -> None:
    for seed in range(12):
        pixels = film(draw_appearance(np.random.default_rng(seed), style=style))
        assert pixels.dtype == np.uint8
        assert pixels.shape == (512, 256)
        spine, lung = pixels[120:200, 122:134], pixels[120:200, 60:80]
        assert spine.mean() > lung.mean() + 4, seed


def test_same_seed_same_film_and_other_seeds_other_noise() -> None:
    appearance = draw_appearance(np.random.default_rng(5))
    assert draw_appearance(np.random.default_rng(5)) == appearance
    assert np.array_equal(film(appearance, seed=1), film(appearance, seed=1))
    assert not np.array_equal(film(appearance, seed=1), film(appearance, seed=2))


def test_record_is_plain_and_complete() -> None:
    for seed in range(40):
        appearance = draw_appearance(np.random.default_rng(seed))
        assert FilmAppearance.model_validate_json(appearance.model_dump_json()) == appearance
        assert "quanta:" in dump_settings(appearance)


@pytest.mark.parametrize("style", STYLES)
def test_development_moves_no_pixel(style: Style) -> None:
    """A small bright bead stays where it is, in every appearance (side marks and borders lie elsewhere)."""
    yy, xx = np.mgrid[:512, :256]
    for seed in range(6):
        appearance = draw_appearance(np.random.default_rng(100 + seed), style=style)
        appearance = appearance.model_copy(
            update={"marks": (), "storage": appearance.storage.model_copy(update={"dust": 0})}
        )
        smooth = np.exp(-3 - 0.3 * np.cos(xx / 40) - 0.3 * np.cos(yy / 50)).astype(np.float32)
        bead = np.exp(-2.0 * np.exp(-((xx - 141.3) ** 2 + (yy - 260.7) ** 2) / (2 * 3.0**2))).astype(
            np.float32
        )
        difference = film(appearance, smooth * bead).astype(float) - film(appearance, smooth).astype(float)
        near = np.clip(difference[240:282, 120:163], 0, None)
        near[near < near.max() / 2] = 0
        x, y = (
            (near * xx[240:282, 120:163]).sum() / near.sum(),
            (near * yy[240:282, 120:163]).sum() / near.sum(),
        )
        assert np.hypot(x - 141.3, y - 260.7) < 0.4, seed


@pytest.mark.parametrize("dark", [0.05, 0.3])
def test_window_sends_its_quantiles_to_its_greys(dark: float) -> None:
    """A hard window makes its share of the body black; the quantiles are those of every fourth pixel."""
    image, behind = -np.log(body()), body() < 0.8
    grey = processing.to_grey(image, behind, quiet(window={"dark": dark}).window)
    assert np.mean(grey[behind] <= 0) == pytest.approx(dark, abs=0.03)
    assert np.quantile(grey[behind], 0.98) == pytest.approx(200, abs=3)


def test_noise_is_that_of_the_counted_quanta() -> None:
    """Behind a flat body of one intensity, the sd of the logarithm is one over the root of quanta per pixel."""
    flat = np.full((256, 256), 0.1, np.float32)
    exposure: Exposure = quiet(exposure={"quanta": 5000.0}).exposure
    counts = detector.count(flat, np.ones_like(flat, bool), exposure, None, np.random.default_rng(0), 0.5)
    assert float(np.log(counts).std()) == pytest.approx(1 / np.sqrt(5000 * 0.5**2), rel=0.03)
    assert float(counts.mean()) == pytest.approx(0.1, rel=1e-3)


def test_thicker_parts_are_noisier() -> None:
    halves = np.repeat(np.array([[0.3, 0.03]], np.float32), 128, 1).repeat(256, 0)
    exposure = quiet(exposure={"quanta": 5000.0}).exposure
    counts = np.log(detector.count(halves, halves < 0.8, exposure, None, np.random.default_rng(0), 0.5))
    # A tenth of the quanta: the root of ten times the noise.
    assert counts[:, 128:].std() / counts[:, :128].std() == pytest.approx(np.sqrt(10), rel=0.06)


def test_scatter_has_its_share_of_the_primary() -> None:
    flat = np.full((256, 256), 0.05, np.float32)
    exposure = quiet(exposure={"scatter": 0.7, "scatter_mm": 30.0}).exposure
    counts = detector.count(flat, np.ones_like(flat, bool), exposure, None, np.random.default_rng(0), 0.5)
    assert float(counts.mean()) == pytest.approx(0.05 * 1.7, rel=0.01)


def test_scatter_lowers_contrast() -> None:
    contrast = []
    for scatter in (0.0, 1.5):
        exposure = quiet(exposure={"scatter": scatter, "scatter_mm": 40.0}).exposure
        image = -np.log(detector.count(body(), body() < 0.8, exposure, None, np.random.default_rng(0), PITCH))
        contrast.append(float(image[300:400, 128].mean() - image[300:400, 90].mean()))
    assert contrast[1] < 0.75 * contrast[0]


def test_grid_lines_have_their_period() -> None:
    flat = np.full((256, 256), 0.1, np.float32)
    exposure = quiet(exposure={"grid": 0.01, "grid_px": 8.0, "grid_degrees": 0.0}).exposure
    counts = detector.count(flat, np.ones_like(flat, bool), exposure, None, np.random.default_rng(0), 0.5)
    power = np.abs(np.fft.rfft(counts.mean(0) - counts.mean()))
    assert int(power.argmax()) == 256 // 8
    assert float(counts.std() / counts.mean()) == pytest.approx(0.01 / np.sqrt(2), rel=0.02)


def test_processing_without_gains_changes_nothing() -> None:
    image = -np.log(body())
    assert np.array_equal(processing.enhance(image, quiet().processing, PITCH), image)
    settings = quiet(processing={"equalise": 1e-9, "power": 1.0}).processing
    assert np.abs(processing.enhance(image, settings, PITCH) - image).max() < 1e-4


def test_equalising_takes_large_shadows_and_leaves_edges() -> None:
    settings = quiet(processing={"equalise": 0.8, "equalise_mm": 30.0}).processing
    image = -np.log(body())
    flat = processing.enhance(image, settings, PITCH)
    abdomen, chest = (slice(330, 400), slice(70, 100)), (slice(130, 180), slice(60, 80))
    assert flat[abdomen].mean() - flat[chest].mean() < 0.6 * (image[abdomen].mean() - image[chest].mean())
    edge = (
        np.abs(np.diff(flat, axis=0))[100:400, 128].max() / np.abs(np.diff(image, axis=0))[100:400, 128].max()
    )
    assert 0.7 < edge < 1.1


def test_border_hides_its_share_and_leaves_the_rest() -> None:
    sides = {"left": 0.1, "top": 0.05, "slants": (0.0, 0.0, 0.0, 0.0)}
    masked = film(quiet(border={**sides, "grey": 255.0, "cover": 1.0, "soft_px": 0.2}))
    bare = film(quiet())
    assert (masked[:, :24] == 255).all()
    assert (masked[:24] == 255).all()
    assert np.array_equal(masked[30:, 30:], bare[30:, 30:])


def test_blanked_corners_are_black() -> None:
    corners = film(quiet(border={"corners": (0.25, 0.05, 0.5, 0.1)}, window={"floor": 30.0}))
    assert not corners[:26, :64].any()
    assert not corners[:51, 128:].any()
    assert corners[60:].min() >= 30


def test_drawn_borders_and_corners_leave_the_middle() -> None:
    """Nothing drawn may hide a spine: 85 % of the width and 90 % of the height stay free."""
    for seed in range(300):
        border = draw_appearance(np.random.default_rng(seed)).border
        field = marks.field(border, (400, 200))
        assert field[22:378, 17:183].min() > 0.99, seed
        assert max(border.corners[1], border.corners[3]) < 0.05


def mark(**changes: Any) -> Any:
    drawn = next(
        m for seed in range(99) for m in draw_appearance(np.random.default_rng(seed)).marks if m.text == "R"
    )
    upright = {"degrees": 0.0, "weight": 0.15, "ring": False, "mirrored": False}
    return drawn.model_copy(update={"x": 0.5, "y": 0.5, "height": 0.1, "grey": 255.0, **upright, **changes})


def test_letter_lies_where_it_is_put() -> None:
    for weight in (0.0, 0.15):
        written = film(quiet(marks=(mark(x=0.2, y=0.3, weight=weight),))).astype(int)
        changed = np.argwhere(np.abs(written - film(quiet()).astype(int)) > 20)
        middle = (changed.min(0) + changed.max(0)) / 2
        assert middle == pytest.approx([0.3 * 512, 0.2 * 256], abs=4)
        assert np.ptp(changed[:, 0]) == pytest.approx(0.1 * 512, rel=0.25)


def test_letter_of_lead_is_white_whatever_lies_behind() -> None:
    leaden = film(quiet(marks=(mark(grey=-4.0, x=0.3, y=0.4),)))
    assert leaden[180:230, 60:95].max() > 220  # on the dark lung
    assert film(quiet())[180:230, 60:95].max() < 120


@pytest.mark.parametrize("view", ["AP", "PA"])
def test_side_letters_lie_on_their_side(view: Any) -> None:
    right = [
        (m.text == "R") == (m.x < 0.5) if view == "AP" else (m.text == "R") == (m.x > 0.5)
        for seed in range(300)
        for m in draw_appearance(np.random.default_rng(seed), view).marks[:1]
        if m.text in ("R", "L")
    ]
    assert len(right) > 100
    assert np.mean(right) > 0.85  # words may be a lone letter, and 1 in 40 lies on the wrong side


def test_stronger_compression_departs_further() -> None:
    grey = film(draw_appearance(np.random.default_rng(2), style="equalised")).astype(np.float32)
    loss = [
        float(
            np.abs(stored(grey, quiet(storage={"jpeg": q}).storage, np.random.default_rng(0)) - grey).mean()
        )
        for q in (100, 90, 30)
    ]
    assert loss[0] == 0
    assert 0 < loss[1] < loss[2]


def test_every_drawn_appearance_gives_a_film_with_contrast() -> None:
    for seed in range(60):
        pixels = film(draw_appearance(np.random.default_rng(seed)))
        assert pixels[:, 40:216].std() > 8, seed
        assert np.mean(pixels == 255) < 0.3, seed


def test_tensor_and_array_give_the_same_film() -> None:
    appearance = draw_appearance(np.random.default_rng(4))
    tensor = torch.from_numpy(body()).double().requires_grad_()
    assert np.array_equal(
        develop(tensor, appearance, np.random.default_rng(1), PITCH), film(appearance, seed=1)
    )


def test_empty_beam_and_black_beam_give_films() -> None:
    for value in (1.0, 0.0):
        assert film(
            draw_appearance(np.random.default_rng(1)), np.full((64, 64), value, np.float32)
        ).shape == (
            64,
            64,
        )


def test_wrong_input_is_refused() -> None:
    appearance, rng = quiet(), np.random.default_rng(0)
    with pytest.raises(AasceError, match="one film"):
        develop(np.ones((1, 64, 64)), appearance, rng, PITCH)
    with pytest.raises(AasceError, match="not finite"):
        develop(np.full((64, 64), np.nan), appearance, rng, PITCH)
    with pytest.raises(AasceError, match="mm per pixel"):
        develop(body(), appearance, rng, 0.0)


def test_development_is_quick() -> None:
    """A film of 1024 x 512 takes at most 0.12 s of one core; twice that is allowed to a slow or shared one."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        large = body(1024, 512)
        took = []
        for seed in range(8):
            appearance = draw_appearance(np.random.default_rng(seed))
            begin = time.process_time()
            film(appearance, large)
            took.append(time.process_time() - begin)
    finally:
        cv2.setNumThreads(threads)
    assert float(np.median(took)) < 0.24
