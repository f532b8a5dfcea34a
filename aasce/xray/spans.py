"""Path lengths of rays through triangle meshes by signed depths (l-buffer), with gradients towards the vertices.

Shetty et al., "Deep Learning compatible Differentiable X-ray Projections for Inverse Rendering" (2021), section 2.1:
the length of a ray inside a closed surface is a sum over the faces it crosses: its distance from the source, with a
minus where it enters and a plus where it leaves (equation 1). Nothing is sorted and no number of layers is fixed.

How crossings are found. Every face is cut by the plane of each row of pixels. Between the two edges that the plane
crosses lies a span of pixels that the face covers. An edge is always cut by the same arithmetic on the same numbers,
for each of its two faces. The sign of a span follows from the order of its two crossings along the row and from the
winding of the face. So the signs of a closed mesh cancel exactly in every pixel, in any precision, also for faces seen
edge-on.

Depths are measured from a plane through the body, not from the source, to avoid cancellation in float32.

The gradient is exact for pixels inside a silhouette. At a silhouette the thickness of a closed surface goes to zero,
so a moving outline adds no term of its own, unlike in visible light.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from aasce.xray.camera import Camera

_ROWS = 1 << 17  # rows of faces processed at a time, so that intermediate arrays stay in the cache
_PIXELS = 1 << 18  # pixels processed at a time
# Lengths up to which spans are drawn together: exact up to 8, beyond that at most a quarter of the work is wasted.
_LENGTHS = (*range(1, 9), *(step << power for power in range(1, 12) for step in (5, 6, 7, 8)))


@dataclass(frozen=True, slots=True)
class _Spans:
    """S spans: runs of pixels in a row that a face covers.

    Attributes:
        depth: rho at the first pixel's centre.
        slope: growth of rho from pixel to pixel.
        start: index of the first pixel in the flat maps.
        length: number of pixels, at least 1.
        sign: -1 where the ray enters, +1 where it leaves.
    """

    depth: torch.Tensor
    slope: torch.Tensor
    start: torch.Tensor
    length: torch.Tensor
    sign: torch.Tensor


def signed_depths(
    edges: torch.Tensor, faces: torch.Tensor, channel: torch.Tensor, channels: int, camera: Camera
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sums of signed depths of all faces, one map per channel.

    Args:
        edges: (V, 3) of `camera.edges`; gradients flow to it.
        faces: (F, 3) int64.
        channel: (F,) int64, the map that a face adds to.
        channels: number of maps C.
        camera: geometry of the film.

    Returns:
        (C, H, W) mm of depth along the beam (times `camera.stretch`: the length along the rays), and the sign sums
        (C, H, W) int32: exits minus entries of each pixel's ray. They are zero everywhere for closed meshes; where they
        are not, the depth is meaningless.
    """
    flat, signs = _SignedDepths.apply(edges, faces, channel, channels, camera)
    return flat.view(channels, *camera.size), signs.view(channels, *camera.size)


