"""From the predictions of one film to its three angles: of one solver (`with_angles`) or several (`combine`)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aasce.geometry.cobb import cobb_angles
from aasce.geometry.spine import set_upright
from aasce.scoring.conformal import NO_INTERVALS, Intervals
from aasce.types import AasceError, CobbAngles, Definition, SpinePrediction

Floats = NDArray[np.float64]

NAME = "ensemble"
DISAGREES = "its major angle differs too much from the others'"


@dataclass(frozen=True, slots=True)
class MemberShare:
    """What a member of an ensemble gave to one film: its renormalised weight, or why it gave none.

    Attributes:
        solver: name of the member.
        weight: renormalised, 0 for a member that is left out.
        failure: why it is left out, None where it counts.
        degrees: an1 to an3 as it measured them; None where it failed.
    """

    solver: str
    weight: float
    failure: str | None = None
    degrees: tuple[float, float, float] | None = None


@dataclass(frozen=True, slots=True)
class Measurement:
    """One film measured: a row of every table.

    Attributes:
        prediction: of the solver; its `failure` covers the measuring too.
        angles: None exactly when `prediction.failure` says why.
        members: of an ensemble, each member's share; empty for a single solver.
        intervals: (low, high) degrees around each angle, None without one; see `aasce.scoring.conformal`.
        coverage: share of films on which such an interval covers the angle; None without intervals.
    """

    prediction: SpinePrediction
    angles: CobbAngles | None
    members: tuple[MemberShare, ...] = ()
    intervals: Intervals = NO_INTERVALS
    coverage: float | None = None

    @property
    def film_id(self) -> str:
        return self.prediction.film_id

    @property
    def failure(self) -> str | None:
        return self.prediction.failure

    @property
    def spread(self) -> Floats:
        """(3,) degrees: standard deviation among the members that measured the film, 0 with fewer than two.

        Members that are left out because they disagree count: that is when the mean is worth least.
        """
        known = [share.degrees for share in self.members if share.degrees is not None]
        return np.std(known, axis=0) if known else np.zeros(3)


def with_angles(prediction: SpinePrediction, definition: Definition = "challenge") -> Measurement:
    """Angles of one prediction: those the solver regressed, else those of its landmarks at the film's height.

    Args:
        prediction: landmarks of a film that lay turned (`orientation`) are measured on the film set upright.
        definition: of the angles, see `aasce.geometry.cobb`.

    Returns:
        Angles of 0 degrees or more; a prediction that failed, or whose landmarks cannot be measured, has `failure`
        and no angles.

    Raises:
        AasceError: the solver regresses angles of another definition and has no landmarks to measure anew.
    """
    if prediction.failure is not None:
        return Measurement(prediction, None)
    angles = prediction.angles
    if angles is not None and angles.definition != definition and prediction.landmarks is None:
        raise AasceError(
            f"{prediction.film_id}: {prediction.solver} regresses angles of the {angles.definition!r} "
            "definition; ask for that definition, or for a solver with landmarks"
        )
    if angles is None or angles.definition != definition:
        if prediction.landmarks is None:
            return _failed(prediction, "the solver gave neither angles nor landmarks")
        try:
            landmarks, (height, _) = set_upright(
                prediction.landmarks, prediction.size, prediction.orientation.turns
            )
            angles = cobb_angles(landmarks, height, definition)
        except ValueError as error:
            return _failed(prediction, f"its landmarks cannot be measured: {error}")
    if angles.degrees.shape != (3,) or not np.isfinite(angles.degrees).all():
        return _failed(prediction, "an angle is not finite")
    if (angles.degrees < 0).any():  # a regression may undershoot; an angle has no sign
        angles = replace(angles, degrees=np.maximum(angles.degrees, 0.0))
    return Measurement(prediction, angles)


def _failed(prediction: SpinePrediction, reason: str) -> Measurement:
    return Measurement(replace(prediction, failure=reason), None)


def combine(
    predictions: Sequence[SpinePrediction],
    weights: Sequence[float],
    definition: Definition = "challenge",
    names: Sequence[str] | None = None,
    max_disagreement_deg: float = math.inf,
) -> Measurement:
    """Weighted mean of the members' angles on one film.

    A member that failed is dropped for this film, which `members` and the flags say, and the weights of the
    others are renormalised. When no member with a weight is left the film fails, with every reason in one
    line; its row in a submission is then the training median (`aasce.writers.submission_rows`).

    The landmarks, and with them the end vertebrae and apices drawn on the overlay, are those of the successful
    member with landmarks that has the greatest weight: they show one of the measurements, the degrees are the mean.
    Confidence is the mean of the members' with the same weights.

    Args:
        predictions: one a member, all of the same film.
        weights: one a member, finite, 0 or more.
        definition: of the angles.
        names: one a member, `prediction.solver` by default; two runs of one solver need them.
        max_disagreement_deg: a member that `disagrees` is dropped for this film. The flags say "members_disagree"
            then, and also where the members that count differ by more than this.

    Raises:
        ValueError: counts differ, a weight is negative or not finite, or the films differ.
        AasceError: as in `with_angles`.
    """
    names = tuple(names) if names is not None else tuple(p.solver for p in predictions)
    _check_members(predictions, weights, names)
    measured = [with_angles(prediction, definition) for prediction in predictions]
    missing = np.full(3, np.nan)
    angles = np.stack([missing if m.angles is None else m.angles.degrees for m in measured])
    far = disagrees(angles[:, None], weights, max_disagreement_deg)[:, 0]
    usable = [0.0 if m.angles is None or off else w for m, w, off in zip(measured, weights, far, strict=True)]
    total = math.fsum(usable)
    shares = tuple(
        MemberShare(name, w / total if total > 0 else 0.0, DISAGREES if off else m.failure, _degrees(m))
        for name, w, m, off in zip(names, usable, measured, far, strict=True)
    )
    if total <= 0:
        return _all_failed(predictions, shares)
    return _mean(measured, shares, definition, weights, max_disagreement_deg)


def _degrees(measurement: Measurement) -> tuple[float, float, float] | None:
    if measurement.angles is None:
        return None
    an1, an2, an3 = (float(value) for value in measurement.angles.degrees)
    return an1, an2, an3


def _check_members(
    predictions: Sequence[SpinePrediction], weights: Sequence[float], names: Sequence[str]
) -> None:
    counts = len(predictions), len(weights), len(names)
    if not predictions or len(set(counts)) > 1:
        raise ValueError(f"{counts} predictions, weights, names; a member has one of each")
    if any(not math.isfinite(w) or w < 0 for w in weights):
        raise ValueError(f"weights are finite and not negative, not {list(weights)}")
    films = {(p.film_id, p.size) for p in predictions}
    if len(films) > 1:
        raise ValueError(f"predictions of different films cannot be combined: {sorted(films)}")


def _mean(
    measured: Sequence[Measurement],
    shares: tuple[MemberShare, ...],
    definition: Definition,
    weights: Sequence[float],
    max_disagreement_deg: float,
) -> Measurement:
    pairs = [(s.weight, m) for s, m in zip(shares, measured, strict=True) if s.weight > 0]
    degrees = np.sum([weight * m.angles.degrees for weight, m in pairs if m.angles is not None], axis=0)
    confidence = sum(weight * m.prediction.confidence for weight, m in pairs)
    shown = _shown(measured, weights)
    flags = [flag for _, m in pairs for flag in m.prediction.flags]
    flags += [f"member_failed:{s.solver}" for s in shares if s.failure not in (None, DISAGREES)]
    majors = [float(m.angles.degrees[0]) for _, m in pairs if m.angles is not None]
    dropped = any(s.failure == DISAGREES for s in shares)
    flags += ["members_disagree"] if dropped or max(majors) - min(majors) > max_disagreement_deg else []
    ends = shown.angles if shown.prediction.landmarks is not None and shown.angles is not None else None
    angles = replace(ends, degrees=degrees) if ends is not None else CobbAngles(degrees, definition)
    prediction = replace(
        shown.prediction,
        angles=angles,
        confidence=float(min(max(confidence, 0.0), 1.0)),
        flags=tuple(dict.fromkeys(flags)),
        solver=NAME,
    )
    return Measurement(prediction, angles, shares)


def _shown(measured: Sequence[Measurement], weights: Sequence[float]) -> Measurement:
    """The successful member with landmarks of the greatest weight; without any, the successful one of the greatest."""
    good = [i for i, m in enumerate(measured) if m.angles is not None]
    best = max(good, key=lambda i: (measured[i].prediction.landmarks is not None, weights[i], -i))
    return measured[best]


def _all_failed(predictions: Sequence[SpinePrediction], shares: tuple[MemberShare, ...]) -> Measurement:
    reasons = "; ".join(f"{s.solver}: {s.failure or 'has weight 0'}" for s in shares)
    flags = tuple(dict.fromkeys(flag for p in predictions for flag in p.flags))
    first = predictions[0]
    reason = f"every member failed: {reasons}"
    failed = SpinePrediction(first.film_id, first.size, flags=flags, solver=NAME, failure=reason)
    return Measurement(failed, None, shares)


def disagrees(angles: Floats, weights: ArrayLike, max_disagreement_deg: float) -> NDArray[np.bool_]:
    """Members whose major angle lies farther than `max_disagreement_deg` from the members' weighted median.

    Of two members the one with more weight is the median, so that the other is dropped where it disagrees. Where the
    weights above and below are equal the median is an interval, and members are measured from its nearer end: of two
    members of equal weight neither is dropped, as nothing says which one is wrong.

    Args:
        angles: (M, N, 3) degrees; NaN where a member failed on a film, which never disagrees.
        weights: (M,), 0 or more; a member of weight 0 does not count and never disagrees.
        max_disagreement_deg: see above.

    Returns:
        (M, N) bool.
    """
    share = np.asarray(weights, dtype=np.float64)[:, None] * np.isfinite(angles).all(axis=2)
    major = np.where(share > 0, angles[..., 0], np.inf)
    order = np.argsort(major, axis=0, kind="stable")
    sums = np.cumsum(np.take_along_axis(share, order, axis=0), axis=0)
    half, slack = sums[-1] / 2, 1e-9 * sums[-1]
    last = len(major) - 1
    ends = [(sums < half - slack).sum(axis=0), (sums <= half + slack).sum(axis=0).clip(max=last)]
    ranked = np.take_along_axis(major, order, axis=0)
    low, high = (np.take_along_axis(ranked, end[None], axis=0) for end in ends)
    with np.errstate(invalid="ignore"):
        far: NDArray[np.bool_] = np.maximum(low - major, major - high) > max_disagreement_deg
    return far & (share > 0)


def blend(member_angles: ArrayLike, weights: ArrayLike, max_disagreement_deg: float = math.inf) -> Floats:
    """The rule of `combine` for many films at once.

    Args:
        member_angles: (M, N, 3) degrees; a failed film of a member is NaN.
        weights: (M,), 0 or more.
        max_disagreement_deg: see `disagrees`.

    Returns:
        (N, 3) degrees; NaN for a film on which no member with a weight succeeded.
    """
    angles = np.asarray(member_angles, dtype=np.float64)
    far = disagrees(angles, weights, max_disagreement_deg)
    good: NDArray[np.bool_] = np.isfinite(angles).all(axis=2) & ~far
    share: Floats = np.asarray(weights, dtype=np.float64)[:, None] * good
    total = share.sum(axis=0)
    summed = (share[:, :, None] * np.where(good[:, :, None], angles, 0.0)).sum(axis=0)
    mixed: Floats = np.full_like(summed, np.nan)
    np.divide(summed, total[:, None], out=mixed, where=total[:, None] > 0)
    return mixed
