"""Intervals of measured films, and the file beside an ensemble's YAML that says how wide they have to be."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from aasce.config import Settings
from aasce.ensemble.combine import Measurement
from aasce.ensemble.settings import EnsembleSettings
from aasce.files import short_lists, write_text
from aasce.scoring.conformal import COVERAGE, NO_INTERVALS, IntervalRule
from aasce.types import AasceError

SUFFIX = ".intervals.json"


class EnsembleIntervals(Settings):
    """What stands beside the YAML of an ensemble, and what it was fitted to.

    Attributes:
        ensemble: members and weights.
        checksums: member to SHA-256 of its weights file, None where its folder has none.
        rules: one a definition at most.
    """

    ensemble: EnsembleSettings
    checksums: dict[str, str | None]
    rules: tuple[IntervalRule, ...]


def with_intervals(
    measurement: Measurement, rules: Sequence[IntervalRule], coverage: float = COVERAGE
) -> Measurement:
    """The measurement with the intervals of its angles.

    A film that failed, a definition without a rule, and a severity with too few films for the coverage have none. Flags
    change nothing: flagged films are among those that the rule was fitted on.

    Args:
        measurement: of one film.
        rules: of whoever measured it.
        coverage: share of films to cover.
    """
    angles = measurement.angles
    rule = next((rule for rule in rules if angles is not None and rule.definition == angles.definition), None)
    if rule is None or angles is None:
        return measurement
    confidence = measurement.prediction.confidence
    found = rule.intervals(angles.degrees, confidence, measurement.spread, coverage)
    return replace(measurement, intervals=found, coverage=None if found == NO_INTERVALS else coverage)


def intervals_file(ensemble: Path) -> Path:
    """Where the intervals of an ensemble's YAML are kept."""
    return ensemble.with_name(ensemble.stem + SUFFIX)


def write_intervals(ensemble: Path, kept: EnsembleIntervals) -> None:
    """Writes the file beside the YAML.

    Raises:
        AasceError: it cannot be written.
    """
    text = json.dumps(kept.model_dump(mode="json"), indent=2, sort_keys=True)
    write_text(intervals_file(ensemble), short_lists(text) + "\n")


def read_intervals(
    ensemble: Path, settings: EnsembleSettings, checksums: Mapping[str, str | None]
) -> tuple[IntervalRule, ...]:
    """The rules beside an ensemble's YAML; none where there is no such file.

    Args:
        ensemble: the YAML.
        settings: read from it.
        checksums: member to SHA-256 of its weights.

    Raises:
        AasceError: the file cannot be read, or was fitted to other members, weights or networks.
    """
    path = intervals_file(ensemble)
    if not path.is_file():
        return ()
    remedy = "fit it again (tools/fit_intervals.py), or remove it to do without intervals"
    try:
        kept = EnsembleIntervals.model_validate_json(path.read_text("utf-8"))
    except (OSError, ValidationError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise AasceError(f"{path}: cannot be read ({reason}); {remedy}") from error
    if kept.ensemble != settings or kept.checksums != dict(checksums):
        what = "members or weights" if kept.ensemble != settings else "networks"
        raise AasceError(f"{path}: was fitted to other {what} than those of {ensemble.name}; {remedy}")
    return kept.rules