class _SignedDepths(torch.autograd.Function):
    """Draws faces in chunks; the backward pass draws them again instead of storing them, to save memory."""

    @staticmethod
    def forward(
        ctx: Any,
        edges: torch.Tensor,
        faces: torch.Tensor,
        channel: torch.Tensor,
        channels: int,
        camera: Camera,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        ctx.save_for_backward(edges, faces, channel)
        ctx.camera = camera
        height, width = camera.size
        total = edges.new_zeros(channels * height * width + 1)
        steps = torch.zeros(len(total), dtype=torch.int32, device=edges.device)
        for part in _chunks(edges, faces, camera.size):
            spans = _spans(_corners(edges, faces, part), channel.index_select(0, part), camera)
            _add(spans, camera.reference, total)
            steps.index_add_(0, spans.start, spans.sign.to(steps.dtype))
            steps.index_add_(0, spans.start + spans.length, -spans.sign.to(steps.dtype))
        signs = steps[:-1].cumsum(0, dtype=steps.dtype)
        ctx.mark_non_differentiable(signs)
        return total[:-1], signs

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        edges, faces, channel = ctx.saved_tensors
        camera: Camera = ctx.camera
        gradient = torch.cat([gradients[0], gradients[0].new_zeros(1)])
        total = torch.zeros_like(edges)
        for part in _chunks(edges, faces, camera.size):
            with torch.enable_grad():
                corners = _corners(edges, faces, part).requires_grad_()
                spans = _spans(corners, channel.index_select(0, part), camera)
            if len(spans.start):
                wanted = _gather(spans, camera.reference, gradient)
                (to_corners,) = torch.autograd.grad((spans.depth, spans.slope), corners, wanted)
                total.index_add_(0, faces.index_select(0, part).flatten(), to_corners.flatten(0, 1))
        return total, None, None, None, None


def _corners(edges: torch.Tensor, faces: torch.Tensor, part: torch.Tensor) -> torch.Tensor:
    """(F, 3, 3) of the faces `part`."""
    return edges.index_select(0, faces.index_select(0, part).flatten()).view(-1, 3, 3)


def _chunks(edges: torch.Tensor, faces: torch.Tensor, size: tuple[int, int]) -> Iterator[torch.Tensor]:
    """Indices of the faces that meet a row of pixels, some `_ROWS` face rows at a time."""
    rows = torch.ceil(edges[:, 1]).clamp_(0, size[0]).to(torch.int32)
    y = [rows.index_select(0, faces[:, corner]) for corner in range(3)]
    height = torch.maximum(torch.maximum(y[0], y[1]), y[2]) - torch.minimum(torch.minimum(y[0], y[1]), y[2])
    drawn = torch.nonzero(height).squeeze(1)
    if len(drawn):
        counts = height.index_select(0, drawn).cumsum(0, dtype=torch.int64)
        cuts = torch.arange(_ROWS, int(counts[-1]) + _ROWS, _ROWS, device=counts.device)
        ends = torch.searchsorted(counts, cuts, right=True).clamp(max=len(drawn)).tolist()
        for begin, end in zip([0, *ends], [*ends, len(drawn)], strict=True):
            if end > begin:
                yield drawn[begin:end]


def _spans(corners: torch.Tensor, channel: torch.Tensor, camera: Camera) -> _Spans:
    """Cuts faces (F, 3, 3) by the rows of pixels; depth and slope are differentiable."""
    height, width = camera.size
    table, middle, first, count, turn = _edge_table(corners, height)
    face = torch.repeat_interleave(count)
    ahead = (first - (count.cumsum(0) - count)).index_select(0, face)
    row = torch.arange(len(face), device=face.device) + ahead
    level = row.to(corners.dtype)
    long = 3 * face
    short = long + 1 + (level >= middle.index_select(0, face))
    x_long, rho_long = camera.crossing(*_cut(table, long, level))
    x_short, rho_short = camera.crossing(*_cut(table, short, level))
    from_long, from_short = (torch.ceil(x.detach()).clamp_(0, width) for x in (x_long, x_short))
    seen = torch.nonzero(from_long != from_short).squeeze(1)
    face, row, from_long, from_short, x_long, x_short, rho_long, rho_short = (
        values.index_select(0, seen)
        for values in (face, row, from_long, from_short, x_long, x_short, rho_long, rho_short)
    )
    column = torch.minimum(from_long, from_short)
    slope = (rho_short - rho_long) / (x_short - x_long)
    line = channel.index_select(0, face) * height + row
    return _Spans(
        depth=rho_long + (column - x_long) * slope,
        slope=slope,
        start=line * width + column.to(torch.int64),
        length=(from_long - from_short).abs().to(torch.int64),
        sign=(from_short - from_long).sign() * turn.index_select(0, face),
    )


def _edge_table(corners: torch.Tensor, height: int) -> tuple[torch.Tensor, ...]:
    """Sorts each face's corners by row.

    Returns:
        (5, 3F) (y, a, da/dy, b, db/dy) of each face's long, upper and lower edge from their upper ends; (F,) y of the
        middle corner; (F,) first row; (F,) number of rows; (F,) +1 or -1 by its winding.
    """
    upper, middle, lower = corners.unbind(1)
    turn = corners.new_ones(len(corners))
    upper, middle, turn = _by_row(upper, middle, turn)
    middle, lower, turn = _by_row(middle, lower, turn)
    upper, middle, turn = _by_row(upper, middle, turn)
    begin = torch.stack([upper, upper, middle], 1).flatten(0, 1)
    run = torch.stack([lower, middle, lower], 1).flatten(0, 1) - begin
    rise = run[:, 1]
    rise = torch.where(rise > 0, rise, torch.ones_like(rise))  # a horizontal edge is never cut
    table = torch.stack([begin[:, 1], begin[:, 0], run[:, 0] / rise, begin[:, 2], run[:, 2] / rise])
    first = torch.ceil(upper[:, 1].detach()).clamp(0, height).to(torch.int64)
    last = torch.ceil(lower[:, 1].detach()).clamp(0, height).to(torch.int64)
    return table, middle[:, 1].detach(), first, last - first, turn


def _by_row(
    one: torch.Tensor, two: torch.Tensor, turn: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The upper of two corners (F, 3) first; exchanging them reverses the face's winding."""
    wrong = two[:, 1] < one[:, 1]
    swap = wrong[:, None]
    return torch.where(swap, two, one), torch.where(swap, one, two), torch.where(wrong, -turn, turn)


def _cut(table: torch.Tensor, edge: torch.Tensor, level: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(a, b) where edges cross rows."""
    y, a, slope_a, b, slope_b = table.index_select(1, edge).unbind(0)
    down = level - y
    return a + down * slope_a, b + down * slope_b


def _groups(length: torch.Tensor) -> Iterator[tuple[torch.Tensor, int]]:
    """Indices of spans of similar length, and the longest length of the group."""
    longest = int(length.max()) if len(length) else 0
    bounds = [bound for bound in _LENGTHS if bound < longest] + [longest]
    lookup = torch.bucketize(torch.arange(longest + 1), torch.tensor(bounds)).to(torch.uint8)
    group = lookup.to(length.device).index_select(0, length)
    order = group.argsort(stable=True)
    begin = 0
    for count, bound in zip(torch.bincount(group, minlength=len(bounds)).tolist(), bounds, strict=True):
        step = max(1, _PIXELS // max(1, bound))
        for first in range(begin, begin + count, step):
            yield order[first : min(first + step, begin + count)], bound
        begin += count


def _pixels(spans: _Spans, index: torch.Tensor, bound: int, last: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(S, L) indices of the spans' pixels and their rho; beyond a span's end the index is `last`."""
    steps = torch.arange(bound, device=index.device)
    pixel = spans.start.index_select(0, index)[:, None] + steps
    slope = spans.slope.index_select(0, index)[:, None]
    rho = spans.depth.index_select(0, index)[:, None] + slope * steps.to(slope.dtype)
    if bound > 8:
        pixel = pixel.where(steps < spans.length.index_select(0, index)[:, None], last)
    return pixel, rho


def _add(spans: _Spans, reference: float, total: torch.Tensor) -> None:
    """Adds signed depths w - reference = reference * rho / (1 - rho) to the flat maps; their last cell is unused."""
    for index, bound in _groups(spans.length):
        pixel, rho = _pixels(spans, index, bound, len(total) - 1)
        sign = reference * spans.sign.index_select(0, index)[:, None]
        total.index_add_(0, pixel.flatten(), (rho * sign).div_(1 - rho).flatten())


def _gather(spans: _Spans, reference: float, gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradients of the spans' depth and slope from that of the flat maps, whose last cell is zero."""
    to_depth, to_slope = torch.zeros_like(spans.depth), torch.zeros_like(spans.slope)
    for index, bound in _groups(spans.length):
        pixel, rho = _pixels(spans, index, bound, len(gradient) - 1)
        sign = reference * spans.sign.index_select(0, index)[:, None]
        to_rho = gradient.take(pixel) * sign / (1 - rho).square_()
        steps = torch.arange(bound, dtype=rho.dtype, device=rho.device)
        to_depth.index_copy_(0, index, to_rho.sum(1))
        to_slope.index_copy_(0, index, to_rho @ steps)
    return to_depth, to_slope
