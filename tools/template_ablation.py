"""Ablation of `template`: each loss, the spectral update, AdamVector and the low-pass left out, one row each.

    python -m tools.template_ablation SCAN --labels LABELS --centroids CENTROIDS.json --out FOLDER
    python -m tools.template_ablation --phantoms 2 --out FOLDER

Without centroids they are the middles of the bodies in the label map. Dice is that of whole vertebrae, and of bodies:
the part of both masks in front of the posterior wall. The wall is found in the true mask, in the frame that the line
through the centroids gives (up its tangent, front the world's): within 5 mm of the middle plane and 4 mm of the
centroid's height, the first mm behind the centroid in which fewer than half as many voxels are bone as around the
centroid, where the canal begins. The plane through it, at right angles to the frame's front, cuts both masks.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from scipy import ndimage

from aasce.config import load_settings
from aasce.ct.base import VertebraSet, vertebra_set
from aasce.ct.template.method import Template
from aasce.ct.template.placement import place
from aasce.ct.template.settings import TemplateConfig
from aasce.files import write_text
from aasce.phantom.person import draw_person
from aasce.phantom.scans import phantom_scan
from aasce.readers.centroids import read_centroids
from aasce.readers.scans import read_scan
from aasce.readers.vertebrae import HEAD_TO_FOOT, level_name
from aasce.scoring.segmentation import dice, score_masks
from aasce.types import AasceError, Array
from aasce.volume import Volume

Places = dict[int, NDArray[np.float64]]

ROWS: dict[str, tuple[str, ...]] = {
    "full": (),
    "without L_I": ("loss.image=0",),
    "without L_E": ("loss.edge=0",),
    "without L_N": ("loss.normal=0",),
    "without L_O": ("loss.overlap=0",),
    "without L_V": ("loss.variance=0",),
    "without spectral update": ("spectral_update=false",),
    "without AdamVector": ("vectorwise=false",),
    "without low-pass": (),
    "without neighbours": ("neighbours=false",),
    "start": (),
}
"""By row the settings that differ; `settings_of` adds those of the stages."""

_MIDDLE_MM, _HEIGHT_MM = 5.0, 4.0
_AROUND_MM = (-5, 8)
_FARTHEST_MM = 60


@dataclass(frozen=True, slots=True)
class Score:
    """Means over the vertebrae of one row.

    Attributes:
        row: its name.
        dice, body: of whole vertebrae and of bodies.
        surface_mm: average symmetric surface distance.
        cpu_s: seconds of processor time.
        by_level: Dice, body's Dice and surface distance of each vertebra.
    """

    row: str
    dice: float
    body: float
    surface_mm: float
    cpu_s: float
    by_level: dict[str, tuple[float, float, float]]


def local(truth: Volume, mask: Array, centre: Array, rotation: Array) -> tuple[Array, NDArray[np.float64]]:
    """(N, 3) indices of a mask's voxels and their places in mm in a vertebra's frame."""
    index = np.argwhere(mask)
    return index, (truth.to_world(index) - centre) @ rotation


def posterior_wall(places: NDArray[np.float64]) -> float:
    """mm in front of the centroid (negative: behind it) of the posterior wall; see the module.

    Args:
        places: (N, 3) mm of a mask's voxels in the vertebra's frame.
    """
    column = (np.abs(places[:, 0]) < _MIDDLE_MM) & (np.abs(places[:, 2]) < _HEIGHT_MM)
    counts, edges = np.histogram(places[column, 1], np.arange(-_FARTHEST_MM, _FARTHEST_MM + 1))
    around = counts[_FARTHEST_MM + _AROUND_MM[0] : _FARTHEST_MM + _AROUND_MM[1]]
    empty = counts[:_FARTHEST_MM] < np.median(around) / 2
    # Two empty mm, as the rows of a coarse grid leave single ones empty.
    found = np.flatnonzero(empty[1:] & empty[:-1])
    return float(edges[found[-1] + 2]) if len(found) else float(-_FARTHEST_MM)


def body_of(truth: Volume, mask: Array, centre: Array, rotation: Array, wall: float) -> Array:
    """(X, Y, Z) bool: the part of a mask in front of the wall."""
    index, places = local(truth, mask, centre, rotation)
    body = np.zeros(mask.shape, bool)
    body[tuple(index[places[:, 1] > wall].T)] = True
    return body


def body_middles(truth: Volume, labels: Sequence[int]) -> Places:
    """Middles of the bodies of a label map: of the box around the body, from the thickest place on, three times over.

    Args:
        truth: labels of VerSe.
        labels: to find, from the head.
    """
    middles: Places = {}
    for label in labels:
        box = ndimage.find_objects((truth.data == label).astype(np.uint8))[0]
        mask = np.pad(truth.data[box] == label, 1)
        depth = ndimage.distance_transform_edt(mask, sampling=truth.spacing)
        smooth = ndimage.gaussian_filter(depth, 3.0 / truth.spacing)
        corner = np.array([part.start - 1 for part in box])
        middles[label] = truth.to_world(np.array(np.unravel_index(smooth.argmax(), smooth.shape)) + corner)
    for _ in range(3):
        frames = place(np.array(labels), np.array([middles[label] for label in labels])).rotation
        for label, rotation in zip(labels, frames, strict=True):
            _, places = local(truth, truth.data == label, middles[label], rotation)
            body = places[places[:, 1] > posterior_wall(places)]
            middles[label] = middles[label] + rotation @ np.percentile(body, [2, 98], axis=0).mean(0)
    return middles


def settings_of(row: str, overrides: Sequence[str]) -> TemplateConfig:
    """The settings of a row."""
    config = load_settings(TemplateConfig, None, [*overrides, *ROWS[row]])
    if row == "without low-pass":
        last = config.stages[-1].blur
        stages = tuple(stage.model_copy(update={"blur": last}) for stage in config.stages)
        return config.model_copy(update={"stages": stages})
    if row == "start":
        stages = tuple(stage.model_copy(update={"steps": 0}) for stage in config.stages)
        return config.model_copy(update={"stages": stages})
    return config


def measure(row: str, found: VertebraSet, truth: Volume, middles: Places, seconds: float) -> Score:
    """Scores of one row.

    Args:
        row: its name.
        found: the answer.
        truth: labels of VerSe.
        middles: the true middles of the bodies, by which bodies are cut.
        seconds: of processor time.
    """
    if found.masks is None:
        raise AasceError(f"{row}: {found.failure}")
    labels = found.labels.tolist()
    wanted = np.where(np.isin(truth.data, labels), truth.data, 0)
    whole = score_masks(found.masks.data, wanted, truth.affine)
    frames = place(found.labels, np.array([middles[label] for label in labels])).rotation
    by_level = {}
    for label, rotation in zip(labels, frames, strict=True):
        masks = found.masks.data == label, truth.data == label
        wall = posterior_wall(local(truth, masks[1], middles[label], rotation)[1])
        bodies = [body_of(truth, mask, middles[label], rotation, wall) for mask in masks]
        by_level[level_name(label)] = (whole[label][0], dice(*bodies), whole[label][1])
    mean, body, surface = (float(number) for number in np.nanmean(list(by_level.values()), axis=0))
    return Score(row, mean, body, surface, seconds, by_level)


def run_row(row: str, case: tuple[Volume, Volume, Places], overrides: Sequence[str]) -> Score:
    """Fits one scan with one row's settings and measures it."""
    scan, truth, middles = case
    began = time.process_time()
    found = Template(settings_of(row, overrides)).predict(scan, vertebra_set("scan", middles))
    return measure(row, found, truth, middles, time.process_time() - began)


