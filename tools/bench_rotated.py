"""Speed of rotated overlaps and non-maximum suppression against a plain loop over pairs with shapely.

    python -m tools.bench_rotated --boxes 2000 --threads 2

The boxes lie about 17 vertebrae, as the proposals of a film do. Both give the same boxes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated, TypeVar

import numpy as np
import torch
import typer
from shapely.geometry import Polygon
from torch import Tensor

from aasce.solvers.shared.rotated import box_outline, rotated_iou, rotated_nms

T = TypeVar("T")


def proposals(count: int) -> tuple[Tensor, Tensor]:
    """(N, 5) boxes scattered about the vertebrae of a straight spine, and (N,) scores."""
    rng = np.random.default_rng(0)
    y = 40 + 34 * rng.integers(17, size=count) + rng.normal(0, 6, count)
    columns = [
        rng.normal(96, 8, count), y, rng.uniform(30, 50, count), rng.uniform(18, 30, count), rng.normal(0, 0.2, count),
    ]  # fmt: skip
    return torch.from_numpy(np.stack(columns, axis=1)), torch.from_numpy(rng.random(count))


def plain_nms(boxes: Tensor, scores: Tensor, threshold: float) -> list[int]:
    """The same by a loop over pairs."""
    shapes = [Polygon(outline) for outline in box_outline(boxes).numpy()]
    kept: list[int] = []
    for index in scores.argsort(descending=True).tolist():
        one = shapes[index]
        for other in (shapes[k] for k in kept):
            common = one.intersection(other).area
            if common > threshold * (one.area + other.area - common):
                break
        else:
            kept.append(index)
    return kept


def plain_iou(boxes: Tensor) -> Tensor:
    """All overlaps by a loop over pairs."""
    shapes = [Polygon(outline) for outline in box_outline(boxes).numpy()]
    common = [[a.intersection(b).area for b in shapes] for a in shapes]
    area = boxes[:, 2] * boxes[:, 3]
    found = torch.tensor(common, dtype=torch.float64)
    return found / (area[:, None] + area - found)


def timed(run: Callable[[], T]) -> tuple[T, float]:
    """What it returns, and the ms it took."""
    began = time.perf_counter()
    found = run()
    return found, 1e3 * (time.perf_counter() - began)


def main(
    boxes: Annotated[int, typer.Option(help="Number of boxes.")] = 2000,
    threads: Annotated[int, typer.Option(help="Threads of torch.")] = 2,
    threshold: Annotated[float, typer.Option(help="Overlap of the suppression.")] = 0.5,
    plain: Annotated[bool, typer.Option(help="Also the plain loops, minutes for 2,000 boxes.")] = True,
) -> None:
    """Prints ms of overlaps and of the suppression, by tensors and by plain loops."""
    torch.set_num_threads(threads)
    made, scores = proposals(boxes)
    rotated_nms(made[:50], scores[:50], threshold)
    overlap, iou_ms = timed(lambda: rotated_iou(made, made))
    kept, nms_ms = timed(lambda: rotated_nms(made, scores, threshold))
    print(f"tensors: {iou_ms:.0f} ms for {boxes} x {boxes} overlaps, {nms_ms:.0f} ms for the suppression")
    if plain:
        expected, loop_iou = timed(lambda: plain_iou(made))
        again, loop_nms = timed(lambda: plain_nms(made, scores, threshold))
        print(f"loops:   {loop_iou:.0f} ms, {loop_nms:.0f} ms")
        print(
            f"largest difference {float((overlap - expected).abs().max()):.1e}, same boxes {kept.tolist() == again}"
        )


if __name__ == "__main__":
    typer.run(main)
