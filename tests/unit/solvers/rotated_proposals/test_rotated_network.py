"""Parts of the network and what they are taught."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from aasce.datasets import read_challenge
from aasce.solvers.rotated_proposals.inference import detect, labelled_boxes
from aasce.solvers.rotated_proposals.losses import (
    corner_errors,
    match_anchors,
    match_proposals,
)
from aasce.solvers.rotated_proposals.network import CODER, RotatedProposalNet, all_anchors
from aasce.solvers.rotated_proposals.settings import RotatedProposalsConfig
from aasce.solvers.rotated_proposals.solver import RotatedProposalsSolver, detection_scores
from aasce.solvers.rotated_proposals.task import ProposalTask
from aasce.solvers.shared.samples import load_split
from aasce.targets.heatmap import encode_heatmaps, soft_argmax
from tests.synthetic import bent_spine, write_challenge

TINY = RotatedProposalsConfig.tiny()
SPINE = bent_spine(40.0, TINY.region.canvas)


def upright(config: RotatedProposalsConfig) -> RotatedProposalsConfig:
    return config.model_copy(update={"angles": "upright"})


def truth_boxes(is_upright: bool = False) -> torch.Tensor:
    return torch.from_numpy(labelled_boxes(SPINE, is_upright).astype(np.float32))


def test_every_output_of_the_proposal_head_has_its_anchor() -> None:
    for config, angles in ((TINY, 3), (upright(TINY), 1)):
        anchors = all_anchors(config)
        # 84 x 24 cells of 4 px with 3 scales, 42 x 12 of 8 px with 2, all of 3 ratios.
        assert len(anchors) == (84 * 24 * 3 + 42 * 12 * 2) * 3 * angles
        net = RotatedProposalNet(config).eval()
        with torch.inference_mode():
            logits, deltas = net.proposal(net.maps(torch.zeros(2, 1, 336, 96)))
        assert logits.shape == (2, len(anchors))
        assert deltas.shape == (2, len(anchors), 5)
    assert (anchors[:, 4] == 0).all()


def test_the_anchor_of_a_cell_is_that_of_the_output_of_this_cell() -> None:
    """A head whose map of scores is one at a single cell and 0 elsewhere."""
    net = RotatedProposalNet(TINY).eval()
    net.proposal.enter = torch.nn.Identity()  # type: ignore[assignment]
    maps = {4: torch.zeros(1, 24, 84, 24), 8: torch.zeros(1, 24, 42, 12)}
    maps[8][:, :, 30, 7] = 1.0
    with torch.inference_mode():
        for score in net.proposal.score:
            score.weight.fill_(1.0)
        logits, _ = net.proposal(maps)
    best = logits[0] > logits[0].min() + 1
    assert net.anchors[best, :2].unique(dim=0).tolist() == [[7 * 8 + 3.5, 30 * 8 + 3.5]]


def test_anchors_near_a_vertebra_are_taught_and_every_vertebra_has_one() -> None:
    anchors, truth = all_anchors(TINY), truth_boxes()
    at, vertebra, none = match_anchors(anchors, truth, 0.55, 0.35)
    assert set(vertebra.tolist()) == set(range(17))
    assert not set(at.tolist()) & set(none.tolist())
    distance = (anchors[at, :2] - truth[vertebra, :2]).norm(dim=1)
    assert (distance < truth[vertebra, 2]).all()
    at, vertebra, _ = match_anchors(anchors, truth, 0.999, 0.35)
    assert vertebra.tolist() == list(range(17)) or sorted(vertebra.tolist()) == list(range(17))
    at, _, none = match_anchors(anchors, truth[:0], 0.55, 0.35)
    assert (len(at), len(none)) == (0, len(anchors))


def test_proposals_are_taught_with_their_vertebra_first() -> None:
    truth = truth_boxes()
    away = truth + torch.tensor([45.0, 0, 0, 0, 0])
    proposals = torch.cat([away, truth + torch.tensor([0.5, 0.5, 0, 0, 0.02])])
    found = match_proposals(proposals, truth, 0.5, 20, 0.5)
    assert len(found.boxes) == 20
    assert len(found.vertebra) == 10
    assert (found.positive[:, :2] - truth[found.vertebra, :2]).abs().max() < 1
    rest = found.boxes[10:]
    assert all((rest[k] == away).all(dim=1).any() for k in range(10))
    nothing = match_proposals(proposals, truth[:0], 0.5, 20, 0.5)
    assert (len(nothing.boxes), len(nothing.vertebra)) == (20, 0)


@pytest.mark.parametrize("is_upright", [False, True])
def test_differences_that_lead_to_the_labels_make_them_the_proposals(is_upright: bool) -> None:
    config = upright(TINY) if is_upright else TINY
    net, truth = RotatedProposalNet(config), truth_boxes(is_upright)
    at, vertebra, _ = match_anchors(net.anchors, truth, 0.55, 0.35)
    logits, deltas = torch.full((1, len(net.anchors)), -9.0), torch.zeros(1, len(net.anchors), 5)
    logits[0, at] = 3.0
    deltas[0, at] = CODER.encode(truth[vertebra], net.anchors[at])
    found = net.proposals(logits, deltas)[0][:17]
    found = found[found[:, 1].argsort()]
    torch.testing.assert_close(found, truth, atol=1e-2, rtol=0)


def test_heatmaps_and_corners_share_one_frame() -> None:
    """Boxes a little aside: heatmaps about the corners' places lead back to the corners."""
    net = RotatedProposalNet(TINY)
    corners = torch.from_numpy(SPINE.astype(np.float32))
    boxes = truth_boxes() + torch.tensor([1.0, -1.0, 2.0, 1.0, math.radians(5)])
    places = net.corner.to_map(corners, boxes)
    assert places.min() > 0
    assert (places < torch.tensor([17.5, 11.5])).all()
    maps = encode_heatmaps(places.numpy().reshape(-1, 2), (12, 18), 1.0)
    found = soft_argmax(torch.from_numpy(maps).log().reshape(17, 4, 12, 18))
    # A Gaussian cut off at the map's edge has its mean a little inside.
    torch.testing.assert_close(net.corner.to_canvas(found, boxes), corners, atol=0.6, rtol=0)
    torch.testing.assert_close(net.corner.to_canvas(places, boxes), corners, atol=1e-3, rtol=0)


