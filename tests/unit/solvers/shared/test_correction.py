"""The learned state of a correction."""

from __future__ import annotations

import numpy as np

from aasce.geometry.correction import Correction
from aasce.solvers.shared.correction import CorrectionState, correction_of


def test_the_state_of_a_correction_gives_it_back() -> None:
    assert np.array_equal(correction_of(None, 19).matrix, Correction.plain(19).matrix)
    fitted = Correction(1.5 * Correction.plain(19).matrix, Correction.plain(19).places)
    assert np.array_equal(correction_of(CorrectionState.of(fitted), 19).matrix, fitted.matrix)
