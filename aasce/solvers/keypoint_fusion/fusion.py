"""Fusion of the results of both methods: quality check, vote on the end vertebrae, average (Chen et al., 3.3)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from aasce.geometry.cobb import angle_matrix, apex, cobb_angles, midlines
from aasce.geometry.column import usual_spacing
from aasce.geometry.spine import centres
from aasce.solvers.keypoint_fusion.settings import Fusion, Rule
from aasce.types import Array, CobbAngles, Definition, as_float

Floats = NDArray[np.float64]
Pairs = tuple[tuple[int, int], ...]

DEFINITIONS: dict[Rule, Definition] = {"challenge": "challenge", "paper": "clinical"}
"""The paper's angle rule (section 3.2) is `geometry.cobb`'s clinical one."""

ONE_ALONE = 5.0
"""Degrees, the uncertainty where there is one result alone and nothing to compare it with."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One result for a film.

    Attributes:
        method: "method1", "method2" or "method2_squeezed".
        landmarks: (17, 4, 2) px of the film.
        confidence: (17, 4) in [0, 1], 0 for vertebrae that were filled in.
    """

    method: Fusion
    landmarks: Floats
    confidence: Floats


@dataclass(frozen=True, slots=True)
class Fused:
    """What is predicted of a film.

    Attributes:
        landmarks, confidence: means of the results that agree, see `Candidate`.
        angles: of the film.
        spread: degrees, how far the results' major angles lie apart.
    """

    landmarks: Floats
    confidence: Floats
    angles: CobbAngles
    spread: float


def side_difference(landmarks: Array) -> float:
    """Mean difference in length of the opposite sides of the vertebrae, as a share of their mean length.

    Of each vertebra, the pair of sides that differs more counts.

    Args:
        landmarks: (V, 4, 2) px.
    """
    tl, tr, bl, br = (as_float(landmarks)[:, k] for k in range(4))
    shares = []
    for a, b in ((tr - tl, br - bl), (bl - tl, br - tr)):
        first, second = np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1)
        shares.append(np.abs(first - second) / np.maximum((first + second) / 2, 1e-9))
    return float(np.maximum(*shares).mean())


def reliable(candidates: Sequence[Candidate], quality: float) -> list[Candidate]:
    """The results that pass the quality check; all of them where none does.

    Args:
        candidates: of one film.
        quality: largest `side_difference`.
    """
    good = [c for c in candidates if side_difference(c.landmarks) <= quality]
    return good or list(candidates)


def vote(ends: Sequence[Pairs], deciding: int) -> Pairs:
    """End vertebrae by majority, each for itself.

    Args:
        ends: for each result the (upper, lower) end vertebrae of each angle.
        deciding: index of the result that is followed where more than half agree on none.
    """
    voted = []
    for angle, pairs in enumerate(zip(*ends, strict=True)):
        pair = []
        for end in (0, 1):
            choice, votes = Counter(p[end] for p in pairs).most_common(1)[0]
            pair.append(choice if 2 * votes > len(pairs) else ends[deciding][angle][end])
        voted.append((pair[0], pair[1]))
    return tuple(voted)


def angles_between(landmarks: Array, pairs: Pairs) -> Floats:
    """(A,) degrees between the midlines of given vertebrae.

    Args:
        landmarks: (V, 4, 2) px.
        pairs: (upper, lower) of each angle.
    """
    matrix = angle_matrix(midlines(landmarks))
    return np.array([matrix[upper, lower] for upper, lower in pairs])


def agreeing(candidates: Sequence[Candidate], deciding: int) -> list[Candidate]:
    """The results whose vertebrae lie at the same levels as those of the deciding one, by half a step in the mean."""
    middle = centres(candidates[deciding].landmarks)
    limit = 0.5 * usual_spacing(middle)
    apart = [float(np.linalg.norm(centres(c.landmarks) - middle, axis=1).mean()) for c in candidates]
    return [c for k, c in enumerate(candidates) if k == deciding or apart[k] <= limit]


def deciding_index(candidates: Sequence[Candidate]) -> int:
    """The first result of Method 2, the "patch baseline"; the first one of all without it."""
    return next((k for k, c in enumerate(candidates) if c.method != "method1"), 0)


def fuse(
    candidates: Sequence[Candidate], fusion: Fusion, rule: Rule, quality: float, height: int
) -> Fused | None:
    """The prediction of a film; None without a result to make it of.

    Args:
        candidates: of the film.
        fusion: see `KeypointFusionConfig`; a method that has no result gives way to the others.
        rule: which definition measures each result and names the end vertebrae.
        quality: see `reliable`.
        height: rows of the film.
    """
    if not candidates:
        return None
    own = [c for c in candidates if c.method == fusion]
    voters = reliable(own or candidates, quality)
    deciding = deciding_index(voters)
    measured = [cobb_angles(c.landmarks, height, DEFINITIONS[rule]) for c in voters]
    together = agreeing(voters, deciding)
    landmarks = np.mean([c.landmarks for c in together], axis=0)
    confidence = np.mean([c.confidence for c in together], axis=0)
    majors = [float(m.degrees[0]) for m in measured]
    spread = max(majors) - min(majors) if len(candidates) > 1 and len(voters) > 1 else ONE_ALONE
    if fusion == "landmarks" or len(voters) == 1:
        angles = cobb_angles(landmarks, height, DEFINITIONS[rule])
    elif fusion == "average":
        angles = replace(measured[deciding], degrees=np.mean([m.degrees for m in measured], axis=0))
    else:
        angles = _voted(voters, measured, deciding)
    return Fused(landmarks, confidence, angles, spread)


def nearest_vertebrae(centres_from: Floats, centres_to: Floats) -> NDArray[np.intp]:
    """(V,) for each centre (V, 2) the index of the nearest of (W, 2) centres."""
    apart = np.linalg.norm(centres_from[:, None] - centres_to[None], axis=2)
    return np.asarray(apart.argmin(axis=1), np.intp)


def _voted(voters: Sequence[Candidate], measured: Sequence[CobbAngles], deciding: int) -> CobbAngles:
    """Mean over the results of the angles between the vertebrae voted for.

    A vertebra is the same one in two results where it lies at the same place: a column that begins a level higher or
    lower has other numbers, and by these the votes would be for other vertebrae.
    """
    chosen = centres(voters[deciding].landmarks)
    ends = []
    for candidate, found in zip(voters, measured, strict=True):
        there = nearest_vertebrae(centres(candidate.landmarks), chosen)
        known = (pair for pair in found.end_vertebrae if pair is not None)
        ends.append(tuple((int(there[upper]), int(there[lower])) for upper, lower in known))
    pairs = vote(ends, deciding)
    degrees = np.mean([_angles_at(c.landmarks, chosen, pairs) for c in voters], axis=0)
    apices = tuple(apex(voters[deciding].landmarks, *pair) for pair in pairs)
    return replace(measured[deciding], degrees=degrees, end_vertebrae=pairs, apices=apices)


def _angles_at(landmarks: Floats, chosen: Floats, pairs: Pairs) -> Floats:
    """(A,) degrees of a result between its own vertebrae at the places of the chosen ones."""
    own = nearest_vertebrae(chosen, centres(landmarks))
    return angles_between(landmarks, tuple((int(own[a]), int(own[b])) for a, b in pairs))
