"""What the network of `rotated_proposals` is taught: all its parts at once, from the film to the corners."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aasce.solvers.rotated_proposals.network import CODER, Maps, RotatedProposalNet
from aasce.solvers.rotated_proposals.settings import RotatedProposalsConfig
from aasce.solvers.shared.corner_losses import place_entropy, tilt_loss
from aasce.solvers.shared.film_task import Batch
from aasce.solvers.shared.masks import soft_dice
from aasce.solvers.shared.rotated import rotated_iou
from aasce.targets.heatmap import soft_argmax

JITTER = (0.06, 0.06, 0.08, 0.08, 0.06)
"""Spread of the labelled boxes added to the proposals of a film: shifts and logarithms of the sides as shares of a box,
rotation in radians; about what a trained first stage errs by."""


class Matched(NamedTuple):
    """Boxes of one film chosen to be taught.

    Attributes:
        boxes: (n, 5) px, those of vertebrae first.
        vertebra: (p,) the vertebra of each of the first p boxes.
    """

    boxes: Tensor
    vertebra: Tensor

    @property
    def positive(self) -> Tensor:
        """(p, 5) the boxes of vertebrae."""
        return self.boxes[: len(self.vertebra)]


def chosen(candidates: Tensor, count: int) -> Tensor:
    """At most `count` of (n,) indices, at random."""
    return candidates[torch.randperm(len(candidates), device=candidates.device)[:count]]


def match_anchors(
    anchors: Tensor, truth: Tensor, positive: float, negative: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Which anchors are vertebrae and which are none.

    Args:
        anchors: (K, 5). truth: (V, 5).
        positive, negative: overlaps, see `RpnSettings`.

    Returns:
        Indices (p,) of anchors of vertebrae, (p,) of their vertebrae, and (n,) of anchors of none. The best anchor of
        each vertebra is one of the first, whatever its overlap.
    """
    if not len(truth):
        none = torch.zeros(0, dtype=torch.long, device=anchors.device)
        return none, none, torch.arange(len(anchors), device=anchors.device)
    overlap = rotated_iou(anchors, truth, negative)
    most, vertebra = overlap.max(dim=1)
    is_vertebra = most >= positive
    best, anchor = overlap.max(dim=0)
    sure = best > 0
    is_vertebra[anchor[sure]] = True
    vertebra[anchor[sure]] = sure.nonzero()[:, 0]
    at = is_vertebra.nonzero()[:, 0]
    return at, vertebra[at], ((most < negative) & ~is_vertebra).nonzero()[:, 0]


def match_proposals(proposals: Tensor, truth: Tensor, positive: float, samples: int, share: float) -> Matched:
    """Draws proposals to be taught, at most a share of them of vertebrae.

    Args:
        proposals: (n, 5). truth: (V, 5).
        positive: overlap from which a proposal is a vertebra.
        samples: how many are drawn.
        share: the most of them that are vertebrae.
    """
    if not len(truth):
        few = proposals[chosen(torch.arange(len(proposals), device=proposals.device), samples)]
        return Matched(few, torch.zeros(0, dtype=torch.long, device=proposals.device))
    most, vertebra = rotated_iou(proposals, truth).max(dim=1)
    at = chosen((most >= positive).nonzero()[:, 0], round(share * samples))
    none = chosen((most < positive).nonzero()[:, 0], samples - len(at))
    return Matched(proposals[torch.cat([at, none])], vertebra[at])


