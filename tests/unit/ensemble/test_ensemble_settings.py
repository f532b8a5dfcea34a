"""Ensemble settings are strict, and the YAML of the kit has the defaults of the class."""

from __future__ import annotations

from pathlib import Path

import pytest

from aasce.config import load_settings, read_yaml
from aasce.ensemble import EnsembleSettings
from aasce.types import AasceError

DEFAULT = Path(__file__).parents[3] / "configs" / "ensembles" / "default.yaml"


def test_the_default_file_is_complete_and_has_the_defaults_of_the_class() -> None:
    assert load_settings(EnsembleSettings, DEFAULT) == EnsembleSettings()
    raw = read_yaml(DEFAULT)
    assert set(raw) == set(EnsembleSettings.model_fields)
    assert all(set(member) == {"solver", "weight"} for member in raw["members"])


def test_weights_are_in_the_order_of_the_members(tmp_path: Path) -> None:
    path = tmp_path / "e.yaml"
    path.write_text("members:\n- {solver: seg4reg, weight: 2}\n- {solver: runs/a, weight: 0.5}\n")
    assert load_settings(EnsembleSettings, path).weights == (2.0, 0.5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("members: []", "at least one member a weight above 0"),
        ("members: [{solver: a, weight: 0}]", "at least one member a weight above 0"),
        ("members: [{solver: a, weight: 1}, {solver: a, weight: 2}]", "'a' is there twice"),
        ("members: [{solver: a, weight: -1}]", "greater than or equal to 0"),
        ("members: [{solver: a, wieght: 1}]", r"did you mean 'weight'\?"),
        ("rule: weighted_mean", "unknown"),
        ("max_disagreement_deg: 0", "greater than 0"),
    ],
)
def test_wrong_settings_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "e.yaml"
    path.write_text(text)
    with pytest.raises(AasceError, match=message):
        load_settings(EnsembleSettings, path)