def given_case(scan: Path, labels: Path, centroids: Path | None) -> tuple[Volume, Volume, Places]:
    """A scan with its label map; vertebrae that the scan's rim cuts are left out."""
    volume, truth = read_scan(scan, "ct"), read_scan(labels, "label")
    if centroids is not None:
        return volume, truth, read_centroids(centroids, truth)
    boxes = ndimage.find_objects(truth.data)
    whole = [
        label
        for label, box in enumerate(boxes, 1)
        if box is not None and all(p.start > 0 and p.stop < n for p, n in zip(box, truth.shape, strict=True))
    ]
    return volume, truth, body_middles(truth, sorted(whole, key=HEAD_TO_FOOT.index))


def phantom_cases(count: int) -> Iterator[tuple[Volume, Volume, Places]]:
    """Scans of adults, T10 to L5."""
    for seed in range(count):
        made = phantom_scan(draw_person(1000 + seed, "adults"), seed, 1.5)
        places = {
            item["label"]: made.ct.to_world([item["X"], item["Y"], item["Z"]]) for item in made.centroids[1:]
        }
        yield made.ct, made.labels, {label: places[label] for label in range(17, 25)}


def table(scores: Sequence[Score]) -> str:
    """Markdown."""
    head = "| row | Dice | Dice of bodies | surface distance, mm | processor, s |\n|---|---|---|---|---|\n"
    return head + "".join(
        f"| {s.row} | {s.dice:.3f} | {s.body:.3f} | {s.surface_mm:.2f} | {s.cpu_s:.0f} |\n" for s in scores
    )


def _mean(scores: Sequence[Score]) -> Score:
    """One row over several scans."""
    if len(scores) == 1:
        return scores[0]
    numbers = np.mean([(s.dice, s.body, s.surface_mm, s.cpu_s) for s in scores], axis=0)
    mean, body, surface, seconds = (float(number) for number in numbers)
    levels = {f"{k}/{name}": value for k, s in enumerate(scores) for name, value in s.by_level.items()}
    return Score(scores[0].row, mean, body, surface, seconds, levels)


def main(
    scan: Annotated[Path | None, typer.Argument(help="a CT; without one, phantoms")] = None,
    labels: Annotated[Path | None, typer.Option(help="its label map, VerSe's numbers")] = None,
    centroids: Annotated[Path | None, typer.Option(help="its centroids, VerSe's or Slicer's json")] = None,
    phantoms: Annotated[int, typer.Option(help="how many, without a scan")] = 1,
    rows: Annotated[list[str] | None, typer.Option("--row", help="rows to run; all by default")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="settings over the defaults")] = None,
    out: Annotated[Path, typer.Option(help="folder of ablation.md and ablation.json")] = Path("ablation"),
) -> None:
    """Runs the rows one after the other; the table is written after each."""
    if scan is not None and labels is None:
        raise typer.BadParameter("name the scan's label map by --labels")
    unknown = set(rows or ()) - set(ROWS)
    if unknown:
        raise typer.BadParameter(f"rows {', '.join(sorted(unknown))}; there are {', '.join(ROWS)}")
    cases = list(phantom_cases(phantoms)) if scan is None else [given_case(scan, labels or scan, centroids)]
    out.mkdir(parents=True, exist_ok=True)
    scores: list[Score] = []
    for row in rows or ROWS:
        scores.append(_mean([run_row(row, case, settings or ()) for case in cases]))
        written: list[dict[str, Any]] = [asdict(score) for score in scores]
        write_text(out / "ablation.json", json.dumps(written, indent=2) + "\n")
        write_text(out / "ablation.md", table(scores))
        typer.echo(table(scores[-1:]).splitlines()[-1])


if __name__ == "__main__":
    typer.run(main)
