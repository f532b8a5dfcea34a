"""Postprocessing of both methods: boxes that leave the spine, and clusters of dense points (Chen et al., 2.3 and 3.1).

Frame: px, x right, y down. `Tags` are the clusters of the four corner tags TL, TR, BL, BR, of each tag from the top;
a cluster is the (n, 2) points in it, and its centre is their mean.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aasce.geometry.column import complete_column
from aasce.solvers.keypoint_fusion.pairing import paired
from aasce.solvers.keypoint_fusion.settings import ClusterSettings
from aasce.targets.boxes import box_overlaps
from aasce.types import CORNERS, VERTEBRAE, Array, as_float

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Tag = list[Floats]
Tags = list[Tag]

WIDE_STEP = 1.6
"""Multiple of the usual step between centres from which a centre is missing in between."""

REMOVAL_COST = 0.05
"""By how much a removed cluster has to bring the ratio of the diagonals nearer to 1."""


def crowded_boxes(boxes: Array, overlap: float) -> Bools:
    """(N,) boxes whose overlaps (IoU) with the box above and the box below are both above a limit (section 3.1).

    Args:
        boxes: (N, 4) x0, y0, x1, y1 px, from the top.
        overlap: the limit.
    """
    b = as_float(boxes).reshape(-1, 4)
    crowded = np.zeros(len(b), bool)
    if len(b) > 2:
        near = np.diagonal(box_overlaps(b[:-1], b[1:])) > overlap
        crowded[1:-1] = near[:-1] & near[1:]
    return crowded


def distant_boxes(boxes: Array, step: float) -> Bools:
    """(N,) boxes farther from the box above than they are wide (section 3.1).

    The distance is that of the two upper left corners, the width that from the upper left to the upper right one.

    Args:
        boxes: (N, 4) x0, y0, x1, y1 px, from the top.
        step: multiple of the width from which a box is distant; the paper's is 1.
    """
    b = as_float(boxes).reshape(-1, 4)
    away = np.linalg.norm(np.diff(b[:, :2], axis=0), axis=1)
    return np.concatenate([np.zeros(min(len(b), 1), bool), away > step * (b[1:, 2] - b[1:, 0])])


def boxes_on_spine(boxes: Array, overlap: float, step: float) -> NDArray[np.intp]:
    """Indices of the boxes that both filters keep, from the top.

    Args:
        boxes: (N, 4) x0, y0, x1, y1 px in any order.
        overlap, step: see `crowded_boxes` and `distant_boxes`.
    """
    b = as_float(boxes).reshape(-1, 4)
    order = np.argsort(b[:, 1] + b[:, 3], kind="stable")
    order = order[~crowded_boxes(b[order], overlap)]
    return np.asarray(order[~distant_boxes(b[order], step)], np.intp)


def traced(points: Array, weights: Array, degree: int = 5) -> Floats:
    """Rough points drawn along smooth lines: each coordinate of each corner row as a polynomial of the level.

    Patches are cut along the rough points, which "smoothly trace the curvature" (section 2.2); a point that lies a
    level off would misplace several. Points farther from the line than three times the usual distance do not count.

    Args:
        points: (V, 4, 2) px in order from the top.
        weights: (V, 4) confidences.
        degree: of the polynomials.
    """
    p, level = as_float(points), np.linspace(-1, 1, len(points))
    lines = np.empty_like(p)
    for tag in range(p.shape[1]):
        weight = np.maximum(as_float(weights)[:, tag], 1e-3)
        for _ in range(3):
            fit = np.polynomial.polynomial.polyfit(level, p[:, tag], degree, w=weight)
            lines[:, tag] = np.polynomial.polynomial.polyval(level, fit).T
            off = np.linalg.norm(p[:, tag] - lines[:, tag], axis=1)
            weight = np.where(off <= 3 * np.median(off) + 1e-6, weight, 1e-6)
    return lines


def cluster_points(points: Array, reach: float, least: int) -> Tag:
    """DBSCAN clusters of the points of one tag, from the top; scattered points are left out.

    Args:
        points: (N, 2) px.
        reach: px, eps of DBSCAN.
        least: points that make a cluster.
    """
    from sklearn.cluster import DBSCAN

    p = as_float(points).reshape(-1, 2)
    if not len(p):
        return []
    labels = DBSCAN(eps=max(reach, 1e-6), min_samples=least).fit_predict(p)
    return _grouped(p, labels)


def _grouped(points: Floats, labels: Array) -> Tag:
    """Points by label from the top; label -1 is left out."""
    groups = [points[labels == label] for label in np.unique(labels[labels >= 0])]
    return sorted(groups, key=lambda group: float(group[:, 1].mean()))


def centres_of(tag: Tag) -> Floats:
    """(K, 2) px, the centre of each cluster."""
    return np.array([group.mean(axis=0) for group in tag]).reshape(-1, 2)


def check_ends(tags: Tags, turn: float) -> Tags:
    """Excludes first and last clusters of a wrong order or angle.

    Where the column begins with a lower endplate or ends with an upper one (half a vertebra beyond the spine), its
    corners have no partner: a lower corner above the first upper one of its side, an upper corner below the last lower
    one. And the step to an end may not turn away from the step next to it.

    Args:
        tags: see the module.
        turn: degrees, largest turn between the two steps.
    """
    kept = [list(tag) for tag in tags]
    for tag in kept:
        for end in (0, -1):
            if _turns_away(centres_of(tag), end, turn):
                tag.pop(end)
    for upper, lower in ((kept[0], kept[2]), (kept[1], kept[3])):
        if upper and lower and centres_of(lower)[0, 1] <= centres_of(upper)[0, 1]:
            lower.pop(0)
        if upper and lower and centres_of(upper)[-1, 1] >= centres_of(lower)[-1, 1]:
            upper.pop()
    return kept


def _turns_away(centres: Floats, end: int, turn: float) -> bool:
    if len(centres) < 4:
        return False
    near = centres[:3] if end == 0 else centres[-3:]
    steps = np.diff(near, axis=0)
    angles = np.degrees(np.arctan2(steps[:, 0], steps[:, 1]))
    return bool(abs(angles[1] - angles[0]) > turn)


def diagonal_ratio(corners: Array) -> float:
    """Longer by shorter diagonal of a vertebra (4, 2), TL, TR, BL, BR; infinite if a lower corner is not below.

    1 for a rectangle or an isosceles trapezium; a right-angled trapezium or a parallelogram, which a squeezed vertebra
    makes, has a larger one.
    """
    p = as_float(corners)
    if p[2, 1] <= p[0, 1] or p[3, 1] <= p[1, 1]:
        return float(np.inf)
    falling, rising = float(np.linalg.norm(p[3] - p[0])), float(np.linalg.norm(p[2] - p[1]))
    return max(falling, rising) / max(min(falling, rising), 1e-9)


def drop_squeezed(tags: Tags, ratio: float) -> Tags:
    """The squeezed-vertebra test: redundant clusters are removed, from the top.

    Where the four corners next in order are no vertebra, by the ratio of their diagonals, those clusters are removed
    whose followers make one: a corner squeezed in, two of one side, or the three others of a corner that was not found.

    Args:
        tags: see the module.
        ratio: largest one of a vertebra, see `diagonal_ratio`.
    """
    kept = [list(tag) for tag in tags]
    level = 0
    while all(len(tag) > level for tag in kept):
        if diagonal_ratio(_corners(kept, [level] * 4)) > ratio:
            for tag in _redundant(kept, level, ratio):
                kept[tag].pop(level)
        level += 1
    return kept


def _corners(tags: Tags, levels: Sequence[int]) -> Floats:
    return np.stack([tag[level].mean(axis=0) for tag, level in zip(tags, levels, strict=True)])


def _redundant(tags: Tags, level: int, ratio: float) -> tuple[int, ...]:
    """The tags that lose their cluster at a level so that the next ones make a vertebra; () if none do."""
    longer = [k for k in range(len(tags)) if len(tags[k]) > level + 1]
    subsets = [removed for count in (1, 2, 3) for removed in itertools.combinations(longer, count)]
    trials = {
        removed: diagonal_ratio(_corners(tags, [level + (k in removed) for k in range(len(tags))]))
        for removed in subsets
    }
    good = [removed for removed in subsets if trials[removed] <= ratio]
    return min(good, key=lambda removed: trials[removed] + REMOVAL_COST * len(removed), default=())


def median_count(tags: Tags) -> int:
    """Number of vertebrae: the median of the numbers of clusters, between two the larger one.

    A corner that one tag lacks is added where its partner has one; which of a longer tag is too many is less clear.
    """
    return int(np.ceil(np.median([len(tag) for tag in tags])))


def with_count(tags: Tags, count: int) -> Tags:
    """Every tag with `count` clusters, where K-means starts.

    Of a tag with more, those of the fewest points are left out. To a tag with fewer, a cluster of one point is added in
    its widest gap or, without a gap, at the end where its partner has a corner and it has none.

    Args:
        tags: see the module; none is empty.
        count: of clusters.
    """
    full = []
    for tag, groups in enumerate(tags):
        weakest = np.argsort([-len(group) for group in groups], kind="stable")[count:]
        clusters = [group for k, group in enumerate(groups) if k not in weakest]
        while len(clusters) < count:
            clusters = _one_more(
                clusters, _lacks_first([*tags[:tag], clusters, *tags[tag + 1 :]], tag, count)
            )
        full.append(clusters)
    return full


def _lacks_first(tags: Tags, tag: int, count: int) -> bool:
    """Whether a tag with too few clusters lacks the first one and not the last.

    The partner is the other corner of the same side, whose place does not depend on the tilt: an upper corner lies
    above its lower one, a lower one less than a step below its upper one. Where that one lacks clusters too, it is the
    same corner of the other side.
    """
    upper, beside = tag < 2, tag ^ 1
    partner = tag ^ 2
    first = {k: float(centres_of(tags[k])[0, 1]) for k in (tag, partner, beside)}
    step = _usual_step(centres_of(tags[tag]))
    if len(tags[partner]) >= count:
        return first[tag] > first[partner] + (0.0 if upper else 1.2 * step)
    return len(tags[beside]) >= count and first[tag] > first[beside] + 0.6 * step


def _usual_step(centres: Floats) -> float:
    return float(np.median(np.linalg.norm(np.diff(centres, axis=0), axis=1))) if len(centres) > 1 else 0.0


def _one_more(clusters: Tag, first: bool) -> Tag:
    """A tag with one cluster more: in its widest gap, or at the top (`first`) or the bottom."""
    centres = centres_of(clusters)
    if len(centres) < 2:
        return [*clusters, centres + np.array([0.0, 1.0])]
    steps, usual = np.diff(centres, axis=0), _usual_step(centres)
    lengths = np.linalg.norm(steps, axis=1)
    widest = int(np.argmax(lengths))
    if lengths[widest] >= WIDE_STEP * usual:
        added = centres[widest] + steps[widest] / round(float(lengths[widest]) / usual)
        return [*clusters[: widest + 1], added[None], *clusters[widest + 1 :]]
    if first:
        return [(centres[0] - steps[0])[None], *clusters]
    return [*clusters, (centres[-1] + steps[-1])[None]]


def kmeans(clusters: Tag) -> Tag:
    """K-means of the points of one tag, started from the centres of its clusters; from the top."""
    from sklearn.cluster import KMeans

    points = np.concatenate(clusters)
    fit = KMeans(len(clusters), init=centres_of(clusters), n_init=1, random_state=0)
    return _grouped(points, fit.fit_predict(points))


def drop_gap_outliers(clusters: Tag, gap: float) -> Tag:
    """A tag without the clusters beside the spine, or squeezed in, by the gap ratio.

    A centre is an outlier if the x distance exceeds `gap` times the y distance to both neighbours, at an end to its one
    neighbour; of several in a row, the one with the largest ratio is removed first.

    Args:
        clusters: of one tag, from the top.
        gap: the limit.
    """
    kept = list(clusters)
    while len(kept) > 2:
        steps = np.abs(np.diff(centres_of(kept), axis=0))
        ratios = steps[:, 0] / np.maximum(steps[:, 1], 1e-6)
        worst = np.minimum(np.append(np.inf, ratios), np.append(ratios, np.inf))
        # Between two ratios of an end and its neighbour, the end is the outlier.
        index = int(np.argmax(worst + np.isin(np.arange(len(kept)), (0, len(kept) - 1)) * 1e-9))
        if worst[index] <= gap:
            break
        kept.pop(index)
    return kept


def keep_last(landmarks: Array, share: float) -> Bools:
    """(V,) true but for those of the last three vertebrae that follow the one above too closely.

    Args:
        landmarks: (V, 4, 2) px, from the top.
        share: of the usual y distance between centres, below which a vertebra is suppressed.
    """
    y = as_float(landmarks).mean(axis=1)[:, 1]
    keep = np.ones(len(y), bool)
    if len(y) < 4:
        return keep
    usual = float(np.median(np.diff(y)))
    for k in range(len(y) - 3, len(y)):
        above = np.flatnonzero(keep[:k])[-1]
        keep[k] = y[k] - y[above] >= share * usual
    return keep


def summarize(
    points: Sequence[Array], spacing: float, settings: ClusterSettings, squeezed: bool
) -> tuple[Floats, Floats]:
    """Dense points of four tags to vertebrae (section 2.3).

    Args:
        points: (N, 2) px of each tag.
        spacing: px, usual distance between vertebrae.
        settings: of each step.
        squeezed: whether to make the squeezed-vertebra test.

    Returns:
        (V, 4, 2) px from the top, and (V, 4) the number of points behind each corner. V is 0 where a tag is empty.
    """
    s = settings
    tags = [cluster_points(p, s.reach * spacing, s.least) for p in points]
    tags = check_ends(tags, s.turn)
    if s.pairing == "place":
        return _placed(tags, spacing, s, squeezed)
    if squeezed:
        tags = drop_squeezed(tags, s.diagonals)
    for outliers in (True, False):
        count = median_count(tags)
        if not count or not all(tags):
            return np.zeros((0, len(CORNERS), 2)), np.zeros((0, len(CORNERS)))
        tags = [kmeans(tag) for tag in with_count(tags, count)]
        if outliers:
            tags = [drop_gap_outliers(tag, s.gap) for tag in tags]
    vertebrae = min(len(tag) for tag in tags)
    landmarks = np.stack([centres_of(tag)[:vertebrae] for tag in tags], axis=1)
    sizes = np.array([[len(group) for group in tag[:vertebrae]] for tag in tags], np.float64).T
    keep = keep_last(landmarks, s.last)
    return landmarks[keep], sizes[keep]


def _placed(tags: Tags, spacing: float, settings: ClusterSettings, squeezed: bool) -> tuple[Floats, Floats]:
    """`summarize` with clusters joined by their place along the spine: each tag keeps its own number of them.

    The squeezed-vertebra test then leaves out whole vertebrae, as long as most of them pass it.
    """
    if not all(tags):
        return np.zeros((0, len(CORNERS), 2)), np.zeros((0, len(CORNERS)))
    tags = [kmeans(drop_gap_outliers(kmeans(tag), settings.gap)) for tag in tags]
    landmarks, index = paired([centres_of(tag) for tag in tags], spacing)
    sizes = np.array(
        [[len(tags[t][k]) if k >= 0 else 0 for t, k in enumerate(row)] for row in index], np.float64
    )
    keep = keep_last(landmarks, settings.last)
    if squeezed:
        whole = np.array([diagonal_ratio(corners) <= settings.diagonals for corners in landmarks], bool)
        keep = keep & whole if 2 * (keep & whole).sum() > len(keep) else keep
    return landmarks[keep], sizes.reshape(-1, len(CORNERS))[keep]


def place_column(landmarks: Array, first: Array) -> tuple[Floats, Bools]:
    """A column of exactly 17 vertebrae that begins where T1 is expected.

    Vertebrae are added in a straight line above, or surplus ones dropped there, by the whole steps between the first
    centre and the expected one; the rest is as in `complete_column`.

    Args:
        landmarks: (V, 4, 2) px from the top, V at least 2.
        first: (2,) px, where the centre of T1 is expected.

    Returns:
        (17, 4, 2) px, and (17,) whether each was found.
    """
    p = as_float(landmarks)
    step = p[1] - p[0]
    down = float(step.mean(axis=0)[1])
    above = round((float(p[0].mean(axis=0)[1]) - float(first[1])) / down) if down > 0 else 0
    missing = int(np.clip(above, min(0, len(VERTEBRAE) - len(p)), max(0, len(VERTEBRAE) - len(p))))
    if missing < 0:
        p, missing = p[-missing:], 0
    added = p[0] - np.arange(missing, 0, -1)[:, None, None] * step
    column, present = complete_column(p, len(VERTEBRAE) - missing)
    return np.concatenate([added, column]), np.concatenate([np.zeros(missing, bool), present])
