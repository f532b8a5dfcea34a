"""The film of a scan shows what is in it, where it is."""

from __future__ import annotations

import numpy as np
import pytest

from aasce.commands.ct_film import film_of
from aasce.types import AasceError
from aasce.volume import Volume


def test_a_rod_on_the_patients_right_lies_on_the_films_left() -> None:
    """A rod of bone at x = 30 mm in the plane of the spine, in flesh 120 mm wide, in a scan that lies turned."""
    shape, step = (80, 40, 50), 2.5
    affine = np.diag([step, step, step, 1.0])
    affine[:3, 3] = (-100, -50, 0)
    hu = np.full(shape, -1000, np.float32)
    hu[16:65, 8:32] = 30
    x, y = round((30 + 100) / step), round((0 + 50) / step)
    hu[x - 1 : x + 2, y - 1 : y + 2] = 1200
    film = film_of(Volume(hu, affine, "ct").reorient("PIR"), "rod", 0.0)
    pixels = film.radiograph.pixels.astype(float)
    assert film.radiograph.spacing == (film.mm_per_px, film.mm_per_px)
    height, width = pixels.shape
    assert (height, width) == (round(49 * step / 0.7), round(79 * step / 0.7))
    # The middle of the film is the scan's middle in x; the patient's right is on its left.
    middle_mm = -100 + 79 * step / 2
    expected = (width - 1) / 2 - (30 - middle_mm) / film.mm_per_px_spine
    rows = pixels[height // 3 : 2 * height // 3]
    edge = 3 * width // 10  # beyond it lies the border of the flesh, which a console brightens
    inside = rows[:, edge:-edge].mean(axis=0)
    assert edge + int(inside.argmax()) == pytest.approx(expected, abs=4)


def test_too_little_for_a_film() -> None:
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    with pytest.raises(AasceError, match="too little for a film"):
        film_of(Volume(np.zeros((30, 30, 30), np.float32), affine, "ct"), "small")
