"""Which measurement gets intervals, and the file beside an ensemble's YAML."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aasce.api import load_ensemble, load_single
from aasce.config import dump_settings
from aasce.ensemble import EnsembleMember, EnsembleSettings, Measurement, combine, with_angles
from aasce.ensemble.intervals import (
    EnsembleIntervals,
    intervals_file,
    read_intervals,
    with_intervals,
    write_intervals,
)
from aasce.scoring.conformal import NO_INTERVALS, IntervalRule, SeverityGroup
from aasce.solvers.base import read_state
from aasce.solvers.constant.solver import ConstantSolver
from aasce.types import AasceError, CobbAngles, Radiograph, SpinePrediction

SCORES = tuple(float(k) for k in range(1, 10))
RULE = IntervalRule(
    definition="challenge",
    films=9,
    scales=((0.0, 0.0, 1.0),) * 3,
    groups=(SeverityGroup(below=None, scores=(SCORES, SCORES, SCORES[:2])),),
)
"""Half as wide as the 9th score at 90 %, times 1 + the members' spread; two films alone know an3."""

FILM = Radiograph("film", np.zeros((40, 40), np.uint8))


def predicted(*degrees: float, **about: object) -> SpinePrediction:
    angles = CobbAngles(np.array(degrees), "challenge")
    return SpinePrediction("film", (40, 40), angles=angles, confidence=0.5, **about)  # type: ignore[arg-type]


def test_a_single_solver_by_hand() -> None:
    found = with_intervals(with_angles(predicted(30, 5, 2, flags=("curve_leaves_film",))), [RULE], 0.9)
    assert found.intervals == ((21.0, 39.0), (0.0, 14.0), None)
    assert found.coverage == 0.9


def test_members_that_disagree_widen_the_intervals() -> None:
    members = combine([predicted(29, 5, 2, solver="a"), predicted(31, 5, 2, solver="b")], [1, 1])
    found = with_intervals(members, [RULE], 0.5)
    assert found.intervals == (
        (20.0, 40.0),
        (0.0, 10.0),
        (0.0, 4.0),
    )  # 5th score; twice for 1 degree of spread
    # a member that is dropped because it disagrees counts all the same: standard deviation 9 of 28, 31, 49
    three = [predicted(d, 5, 2, solver=s) for d, s in ((28, "a"), (31, "b"), (49, "c"))]
    dropped = combine(three, [2, 2, 1], max_disagreement_deg=10)
    assert dropped.members[2].weight == 0
    assert dropped.spread[0] == pytest.approx(np.std([28, 31, 49]))


@pytest.mark.parametrize(
    "measurement",
    [
        Measurement(SpinePrediction("film", (40, 40), failure="blank"), None),
        Measurement(predicted(30, 5, 2), CobbAngles(np.array([30.0, 5, 2]), "clinical")),
    ],
    ids=["failed", "another definition"],
)
def test_no_interval_where_none_was_calibrated(measurement: Measurement) -> None:
    assert with_intervals(measurement, [RULE]) == measurement
    assert measurement.intervals == NO_INTERVALS


def test_a_coverage_that_no_angle_can_have_is_none() -> None:
    found = with_intervals(with_angles(predicted(30, 5, 2)), [RULE], 0.99)
    assert (found.intervals, found.coverage) == (NO_INTERVALS, None)


def saved(folder: Path, *degrees: float, rules: tuple[IntervalRule, ...] = ()) -> str:
    solver = ConstantSolver()
    solver.angles = np.array(degrees)
    solver.learned = solver.learned.model_copy(update={"intervals": rules})
    solver.save(folder)
    return str(folder)


def test_the_rules_are_kept_with_the_weights(tmp_path: Path) -> None:
    name = saved(tmp_path / "a", 30, 5, 2, rules=(RULE,))
    assert len((tmp_path / "a" / "state.json").read_text().splitlines()) < 60  # a list of scores in one line
    (measured,) = load_single(name, coverage=0.8).measure([FILM])
    # no error is expected to depend on the confidence: 8th score
    assert measured.intervals == ((22.0, 38.0), (0.0, 13.0), None)
    (plain,) = load_single(saved(tmp_path / "b", 30, 5, 2)).measure([FILM])
    assert (plain.intervals, plain.coverage) == (NO_INTERVALS, None)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, EnsembleSettings]:
    """A YAML of two constant solvers 2 degrees apart in an1."""
    names = [saved(tmp_path / "a", 29, 5, 2), saved(tmp_path / "b", 31, 5, 2)]
    settings = EnsembleSettings(members=tuple(EnsembleMember(solver=name, weight=0.5) for name in names))
    path = tmp_path / "pair.yaml"
    path.write_text(dump_settings(settings))
    return path, settings


def test_an_ensemble_finds_them_beside_its_yaml(pair: tuple[Path, EnsembleSettings]) -> None:
    path, settings = pair
    assert load_ensemble(path).measure([FILM])[0].intervals == NO_INTERVALS
    sums = {member.solver: read_state(Path(member.solver)).checksum for member in settings.members}
    write_intervals(path, EnsembleIntervals(ensemble=settings, checksums=sums, rules=(RULE,)))
    assert intervals_file(path).name == "pair.intervals.json"
    (measured,) = load_ensemble(path, coverage=0.5).measure([FILM])
    assert measured.intervals == ((20.0, 40.0), (0.0, 10.0), (0.0, 4.0))


def test_intervals_of_another_ensemble_are_refused(pair: tuple[Path, EnsembleSettings]) -> None:
    path, settings = pair
    kept = EnsembleIntervals(ensemble=settings, checksums={"a": "1"}, rules=(RULE,))
    write_intervals(path, kept)
    assert read_intervals(path, settings, {"a": "1"}) == (RULE,)
    with pytest.raises(AasceError, match=r"fitted to other networks than those of pair\.yaml; fit it again"):
        read_intervals(path, settings, {"a": "2"})
    one = EnsembleMember(solver="a", weight=1.0)
    write_intervals(path, kept.model_copy(update={"ensemble": EnsembleSettings(members=(one,))}))
    with pytest.raises(AasceError, match="fitted to other members or weights"):
        load_ensemble(path)
    intervals_file(path).write_text("{")
    with pytest.raises(AasceError, match=r"pair\.intervals\.json: cannot be read .*; fit it again"):
        load_ensemble(path)