def test_errors_of_corners() -> None:
    goal = torch.tensor([[[0.0, 0], [20, 0], [0, 10], [20, 10]]])
    moved = corner_errors(goal + torch.tensor([3.0, 0.0]), goal)
    assert float(moved["corners"]) == pytest.approx(3 / 15)  # sides of 20 and 10
    assert float(moved["tilt"]) == 0
    slope = torch.tensor([[[0.0, -1], [0, 1], [0, -1], [0, 1]]])
    assert float(corner_errors(goal + slope, goal)["tilt"]) == pytest.approx(2 / 20)


def test_a_canvas_without_detections() -> None:
    net = RotatedProposalNet(TINY).eval()
    with torch.no_grad():
        net.box.output.bias.fill_(-9.0)
    found = detect(net, np.zeros((336, 96), np.uint8), TINY)
    assert found.boxes.shape == (0, 5)
    assert found.corners.shape == (0, 4, 2)
    assert found.cord.shape == (84, 24)


@pytest.mark.parametrize("is_upright", [False, True])
@pytest.mark.parametrize("isolation", ["localizer", "projection"])
def test_training_samples_scores_and_a_reading(tmp_path: Path, is_upright: bool, isolation: str) -> None:
    films = read_challenge(write_challenge(tmp_path, [bent_spine(20.0), bent_spine(-30.0)]))
    region = TINY.region.model_copy(update={"isolation": isolation})
    config = (upright(TINY) if is_upright else TINY).model_copy(update={"region": region})
    solver = RotatedProposalsSolver(config)
    split = load_split(films, films, config.intensity, config.rows)
    task = ProposalTask(config, solver.module, split)
    batch = task.draw_batch([0, 1], np.random.default_rng(0))
    assert bool((batch["boxes"][..., 4] == 0).all()) == is_upright
    losses = task.module(batch)
    assert all(torch.isfinite(value) for value in losses.values())
    scores = detection_scores(solver, films)
    assert all(0 <= value <= 1 for value in scores.values())
    assert {"score", "smape", "missing"} == set(task.validate(task.module.eval()))
    part, view = solver.part_of(films.radiograph(0), None)
    assert part.shape == view.size
    assert part.shape[0] <= config.rows
