"""The ablation of `template`: how bodies are cut and centroids found, on a vertebra made of boxes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import typer

from aasce.ct.base import vertebra_set
from aasce.ct.template.settings import TemplateConfig
from aasce.volume import Volume
from tools.template_ablation import (
    ROWS,
    body_middles,
    body_of,
    main,
    measure,
    posterior_wall,
    settings_of,
    table,
)


def boxes() -> Volume:
    """L1 to L3, 36 mm apart: a body of 40 x 30 x 24 mm (wall at its back), a canal of 16 mm, an arch behind it."""
    x, y, z = np.meshgrid(np.arange(-25, 26), np.arange(-60, 21), np.arange(-55, 56), indexing="ij")
    data = np.zeros(x.shape, np.uint8)
    for label, up in ((20, 36), (21, 0), (22, -36)):
        height = np.abs(z - up)
        body = (np.abs(x) <= 20) & (np.abs(y) <= 15) & (height <= 12)
        pedicles = (np.abs(np.abs(x) - 12) <= 3) & (y < 0) & (y > -40) & (height <= 5)
        arch = (np.abs(x) <= 12) & (y <= -32) & (y >= -50) & (height <= 8)
        data[body | pedicles | arch] = label
    affine = np.eye(4)
    affine[:3, 3] = [-25, -60, -55]
    return Volume(data, affine, "label")


def test_the_wall_is_the_back_of_the_body() -> None:
    truth = boxes()
    middle = np.array([0.0, 0.0, 0.0])
    places = truth.to_world(np.argwhere(truth.data == 21))
    wall = posterior_wall(places)
    assert wall == pytest.approx(-15, abs=1)
    body = body_of(truth, truth.data == 21, middle, np.eye(3), wall)
    assert body.sum() == pytest.approx(41 * 31 * 25, rel=0.04)


def test_middles_are_those_of_the_bodies() -> None:
    found = body_middles(boxes(), [20, 21, 22])
    for label, up in ((20, 36), (21, 0), (22, -36)):
        np.testing.assert_allclose(found[label], [0, 0, up], atol=1.0)


def test_a_lost_arch_lowers_the_dice_of_the_whole_and_not_of_the_body() -> None:
    truth = boxes()
    middles = {20: np.array([0.0, 0, 36]), 21: np.zeros(3), 22: np.array([0.0, 0, -36])}
    behind = truth.to_world(np.argwhere(np.ones(truth.shape)))[:, 1].reshape(truth.shape) < -20
    found = vertebra_set(
        "boxes", middles, masks=Volume(np.where(behind, 0, truth.data), truth.affine, "label")
    )
    score = measure("full", found, truth, middles, 1.0)
    assert score.body == 1.0
    assert 0.7 < score.dice < 0.95
    assert score.surface_mm > 0
    assert "| full | 0." in table([score])


def test_rows_differ_in_what_they_leave_out() -> None:
    full = settings_of("full", ["seed=3"])
    assert full == TemplateConfig(seed=3)
    for row in ROWS:
        assert (settings_of(row, ["seed=3"]) == full) == (row == "full")
    assert len({stage.blur for stage in settings_of("without low-pass", ()).stages}) == 1
    assert {stage.steps for stage in settings_of("start", ()).stages} == {0}


def test_wrong_rows_and_a_scan_without_labels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(typer.BadParameter, match="there are full"):
        main(rows=["without everything"], out=tmp_path)
    with pytest.raises(typer.BadParameter, match="--labels"):
        main(scan=tmp_path / "scan.nii.gz", out=tmp_path)
