"""Torchvision's detectors on canvases: the backbone's maps, canvases left as they are, targets and detections."""

import numpy as np
import pytest
import torch
from torchvision.models.detection import RetinaNet
from torchvision.models.detection.anchor_utils import AnchorGenerator

from aasce.solvers.shared.detection import (
    CanvasTransform,
    DetectionBackbone,
    detection_targets,
    detections_of,
    on_canvases,
    visible_boxes,
)
from aasce.solvers.shared.encoders import EncoderSettings

ENCODER = EncoderSettings(
    name="resnet18d", options={"channels": [8, 8, 16, 16], "layers": [1, 1, 1, 1], "stem_width": 8}
)


@pytest.mark.parametrize(("outputs", "strides"), [(None, [4, 8, 16]), (1, [4])])
def test_a_pyramid_gives_the_maps_asked_for_and_has_no_idle_weights(
    outputs: int | None, strides: list[int]
) -> None:
    backbone = DetectionBackbone(ENCODER, start=False, stages=3, pyramid=12, outputs=outputs)
    maps = backbone(torch.randn(2, 1, 64, 32))
    assert backbone.strides == strides
    assert [tuple(m.shape) for m in maps.values()] == [(2, 12, 64 // s, 32 // s) for s in strides]
    sum(m.square().sum() for m in maps.values()).backward()
    assert [name for name, p in backbone.named_parameters() if p.grad is None] == []


def test_without_a_pyramid_the_coarsest_map_is_given() -> None:
    backbone = DetectionBackbone(ENCODER, start=False, stages=3, pyramid=None)
    maps = backbone(torch.zeros(1, 1, 64, 32))
    assert (list(maps), tuple(maps["0"].shape)) == (["0"], (1, backbone.out_channels, 4, 2))


def test_canvases_and_targets_pass_unchanged() -> None:
    images = torch.randn(2, 1, 30, 50)
    targets = [{"boxes": torch.tensor([[1.0, 2.0, 3.0, 4.0]])}] * 2
    found, kept = CanvasTransform()(images, targets)
    assert torch.equal(found.tensors, images)
    assert found.image_sizes == [(30, 50), (30, 50)]
    assert kept is targets
    boxes = torch.tensor([[3.0, 4.0, 5.0, 6.0]])
    assert torch.equal(
        CanvasTransform().postprocess([{"boxes": boxes}], [(30, 50)], [(30, 50)])[0]["boxes"], boxes
    )


def test_boxes_keep_their_precision_under_autocast() -> None:
    """Decoded in bfloat16, a box near x = 500 could only lie at even px."""
    backbone = DetectionBackbone(ENCODER, start=False, stages=3, pyramid=12)
    anchors = AnchorGenerator(((16,), (32,), (64,)), ((1.0,),) * 3)
    detector = on_canvases(RetinaNet(backbone, 2, anchor_generator=anchors, score_thresh=0.0)).eval()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        boxes = detector(torch.randn(1, 1, 64, 512))[0]["boxes"]
    assert boxes.dtype == torch.float32
    inner = boxes[(boxes > 256) & (boxes < 512)]
    assert len(inner) > 10
    assert (inner % 1 != 0).any()


def test_a_box_that_leaves_the_canvas_is_cut_and_one_mostly_outside_is_not_taught() -> None:
    boxes = np.array([[10.0, 10, 30, 20], [-5, 0, 15, 10], [90, 10, 120, 20], [10, 60, 20, 80]])
    cut, shown = visible_boxes(boxes, (50, 100))
    assert shown.tolist() == [True, True, False, False]
    np.testing.assert_allclose(cut[:2], [[10, 10, 30, 20], [0, 0, 15, 10]])


def test_targets_leave_out_the_background() -> None:
    boxes = torch.arange(24.0).reshape(2, 3, 4)
    labels = torch.tensor([[1, 0, 2], [0, 0, 0]])
    first, second = detection_targets(boxes, labels, tags=labels * 10)
    assert torch.equal(first["boxes"], boxes[0, [0, 2]])
    assert first["labels"].tolist() == [1, 2]
    assert first["tags"].tolist() == [10, 20]
    assert second["boxes"].shape == (0, 4)


def test_detections_come_best_first() -> None:
    output = {
        "boxes": torch.tensor([[0.0, 0, 1, 1], [2, 2, 3, 3]]),
        "labels": torch.tensor([4, 5]),
        "scores": torch.tensor([0.2, 0.9]),
    }
    boxes, labels, scores = detections_of(output)
    assert (boxes[0].tolist(), labels.tolist()) == ([2, 2, 3, 3], [5, 4])
    assert scores == pytest.approx([0.9, 0.2])