class ProposalLoss(nn.Module):
    """The network with the losses of all its parts."""

    def __init__(self, net: RotatedProposalNet, config: RotatedProposalsConfig) -> None:
        super().__init__()
        self.net, self.config = net, config

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Losses of a batch.

        Args:
            batch: "image" (B, 1, H, W), "boxes" (B, 17, 5) and "corners" (B, 17, 4, 2) px of the canvas, "shown"
                (B, 17) bool, "cord" (B, H/4, W/4) uint8, 255 on the cord.
        """
        image = batch["image"]
        maps = self.net.maps(image)
        terms = {"cord": self._cord(maps, batch["cord"])}
        logits, deltas = self.net.proposal(maps)
        truth = [b[s] for b, s in zip(batch["boxes"], batch["shown"], strict=True)]
        terms |= self._proposals(logits, deltas, truth)
        found = self.net.proposals(logits, deltas)
        matched = [self._matched(part, boxes) for part, boxes in zip(found, truth, strict=True)]
        terms |= self._boxes(maps, matched, truth)
        points = [c[s] for c, s in zip(batch["corners"], batch["shown"], strict=True)]
        terms |= self._corners(image, maps, matched, points)
        w = self.config.loss
        weights = {
            "objectness": w.objectness, "proposal": w.proposal, "angle": w.angle, "score": w.score, "box": w.box,
            "heat": w.heat, "corners": w.corners, "tilt": w.tilt, "cord": w.cord,
        }  # fmt: skip
        return {"loss": sum((weights[k] * v for k, v in terms.items()), image.new_zeros(())), **terms}

    def _cord(self, maps: Maps, cord: Tensor) -> Tensor:
        logits, shares = self.net.cord_of(maps), cord.float() / 255
        entropy = F.binary_cross_entropy_with_logits(logits, shares)
        return entropy + soft_dice(logits.sigmoid()[:, None], shares[:, None])

    def _proposals(self, logits: Tensor, deltas: Tensor, truth: list[Tensor]) -> dict[str, Tensor]:
        """Objectness, boxes and rotations of the anchors; rotations by their squared error, as in the paper."""
        s = self.config.rpn
        scores, labels, errors = [], [], []
        for score, delta, boxes in zip(logits, deltas, truth, strict=True):
            at, vertebra, none = match_anchors(self.net.anchors, boxes, s.positive, s.negative)
            pick = torch.randperm(len(at), device=at.device)[: s.samples // 2]
            none = chosen(none, s.samples - len(pick))
            at, vertebra = at[pick], vertebra[pick]
            scores.append(score[torch.cat([at, none])])
            labels += [torch.ones_like(score[at]), torch.zeros_like(score[none])]
            errors.append(delta[at] - CODER.encode(boxes[vertebra], self.net.anchors[at]))
        error = torch.cat(errors)
        return {
            "objectness": F.binary_cross_entropy_with_logits(torch.cat(scores), torch.cat(labels)),
            "proposal": _smooth(error[:, :4]),
            "angle": (error[:, 4] ** 2).sum() / max(len(error), 1),
        }

    @torch.no_grad()
    def _matched(self, proposals: Tensor, truth: Tensor) -> Matched:
        """Proposals and labelled boxes, drawn aside a little, of which some are taught."""
        s = self.config.boxes
        noise = torch.randn_like(truth) * truth.new_tensor(JITTER) * truth.new_tensor(CODER.weights)
        near = self.net.refined(noise, truth)
        return match_proposals(torch.cat([near, proposals]), truth, s.positive, s.samples, s.positive_share)

    def _boxes(self, maps: Maps, matched: list[Matched], truth: list[Tensor]) -> dict[str, Tensor]:
        logits, deltas = self.net.box(maps, [m.boxes for m in matched])
        labels, errors, start = torch.zeros_like(logits), [], 0
        for m, boxes in zip(matched, truth, strict=True):
            here = slice(start, start + len(m.vertebra))
            labels[here] = 1
            errors.append(deltas[here] - CODER.encode(boxes[m.vertebra], m.positive))
            start += len(m.boxes)
        return {
            "score": F.binary_cross_entropy_with_logits(logits, labels),
            "box": _smooth(torch.cat(errors)),
        }

    def _corners(
        self, image: Tensor, maps: Maps, matched: list[Matched], points: list[Tensor]
    ) -> dict[str, Tensor]:
        """Heatmaps by cross-entropy, corners in sizes of the vertebra, and the turn of midlines."""
        count = self.config.corners.samples
        boxes = [m.positive[:count] for m in matched]
        goal = torch.cat([p[m.vertebra[:count]] for m, p in zip(matched, points, strict=True)])
        if not len(goal):
            zero = maps[4].sum() * 0
            return {"heat": zero, "corners": zero, "tilt": zero}
        head, flat = self.net.corner, torch.cat(boxes)
        logits = head(image, maps, boxes)
        heat = place_entropy(logits, head.to_map(goal, flat), self.config.corners.sigma).mean()
        found = head.to_canvas(soft_argmax(logits), flat)
        return {"heat": heat, **corner_errors(found, goal)}


def corner_errors(found: Tensor, goal: Tensor) -> dict[str, Tensor]:
    """Errors of corners (N, 4, 2): "corners", their mean distance in sizes of the vertebra; "tilt", see `tilt_loss`."""
    size = (goal[:, [1, 3, 2, 3]] - goal[:, [0, 2, 0, 1]]).norm(dim=-1).mean(dim=1).clamp(min=1)
    corners = ((found - goal).norm(dim=-1).mean(dim=1) / size).mean()
    return {"corners": corners, "tilt": tilt_loss(found, goal).mean()}


def _smooth(error: Tensor) -> Tensor:
    """Smooth L1 of (N, C) differences, summed over C; 0 without any."""
    total = F.smooth_l1_loss(error, torch.zeros_like(error), reduction="sum", beta=0.5)
    return total / max(len(error), 1)
