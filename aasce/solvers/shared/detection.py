"""Torchvision's detectors on canvases: a backbone from any encoder, films left as they are, targets, detections.

Torchvision's Faster R-CNN, Mask R-CNN and RetinaNet take a backbone with `out_channels`, and resize and normalise
photographs of any size. Here every film is a standardised grey canvas of one size already, so `on_canvases` takes
resizing and normalising out of them. Boxes are x0, y0, x1, y1 px of the canvas.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.ops import FeaturePyramidNetwork

from aasce.solvers.shared.encoders import EncoderSettings, make_encoder

Floats = NDArray[np.float64]
Target = dict[str, Tensor]
Detector = TypeVar("Detector", bound=nn.Module)

BACKGROUND = 0
"""Torchvision's label of no object; labels of objects count from 1."""

HEADS = ("rpn.head", "roi_heads.box_predictor", "roi_heads.mask_predictor", "head")
"""Modules of torchvision's detectors whose outputs are boxes, scores or masks."""


class DetectionBackbone(nn.Module):
    """Maps of an encoder, joined by a feature pyramid (Lin et al. 2017) or the coarsest one as it is.

    Attributes:
        out_channels: of every map; the name is torchvision's.
        strides: of the maps given, from the finest.

    Args:
        settings: the encoder; a film, (B, 1, H, W), is its input.
        start: give it the weights that the settings ask for.
        stages: maps that the encoder gives, from stride `finest`.
        finest: least stride.
        pyramid: channels of the pyramid's maps; None gives the coarsest map of the encoder alone.
        outputs: maps of the pyramid that are given, from the finest; None gives all.
    """

    def __init__(
        self,
        settings: EncoderSettings,
        start: bool,
        stages: int = 4,
        finest: int = 4,
        pyramid: int | None = 64,
        outputs: int | None = None,
    ) -> None:
        super().__init__()
        self.encoder, channels = make_encoder(settings, 1, stages, 32, start, finest)
        strides = [finest * 2**k for k in range(len(channels))]
        self.pyramid: Any = None
        if pyramid is None:
            self.out_channels, self.strides = channels[-1], strides[-1:]
            return
        self.out_channels, self.strides = pyramid, strides[:outputs]
        self.pyramid = FeaturePyramidNetwork(channels, pyramid)
        for unused in range(len(self.strides), len(channels)):
            # The map still feeds the finer ones; the convolution that only its own output has would never be trained.
            self.pyramid.layer_blocks[unused] = nn.Identity()

    def forward(self, image: Tensor) -> OrderedDict[str, Tensor]:
        """(B, 1, H, W) canvases to 32-bit maps (B, out_channels, H / stride, W / stride), "0" the finest."""
        maps = self.encoder(image)
        if self.pyramid is None:
            return OrderedDict({"0": maps[-1].float()})
        joined = self.pyramid(OrderedDict((str(k), part) for k, part in enumerate(maps)))
        return OrderedDict((str(k), joined[str(k)].float()) for k in range(len(self.strides)))


class CanvasTransform(GeneralizedRCNNTransform):  # type: ignore[misc]
    """Takes the place of torchvision's resizing and normalising; canvases stay as they are."""

    def __init__(self) -> None:
        super().__init__(1, 1, [0.0], [1.0])

    def forward(
        self, images: Tensor | list[Tensor], targets: list[Target] | None = None
    ) -> tuple[ImageList, list[Target] | None]:
        """The canvases, (B, C, H, W) or a list of (C, H, W), and the targets, unchanged."""
        stacked = images if isinstance(images, Tensor) else torch.stack(list(images))
        height, width = stacked.shape[-2:]
        return ImageList(stacked, [(int(height), int(width))] * len(stacked)), targets


def on_canvases(detector: Detector) -> Detector:
    """A detector of torchvision's that takes canvases as they are; it is changed and returned.

    Its heads give 32 bit also under autocast: torchvision decodes boxes in the precision of the heads' outputs, and
    bfloat16 has steps of 2 px at 512 px.

    Args:
        detector: a FasterRCNN, MaskRCNN or RetinaNet.
    """
    detector.transform = CanvasTransform()
    modules = dict(detector.named_modules())
    for name in HEADS:
        if name in modules:
            modules[name].register_forward_hook(_float_outputs)
    return detector


def _float_outputs(module: nn.Module, inputs: Any, output: Any) -> Any:
    return _as_float(output)


def _as_float(output: Any) -> Any:
    if isinstance(output, Tensor):
        return output.float()
    if isinstance(output, Mapping):
        return {name: _as_float(part) for name, part in output.items()}
    return type(output)(_as_float(part) for part in output)


def visible_boxes(
    boxes: Floats, size: tuple[int, int], least: float = 0.5
) -> tuple[Floats, NDArray[np.bool_]]:
    """Boxes cut to the canvas, and which of them show enough to be taught.

    Args:
        boxes: (N, 4) x0, y0, x1, y1 px of the canvas.
        size: (H, W) of the canvas.
        least: share of a box's area that must lie on the canvas.

    Returns:
        (N, 4) boxes inside 0 to W and 0 to H, and (N,) true where enough is visible.
    """
    edge = np.array([size[1], size[0]] * 2, np.float64)
    cut = np.clip(boxes, 0.0, edge)
    whole, seen = ((b[:, 2:] - b[:, :2]).clip(min=0).prod(axis=1) for b in (boxes, cut))
    return cut, (seen > 0) & (seen >= least * whole)


def detection_targets(boxes: Tensor, labels: Tensor, **more: Tensor) -> list[Target]:
    """Targets as torchvision's detectors take them, one dictionary a film.

    Args:
        boxes: (B, N, 4) x0, y0, x1, y1 px, x1 > x0 and y1 > y0 where the label is not `BACKGROUND`.
        labels: (B, N) int64; entries of `BACKGROUND` are left out.
        more: further tensors (B, N, ...) under torchvision's names, such as `masks`.
    """
    targets = []
    for film, shown in enumerate(labels != BACKGROUND):
        parts = {"boxes": boxes[film], "labels": labels[film], **{name: m[film] for name, m in more.items()}}
        targets.append({name: part[shown] for name, part in parts.items()})
    return targets


def detections_of(output: Mapping[str, Tensor]) -> tuple[Floats, NDArray[np.int64], Floats]:
    """A detector's output for one film.

    Args:
        output: one dictionary of the list that it gives in evaluation.

    Returns:
        (N, 4) boxes x0, y0, x1, y1 px of the canvas, (N,) labels, (N,) scores in [0, 1], best score first.
    """
    scores = output["scores"].detach().float().cpu().numpy().astype(np.float64)
    order = np.argsort(-scores, kind="stable")
    boxes = output["boxes"].detach().float().cpu().numpy().astype(np.float64)
    return boxes[order], output["labels"].cpu().numpy().astype(np.int64)[order], scores[order]
