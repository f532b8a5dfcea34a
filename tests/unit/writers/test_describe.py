"""A film that lies turned is described as it looks upright."""

from __future__ import annotations

import numpy as np
import pytest

from aasce.ensemble import Measurement
from aasce.geometry.spine import turn_points, turned_size
from aasce.types import CobbAngles, FilmFacts, Orientation, Side, SpinePrediction
from aasce.writers.describe import description_of, upright_left

SIZE = (900, 600)
ANGLES = CobbAngles(np.array([20.0, 0.0, 0.0]), "clinical", ((4, 12), None, None))


def upright() -> np.ndarray:
    """T1 20 px to the right of L5; T5 and L1 part to the right."""
    y = 100.0 + 40 * np.arange(17)
    box = np.array([[-20, -15], [20, -15], [-20, 15], [20, 15]])
    points = np.stack([np.linspace(320, 300, 17), y], axis=1)[:, None] + box
    points[4, [1, 3], 1] -= 8
    return points


@pytest.mark.parametrize(
    ("turns", "spacing", "convex"), [(0, (0.5, 0.2), "right"), (1, (0.2, 0.5), None), (2, (0.5, 0.2), "left")]
)
def test_turned_films(turns: int, spacing: tuple[float, float], convex: Side | None) -> None:
    """`turns` clockwise quarter turns set the film upright, so that as read it is turned back by as many."""
    size = turned_size(SIZE, turns)
    points = turn_points(upright(), SIZE, -turns)
    prediction = SpinePrediction("a", size, points, orientation=Orientation(turns), solver="s")
    facts = FilmFacts("a", None, None, size, spacing, "PixelSpacing", "left", "marker")
    found = description_of(facts, Measurement(prediction, ANGLES))
    assert found is not None
    assert found.t1_shift_px == pytest.approx(20)
    assert found.t1_shift_mm == pytest.approx(4)
    assert (found.curves[0].convex_image, found.curves[0].convex) == ("right", convex)
    unknown = description_of(None, Measurement(prediction, ANGLES))
    assert unknown is not None
    assert (unknown.t1_shift_mm, unknown.curves[0].side) == (None, "image right")


def test_a_failed_film_has_no_description() -> None:
    assert description_of(None, Measurement(SpinePrediction("a", SIZE, failure="blank"), None)) is None


def test_a_film_upside_down_has_its_left_on_the_other_side() -> None:
    facts = FilmFacts("a", None, None, SIZE, None, None, "right", "marker")
    assert [upright_left(facts, turns) for turns in range(4)] == ["right", None, "left", None]
