"""What the papers say, on one scale, for every solver of the kit."""

from __future__ import annotations

import subprocess
import sys

import pytest

from aasce.solvers.published import HIDDEN, PUBLISHED, Figure, published
from aasce.solvers.registry import SOLVERS


def test_every_solver_is_looked_up() -> None:
    assert set(SOLVERS) <= set(PUBLISHED)
    assert published("my.module:Mine").figures == ()
    for paper in PUBLISHED.values():
        assert "\n" not in paper.citation
        assert len(paper.citation) > 20


def test_figures_are_on_the_official_scale() -> None:
    """Dubost's 20.4 has a factor of 200 / n; its leaderboard figure has not."""
    local, major, hidden = PUBLISHED["centerline"].figures
    assert 2 * local.value == pytest.approx(20.4)
    assert "20.4" in local.remark
    assert (major.value, hidden.value) == (3.18, 22.96)
    assert all(0 < f.value < 30 for p in PUBLISHED.values() for f in p.figures if f.metric == "SMAPE")


def test_order_of_the_hidden_test_is_the_leaderboards() -> None:
    scores = {
        name: figure.value
        for name, paper in PUBLISHED.items()
        for figure in paper.figures
        if figure.measured_on == HIDDEN
    }
    assert sorted(scores, key=lambda name: scores[name]) == [
        "seg4reg", "keypoint_fusion", "scg_net", "centerline", "coarse_to_fine", "rotated_proposals",
        "corner_regression", "top_down",
    ]  # fmt: skip


def test_a_figure_reads_as_one_would_say_it() -> None:
    assert str(Figure(3.18, "MAE an1", "61 films")) == "MAE an1 3.18°"
    assert str(Figure(21.71, "SMAPE", HIDDEN)) == "SMAPE 21.71"
    assert Figure(1.0, "SMAPE", "x", "cropped").films == "x [cropped]"
    assert Figure(1.0, "SMAPE", "x").films == "x"


def test_the_table_needs_no_torch() -> None:
    code = "import sys, aasce.solvers.published; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
