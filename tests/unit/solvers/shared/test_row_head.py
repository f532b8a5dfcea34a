"""Pooling by rows and the heads on it, each against values derived by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aasce.solvers.shared.heads import (
    ANGLE_SCALE,
    DirectHeadSettings,
    PairsHead,
    PairsHeadSettings,
    Regressed,
    RowsHeadSettings,
)
from aasce.solvers.shared.row_head import (
    AngleHead,
    RowPool,
    RowsHead,
    angle_targets,
    head_losses,
    level_places,
    local_tilts,
    usual_places,
)
from tests.conftest import straight_spine

ROWS = 34


def reading_head(tilts: torch.Tensor) -> RowsHead:
    """A head that says `tilts` of the rows, and that level k stands in row 2 k + 1 (sharply)."""
    head = RowsHead(4, RowsHeadSettings(rows=ROWS, width=18, dropout=0.0)).eval()
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.zero_()
        head.where[0, 17] = tilts / ANGLE_SCALE
        head.along.weight[0, 17, 0] = 1.0
        for level in range(17):
            head.where[0, level, 2 * level + 1] = 1.0
            head.find.weight[level, level, 0] = 100.0
    return head


def test_levels_read_the_tilts_of_the_rows_they_stand_in() -> None:
    tilts = torch.linspace(-30, 36, ROWS)  # 2 degrees a row
    found = reading_head(tilts)(torch.zeros(1, 4, ROWS))
    assert found.tilts is not None
    assert found.places is not None
    assert found.along is not None
    assert found.tilts[0].tolist() == pytest.approx([-28 + 4 * k for k in range(17)], abs=1e-3)
    assert found.places[0].tolist() == pytest.approx([(2 * k + 1.5) / ROWS for k in range(17)], abs=1e-4)
    assert found.along[0].tolist() == pytest.approx(tilts.tolist(), abs=1e-4)


def test_a_row_is_read_where_its_weight_lies() -> None:
    """All weight on one column: its features, and its place in [-1, 1], come through."""
    pool = RowPool(2, 3, 5, local=False).eval()
    features = torch.zeros(1, 2, 5, 9)
    features[0, 0, :, 6] = 1.0  # marks the spine
    features[0, 1, :, 6] = 7.0
    features[0, 1, :, 2] = 100.0  # something bright beside it
    with torch.no_grad():
        pool.weigh.weight[:] = torch.tensor([1e3, 0.0])[None, :, None, None]
        pool.project[0].weight[:] = torch.eye(3)[..., None]
    rows, column, local = pool(features)
    assert local is None
    place = 2 * 6.5 / 9 - 1  # the middle of the seventh of nine columns
    assert rows[0, :, 2].tolist() == pytest.approx([1.0, 7.0, place], rel=1e-4)
    assert column[0].tolist() == pytest.approx([place] * 5, rel=1e-4)


def test_an_average_forgets_the_place_and_rows_do_not() -> None:
    torch.manual_seed(0)
    maps = [torch.randn(1, 3, 8, 4), torch.randn(1, 5, 16, 8)]
    turned = [x.flip(2) for x in maps]
    heads = (
        (DirectHeadSettings(), True),
        (PairsHeadSettings(), True),
        (RowsHeadSettings(rows=8, width=8), False),
    )
    for settings, same in heads:
        head = AngleHead((3, 5), settings).eval()
        assert torch.allclose(head(maps).angles, head(turned).angles, atol=1e-4) is same


def test_averaged_vectors_are_concatenated() -> None:
    head = AngleHead((3, 5), DirectHeadSettings()).eval()
    maps = [torch.arange(3.0)[None, :, None, None].expand(1, 3, 2, 2), torch.full((1, 5, 4, 4), 9.0)]
    assert head(maps).features.tolist() == [[0, 1, 2, 9, 9, 9, 9, 9]]
    assert head.width == 8


def test_pairs_measure_between_levels() -> None:
    """With all weight on the pair of levels 2 and 9, the angle is the difference of their tilts."""
    head = AngleHead((3,), PairsHeadSettings()).eval()
    pairs = head.head
    assert isinstance(pairs, PairsHead)
    tilts = torch.zeros(17)
    tilts[2], tilts[9] = 20.0 / ANGLE_SCALE, -15.0 / ANGLE_SCALE
    with torch.no_grad():
        pairs.tilts.weight.zero_()
        pairs.tilts.bias.copy_(tilts)
        for layer in (pairs.choose[0], pairs.choose[2]):
            layer.weight.zero_()
            layer.bias.zero_()
        pairs.sharpness.fill_(1e4)
    found = head([torch.zeros(1, 3, 4, 2)])
    assert found.angles[0].tolist() == pytest.approx([35.0] * 3, abs=1e-3)
    assert found.tilts is not None
    assert found.tilts[0, 2].item() == pytest.approx(20.0, abs=1e-4)


def test_levels_are_expected_evenly_and_anywhere() -> None:
    usual = usual_places(17, 51)
    assert usual.shape == (17, 51)
    assert usual.argmax(dim=1).tolist() == sorted(usual.argmax(dim=1).tolist())
    assert usual.min() == -4.0
    # Level 8 of 17 lies in the middle of the spine: 0.45 + 0.03 of 51 rows is the middle of row 24.
    assert int(usual[8].argmax()) == 24


def test_targets_of_a_straight_spine() -> None:
    """Boxes every 50 px from y = 60 on a canvas of 900 rows, tilted by 1 degree more from level to level."""
    landmarks = straight_spine(tilt=np.arange(17.0))
    settings = RowsHeadSettings(rows=90)
    targets = angle_targets([landmarks], [np.array([16.0, 0, 0])], (900, 401), settings)
    assert targets["places"][0].tolist() == pytest.approx([(60.5 + 50 * k) / 900 for k in range(17)])
    assert targets["tilts"][0].tolist() == pytest.approx(list(range(17)), abs=1e-4)
    along = targets["along"][0]
    # Row r has its middle at 10 r + 5: rows 6 (y = 65) to 85 (y = 855) lie between the first and last middle.
    assert along.isfinite().nonzero().flatten().tolist() == list(range(6, 86))
    columns = targets["columns"][0]
    assert torch.equal(columns.isfinite(), along.isfinite())
    assert columns[6:86].tolist() == pytest.approx([0.0] * 80, abs=1e-6)  # x = 200, the middle of 401
    assert along[6].item() == pytest.approx((65 - 60.5) / 50, abs=1e-4)


def test_places_never_run_upward() -> None:
    landmarks = straight_spine()
    landmarks[5], landmarks[6] = landmarks[6].copy(), landmarks[5].copy()
    assert (np.diff(level_places(landmarks, (900, 400), 17)[:, 1]) >= 0).all()


def test_losses_of_an_exact_and_of_a_shifted_answer() -> None:
    settings = RowsHeadSettings(rows=90)
    batch = angle_targets([straight_spine()], [np.array([30.0, 20, 10])], (900, 400), settings)
    columns = batch["columns"].nan_to_num(5.0)
    along = batch["along"].nan_to_num(77.0)
    exact = Regressed(
        batch["angles"], batch["tilts"], torch.zeros(1, 1), batch["places"], along, columns[:, None]
    )
    assert head_losses(exact, batch, settings)["loss"].item() == pytest.approx(0.0, abs=1e-6)
    off = exact._replace(places=batch["places"] + 1 / 17, along=along + 5.0, columns=columns[:, None] + 0.1)
    losses = head_losses(off, batch, settings)
    assert losses["place"].item() == pytest.approx(1.0, abs=1e-4)  # one level of 17
    assert losses["along"].item() == pytest.approx(1.0, abs=1e-4)  # 5 degrees, in units of 5
    assert losses["column"].item() == pytest.approx(1.0, abs=1e-4)  # a twentieth of the width, of that unit
    assert losses["loss"].item() == pytest.approx(3.0, abs=1e-4)


def test_the_papers_loss_is_smape_alone() -> None:
    settings = DirectHeadSettings(smooth_l1=0.0, smape=1.0)
    batch = angle_targets([straight_spine()], [np.array([40.0, 20, 10])], (900, 400), settings)
    found = Regressed(torch.tensor([[38.0, 22.0, 10.0]]), None, torch.zeros(1, 1))
    assert head_losses(found, batch, settings)["loss"].item() == pytest.approx(4 / 140)


def test_every_pixel_of_the_spine_is_asked_for_its_tilt() -> None:
    """Boxes 60 px wide at x = 200 of 401, from y = 60 to 860, on a map of half the rows."""
    landmarks = straight_spine(tilt=np.arange(17.0))
    settings = RowsHeadSettings(rows=90, local=2.0)
    batch = angle_targets([landmarks], [np.array([16.0, 0, 0])], (900, 401), settings)
    width = float(np.linalg.norm(landmarks[0, 1] - landmarks[0, 0]))
    assert batch["halves"][0, 6:86].tolist() == pytest.approx([width / 401] * 80, rel=1e-3)
    wanted = local_tilts(batch, (45, 401))[0]
    known = wanted.isfinite()
    assert known.any(dim=1).nonzero().flatten().tolist() == list(range(3, 43))  # every second row
    assert int(known[20].sum()) == pytest.approx(width, abs=1.01)
    assert known[20].nonzero().float().mean().item() == pytest.approx(200.0, abs=0.51)
    # Row 20 of 45 has its middle at y = 410, between rows 40 and 41 of 90: the latter is read, at y = 415.
    assert wanted[20][known[20]].tolist() == pytest.approx(
        [(415 - 60.5) / 50] * int(known[20].sum()), abs=1e-3
    )

    maps = [torch.zeros(1, 3, 45, 401), torch.zeros(1, 5, 90, 401)]
    found = AngleHead((3, 5), settings).eval()(maps)
    assert found.local is not None
    assert [tuple(tilt.shape) for tilt in found.local] == [(1, 45, 401), (1, 90, 401)]
    losses = head_losses(found._replace(local=(wanted + 5.0,)), batch, settings)
    assert losses["local"].item() == pytest.approx(1.0, abs=1e-4)  # 5 degrees, in units of 5
    without = head_losses(found._replace(local=None), batch, settings)["loss"]
    assert (losses["loss"] - without).item() == pytest.approx(2.0, abs=1e-4)


def test_the_first_films_of_a_batch() -> None:
    found = AngleHead((3,), RowsHeadSettings(rows=8, local=1.0)).eval()([torch.randn(3, 3, 8, 4)])
    first = found.first(2)
    for part, whole in zip(first, found, strict=True):
        ours, theirs = (part[0], whole[0]) if isinstance(part, tuple) else (part, whole)
        assert torch.equal(ours, theirs[:2])
