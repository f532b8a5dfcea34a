"""The output of a head for a canvas, and the angles measured on it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aasce.geometry.cobb import cobb_angles
from aasce.preprocess.crop import View
from aasce.solvers.shared.heads import PairsHeadSettings, Regressed, RowsHeadSettings
from aasce.solvers.shared.readout import Readout, pass_angles, sample_angles
from aasce.solvers.shared.row_head import angle_targets
from aasce.solvers.shared.samples import Sample
from tests.conftest import straight_spine

CANVAS = (900, 400)
VIEW = View(np.array([[0.5, 0.0, 20.0], [0.0, 0.5, 30.0]]), CANVAS)  # film px to canvas px
TILTS = np.interp(np.arange(17), [0, 3, 9, 16], [4.0, 18.0, -14.0, 9.0])
LEARNED = [40.0, 2.0, -1.0]


def leaning_spine() -> np.ndarray:
    """Vertebrae tilted by `TILTS` along the column that such vertebrae would stand on."""
    spine = straight_spine(tilt=TILTS)
    drift = -np.tan(np.radians(TILTS)) * 50
    shift = np.concatenate([[0.0], np.cumsum((drift[1:] + drift[:-1]) / 2)])
    return spine + np.stack([shift, np.zeros(17)], axis=-1)[:, None]


def extended(row: torch.Tensor) -> torch.Tensor:
    """Values above and below the known ones go on in a line."""
    at = row.isfinite().nonzero().flatten().tolist()
    first, last = at[0], at[-1]
    row = row.clone()
    row[:first] = row[first] + (row[first + 1] - row[first]) * (torch.arange(first) - first)
    row[last + 1 :] = row[last] + (row[last] - row[last - 1]) * torch.arange(1, len(row) - last)
    return row


def exact_output(rows: int = 90, mirrored: bool = False) -> Regressed:
    """Output of a head without errors for the canvas, and for its mirror image."""
    films = [leaning_spine()]
    if mirrored:
        flipped = leaning_spine()[:, [1, 0, 3, 2]]
        flipped[..., 0] = CANVAS[1] - 1 - flipped[..., 0]
        films.append(flipped)
    batch = angle_targets(films, [np.array(LEARNED)] * len(films), CANVAS, RowsHeadSettings(rows=rows))
    columns = torch.stack([extended(row) for row in batch["columns"]])
    return Regressed(
        batch["angles"], batch["tilts"], torch.zeros(len(films), 1), batch["places"], batch["along"],
        torch.stack([columns - 0.1, columns + 0.1], dim=1),
    )  # fmt: skip


def test_exact_output_is_measured_like_the_vertebrae() -> None:
    film = VIEW.undo(leaning_spine())
    height = 1800
    truth = cobb_angles(film, height).degrees
    found = Readout.of(exact_output()).degrees(VIEW, height, RowsHeadSettings(tilt_sd_deg=0.0))
    assert found.shape == (1, 3)
    assert truth[0] == pytest.approx(32.0, abs=0.5)
    assert found[0] == pytest.approx(truth, abs=0.05)


def test_regressed_angles_are_given_where_asked_or_where_nothing_else_is_known() -> None:
    learned = [40.0, 2.0, 0.0]  # never below zero
    head = RowsHeadSettings(angles="regressed")
    assert Readout.of(exact_output()).degrees(VIEW, 1800, head).tolist() == [learned]
    average = Regressed(torch.tensor([LEARNED]), torch.zeros(1, 17), torch.zeros(1, 1))
    assert Readout.of(average).degrees(VIEW, 1800, PairsHeadSettings()).tolist() == [learned]


def test_a_mirror_image_has_the_same_angles() -> None:
    box = (10, 100, 700, 1700)
    both, combined = pass_angles(
        Readout.of(exact_output(mirrored=True)), VIEW, box, RowsHeadSettings(tilt_sd_deg=0.0)
    )
    assert both[1] == pytest.approx(both[0], abs=0.05)
    assert combined == pytest.approx(both[0], abs=0.05)
    inside = VIEW.undo(leaning_spine()) - [10, 100]
    assert combined == pytest.approx(cobb_angles(inside, 1600).degrees, abs=0.1)  # in the frame of the box


def test_uncertain_tilts_raise_the_angles_of_a_straight_spine() -> None:
    """A maximum over noise is above zero; without noise it is not."""
    straight = exact_output()._replace(tilts=torch.zeros(1, 17))
    read = Readout.of(straight)
    assert read.degrees(VIEW, 1800, RowsHeadSettings(tilt_sd_deg=0.0))[0, 0] == pytest.approx(0.0, abs=1e-6)
    assert 4 < read.degrees(VIEW, 1800, RowsHeadSettings(tilt_sd_deg=2.0))[0, 0] < 10


def test_levels_in_one_place_are_still_measured() -> None:
    piled = exact_output()
    assert piled.places is not None
    found = Readout.of(piled._replace(places=torch.full((1, 17), 0.5)))
    assert np.isfinite(found.degrees(VIEW, 1800, RowsHeadSettings())).all()


def test_films_are_read_each_from_its_own_pixels() -> None:
    pixels = np.zeros((*CANVAS, 1), np.uint8)
    sample = Sample(pixels, leaning_spine(), np.zeros(3), VIEW, 1800)
    two = Readout.joined([Readout.of(exact_output()), Readout.of(exact_output())])
    found = sample_angles(two, [sample, sample], RowsHeadSettings(tilt_sd_deg=0.0))
    assert found.shape == (2, 3)
    assert found[1] == pytest.approx(cobb_angles(VIEW.undo(leaning_spine()), 1800).degrees, abs=0.05)
    assert two.finite
    assert not Readout.of(exact_output()._replace(angles=torch.full((1, 3), torch.nan))).finite


def test_two_views_make_one() -> None:
    shrink = View(np.array([[0.2, 0.0, 1.0], [0.0, 0.2, -3.0]]), (180, 80))
    points = np.array([[3.0, 4.0], [100.0, 50.0]])
    both = VIEW.then(shrink)
    assert both.size == (180, 80)
    assert both.apply(points) == pytest.approx(shrink.apply(VIEW.apply(points)))
