"""Scores of a column that is named one level off."""

from __future__ import annotations

import numpy as np

from aasce.ct.base import vertebra_set
from aasce.volume import Volume
from tools.scan_scores import compared, renamed


def test_a_column_named_one_level_off_is_scored_where_it_lies() -> None:
    data = np.zeros((12, 12, 60), np.uint8)
    for label, low in ((8, 40), (9, 20), (10, 0)):
        data[2:10, 2:10, low : low + 15] = label
    truth = Volume(data, np.eye(4), "label")
    places = {8: np.array([6.0, 6.0, 47.0]), 9: np.array([6.0, 6.0, 27.0]), 10: np.array([6.0, 6.0, 7.0])}
    shifted = {7: places[8] + 1, 8: places[9] + 1, 9: places[10] + 1, 10: places[10] + [0, 0, 9]}
    masks = Volume(np.where(data > 0, data - 1, 0).astype(np.uint8), np.eye(4), "label")
    found = vertebra_set("s", shifted).with_(masks=masks)

    assert max(score.dice for score in compared(found, places, truth) if score.labelled) == 0
    by_place = renamed(found, places)
    assert by_place.labels.tolist() == [8, 9, 10]  # of two at T3 the closer
    assert {score.label: score.dice for score in compared(by_place, places, truth)} == {
        8: 1.0,
        9: 1.0,
        10: 1.0,
    }
    far = vertebra_set("s", {7: places[8] + [0, 0, 30]})
    assert not len(renamed(far, places).labels)
