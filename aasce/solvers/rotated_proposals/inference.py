"""From a part of a film to its vertebrae: the cord first, then detections in the refined region, then the column."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from aasce.preprocess.crop import View, letterbox, similarity
from aasce.preprocess.intensity import Bytes
from aasce.solvers.rotated_proposals.network import RotatedProposalNet
from aasce.solvers.rotated_proposals.postprocess import Detections, column_of, extended, to_view
from aasce.solvers.rotated_proposals.regions import cord_mask, cord_outline, midline, on_cord, refined_view
from aasce.solvers.rotated_proposals.settings import RotatedProposalsConfig
from aasce.solvers.shared.rotated import rotated_nms
from aasce.solvers.shared.samples import Floats, to_input
from aasce.solvers.shared.tta import mirrored_back, network_pass, with_mirror
from aasce.targets.boxes import encode_boxes, encode_rotated
from aasce.targets.field import Candidates, Column
from aasce.targets.heatmap import soft_argmax
from aasce.types import Array

PASSES: tuple[tuple[bool, float], ...] = ((False, 1.0), (True, 1.0), (True, 0.93), (False, 0.93))
"""(mirrored, scale) of the passes; with a setting of 1, 2 or 4 passes, of the first ones."""


@dataclass(frozen=True, slots=True)
class Found:
    """The column found in a part of a film.

    Attributes:
        column: on the canvas, at most 17 vertebrae.
        view: px of the part to px of the canvas.
        alone: (V, 4, 2) px of the canvas, the columns of the first and of the mirrored pass alone; fewer where a pass
            finds none.
        line: (N, 2) px of the canvas, the cord's midline; None without a cord.
    """

    column: Column
    view: View
    alone: tuple[Floats, ...]
    line: Floats | None

    @property
    def landmarks(self) -> Floats:
        """(V, 4, 2) px of the part."""
        return self.view.undo(self.column.corners)


def labelled_boxes(landmarks: Array, upright: bool) -> Floats:
    """(V, 5) rotated boxes around labelled vertebrae, with theta = 0 if they are to be upright."""
    if not upright:
        return encode_rotated(landmarks)
    box = encode_boxes(landmarks)
    low, high = box[:, :2], box[:, 2:]
    return np.concatenate([(low + high) / 2, high - low, np.zeros((len(box), 1))], axis=1)


@torch.inference_mode()
def detect(net: RotatedProposalNet, canvas: Bytes, config: RotatedProposalsConfig) -> Detections:
    """All detections on a canvas (H, W) uint8, with their corners and the cord."""
    image = to_input(canvas[None]).to(next(net.parameters()).device)
    maps = net.maps(image)
    cord = cord_mask(net.cord_of(maps)[0].sigmoid().cpu().numpy())
    proposals = net.proposals(*net.proposal(maps))
    logits, deltas = net.box(maps, proposals)
    boxes, scores = net.refined(deltas, proposals[0]), logits.sigmoid()
    sure = scores >= config.boxes.least
    boxes, scores = boxes[sure], scores[sure]
    kept = rotated_nms(boxes, scores, config.boxes.nms)
    boxes, scores = boxes[kept], scores[kept]
    if not len(boxes):
        nothing = np.zeros((0, 4))
        return Detections(np.zeros((0, 5)), np.zeros(0), np.zeros((0, 4, 2)), nothing, cord)
    heat = net.corner(image, maps, [boxes])
    places = soft_argmax(heat)
    corners, spread = net.corner.to_canvas(places, boxes), _spread(heat, places, boxes, config)
    found = [t.double().cpu().numpy() for t in (boxes, scores, corners, spread)]
    return Detections(found[0], found[1], found[2], found[3], cord)


def _spread(
    heat: torch.Tensor, places: torch.Tensor, boxes: torch.Tensor, config: RotatedProposalsConfig
) -> torch.Tensor:
    """(N, 4) px of the canvas: root of the mean square distance from each corner under its heatmap, over both axes."""
    rows, columns = heat.shape[-2:]
    share = heat.flatten(2).softmax(-1).reshape(heat.shape)
    grow = config.corners.grow
    cell = boxes[:, 2:4] * boxes.new_tensor(grow) / boxes.new_tensor([columns, rows])
    x = (torch.arange(columns, device=heat.device) - places[..., :1]) * cell[:, None, :1]
    y = (torch.arange(rows, device=heat.device) - places[..., 1:]) * cell[:, None, 1:]
    square = (share.sum(-2) * x**2).sum(-1) + (share.sum(-1) * y**2).sum(-1)
    spread: torch.Tensor = (square / 2).sqrt()
    return spread


def region_of(net: RotatedProposalNet, part: Bytes, config: RotatedProposalsConfig) -> View:
    """View of the refined region of a part of a film, from the cord on the whole of it; without a cord, all of it."""
    whole = letterbox((part.shape[0], part.shape[1]), config.region.canvas)
    canvas = np.asarray(whole.render(part), np.uint8)
    logits = network_pass(net, with_mirror(canvas), forward=net.cord_logits)
    maps = np.asarray(logits.sigmoid().cpu().numpy(), np.float32)
    mask = cord_mask(mirrored_back(maps).mean(axis=0))
    if not mask.any():
        return whole
    return refined_view(whole.undo(midline(mask)), whole.undo(cord_outline(mask)), config.region)


def suppressed(found: Detections, config: RotatedProposalsConfig) -> Detections:
    """The detections whose middle lies on the cord."""
    return found.kept(on_cord(found.boxes[:, :2], found.cord, config.region.cord_reach))


def find_column(
    net: RotatedProposalNet,
    part: Bytes,
    config: RotatedProposalsConfig,
    passes: int | None = None,
    possible: Callable[[Floats], NDArray[np.bool_]] | None = None,
) -> Found | None:
    """The vertebrae of a part of a film; None if fewer than four stand in a column.

    Args:
        net: the network.
        part: (h, w) uint8, evened out.
        config: of the solver.
        passes: how many of `PASSES`; None takes as many as the settings say.
        possible: which middles (N, 2), px of the part, may be those of T1 to L5; None for all.
    """
    view = region_of(net, part, config)
    candidates, cord = [], None
    for mirrored, scale in PASSES[: config.passes if passes is None else passes]:
        zoomed = view.then(similarity(_middle(view.size), scale, 0.0, view.size))
        found = detect_in(net, part, zoomed, config, mirrored)
        cord = found.cord if cord is None else cord
        found = suppressed(found, config)
        if possible is not None:
            found = found.kept(possible(zoomed.undo(found.boxes[:, :2])))
        candidates.append(to_view(found, zoomed, view))
    column = column_of(candidates)
    if column is None:
        return None
    line = None
    if cord is not None and cord.any():
        column, line = extended(column, cord), midline(cord)
    return Found(column, view, _alone(candidates), line)


def detect_in(
    net: RotatedProposalNet, part: Bytes, view: View, config: RotatedProposalsConfig, mirrored: bool = False
) -> Detections:
    """Detections in a view of a part of a film, from its mirror image if asked, in the frame of the view's canvas."""
    canvas = np.asarray(view.render(part), np.uint8)
    if not mirrored:
        return detect(net, canvas, config)
    return detect(net, np.ascontiguousarray(canvas[:, ::-1]), config).mirrored(canvas.shape[1])


def _alone(candidates: list[Candidates]) -> tuple[Floats, ...]:
    columns = [column_of([c]) for c in candidates[:2]]
    return tuple(c.corners for c in columns if c is not None)


def _middle(canvas: tuple[int, int]) -> Floats:
    """(2,) px of the middle of an (H, W) canvas."""
    return (np.array([canvas[1], canvas[0]]) - 1) / 2
