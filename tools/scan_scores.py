"""Measures of the scan methods: on unseen phantom scans, on a patient's scan, and Cobb angles by three ways.

    python -m tools.scan_scores phantoms --count 40
    python -m tools.scan_scores phantoms --count 40 --cut
    python -m tools.scan_scores patient ct.nii.gz labels.nii.gz
    python -m tools.scan_scores patient ct.nii.gz labels.nii.gz --goal fit
    python -m tools.scan_scores given segment ct.nii.gz labels.nii.gz
    python -m tools.scan_scores angles --count 20

The first line draws persons and how they are scanned (spacing, slice thickness, kernel, noise, contrast, orientation)
from seeds that training does not use; with `--cut` each scan shows a part of the spine alone. The last one takes
scoliotic persons and compares the coronal Cobb angle of the endplates found in 3D, of the scan's film measured by a
radiograph solver, and of the phantom itself.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from aasce.api import load_single
from aasce.commands.ct import load_methods
from aasce.commands.ct_film import DISTANCE_MM, GAP_MM, Film, film_of
from aasce.ct.angles import measure_spine
from aasce.ct.base import ScanMethod, VertebraSet, vertebra_set
from aasce.ct.pipeline import from_places, read
from aasce.ct.shared.samples import LabelledScan
from aasce.evaluation.leaderboard import markdown_lines
from aasce.phantom.person import POPULATIONS, build_person, draw_person
from aasce.phantom.scans import PhantomScan, ScanSettings, draw_scan_settings, take_scan
from aasce.phantom.truth import film_truth
from aasce.readers.centroids import read_centroids
from aasce.readers.scans import read_scan
from aasce.readers.vertebrae import level_name, region_of
from aasce.scoring.localization import RADIUS_MM
from aasce.scoring.segmentation import LabelScore, RegionScore, by_region, mask_middles, score_labels
from aasce.types import Array
from aasce.volume import Volume
from aasce.xray.camera import ConeBeam

SEED = 50_000
"""First seed of the persons measured; training draws its own from far below."""

SACRUM = 26
Weights = Annotated[list[str] | None, typer.Option(help="Run folders instead of the released weights.")]
Count = Annotated[int, typer.Option(help="Phantom scans.")]


class Goal(StrEnum):
    """What `aasce ct` makes masks with."""

    segment = "segment"
    fit = "fit"


app = typer.Typer(add_completion=False, rich_markup_mode=None)


def compared(found: VertebraSet, places: dict[int, Array], labels: Volume) -> list[LabelScore]:
    """Scores of one scan's vertebrae, without the sacrum.

    Args:
        found: predicted.
        places: true middles of the bodies by label, world mm.
        labels: true label map.
    """
    own = {
        label: place
        for label, place in zip(found.labels.tolist(), found.centroids, strict=True)
        if label != SACRUM
    }
    truth = {label: place for label, place in places.items() if label != SACRUM}
    if found.masks is None:
        return score_labels((own, truth))
    masks = [np.where(volume.data == SACRUM, 0, volume.data) for volume in (found.masks, labels)]
    return score_labels((own, truth), (masks[0], masks[1]), labels.affine)


def phantom(number: int, cut: bool, seed: int = SEED) -> PhantomScan:
    """The scan of one unseen person."""
    rng = np.random.default_rng((seed, number, int(cut)))
    person = draw_person(seed + number, POPULATIONS[number % len(POPULATIONS)])
    return take_scan(person, draw_scan_settings(rng, cut), seed + number)


def true_places(scan: PhantomScan) -> dict[int, Array]:
    """By label the middles of the bodies in view, world mm."""
    return {
        entry["label"]: scan.labels.to_world([entry["X"], entry["Y"], entry["Z"]])
        for entry in scan.centroids
        if "label" in entry
    }


def lines_of(rows: Iterable[RegionScore]) -> list[str]:
    """A table of regions in Markdown."""
    import pandas as pd

    table = pd.DataFrame(
        {
            "region": row.region,
            "vertebrae": str(row.vertebrae),
            "missed": str(row.missed),
            "false": str(row.false),
            "identified": f"{row.identified:.1f} %",
            "distance, mm": f"{row.distance_mm:.2f}",
            "Dice": f"{row.dice:.3f}",
            "surface, mm": f"{row.surface_mm:.2f}",
            "Hausdorff 95, mm": f"{row.hausdorff95_mm:.2f}",
        }
        for row in rows
    )
    return markdown_lines(table)


def _methods(weights: Sequence[str] | None, goal: Goal = Goal.segment) -> list[ScanMethod]:
    return load_methods(goal.value, tuple(weights or ()), "cpu", given=False)


@app.command()
def phantoms(count: Count = 40, cut: bool = False, seed: int = SEED, weights: Weights = None) -> None:
    """Scores phantom scans."""
    methods, scores, seconds = _methods(weights), [], []
    for number in range(count):
        scan = phantom(number, cut, seed)
        start = time.perf_counter()
        found = read(scan.ct, f"phantom {number}", methods)
        seconds.append(time.perf_counter() - start)
        own = compared(found, true_places(scan), scan.labels)
        scores += own
        right = sum(score.identified for score in own)
        print(
            f"{number}: {right} of {sum(s.labelled for s in own)} identified, "
            f"flags {', '.join(found.flags) or 'none'} {found.failure or ''}",
            flush=True,
        )
    print("\n".join(lines_of(by_region(scores, region_of))))
    print(f"{count} scans{', cut at random' if cut else ''}: {np.median(seconds):.1f} s a scan (median)")


def _places(scan: Path, image: Volume, truth: Volume, centroids: Path | None) -> dict[int, Array]:
    """Given centroids, or the middles of the bodies of the label map."""
    if centroids is not None:
        return dict(read_centroids(centroids, truth))
    return dict(LabelledScan.of(scan.name, image, truth).centroids)


@app.command()
def patient(
    scan: Path,
    labels: Path,
    centroids: Path | None = None,
    goal: Annotated[Goal, typer.Option(help="What makes the masks.")] = Goal.segment,
    weights: Weights = None,
) -> None:
    """Scores a patient's scan, vertebra by vertebra; truth from the label map, or centroids beside it."""
    image, truth = read_scan(scan, "ct"), read_scan(labels, "label")
    places = _places(scan, image, truth, centroids)
    start = time.perf_counter()
    found = read(image, scan.name, _methods(weights, goal))
    seconds = time.perf_counter() - start
    scores = compared(found, places, truth)
    middles = mask_middles(truth.data, truth.affine)
    print("\n".join(lines_of(by_region(scores, level_name))))
    own = dict(zip(found.labels.tolist(), found.centroids, strict=True))
    apart = {k: float(np.linalg.norm(own[k] - middles[k])) for k in middles if k in own}
    print("to the middle of the mask, mm:", {level_name(k): round(mm, 1) for k, mm in apart.items()})
    print("to the nearest place found, whatever its name:", ", ".join(_nearest(own, places)))
    print("as if each vertebra found bore the name of the true one that it lies at:")
    print("\n".join(lines_of(by_region(compared(renamed(found, places), places, truth), level_name))))
    print(f"{seconds:.1f} s; flags {', '.join(found.flags) or 'none'}; {found.failure or 'no failure'}")


def renamed(found: VertebraSet, places: dict[int, Array]) -> VertebraSet:
    """What was found under the names of the true vertebrae that it lies at, so that a whole column that is named one
    level off can be scored; of two at the same one the closer, none farther than `RADIUS_MM`."""
    levels, true = list(places), np.array(list(places.values())).reshape(-1, 3)
    apart = np.linalg.norm(found.centroids[:, None] - true, axis=-1)
    names, kept = {}, {}
    for row, label in enumerate(found.labels.tolist()):
        nearest = int(apart[row].argmin())
        if apart[row, nearest] <= RADIUS_MM and apart[:, nearest].argmin() == row:
            names[label], kept[levels[nearest]] = levels[nearest], found.centroids[row]
    moved = vertebra_set(found.scan_id, kept)
    if found.masks is None:
        return moved
    table = np.zeros(256, np.uint8)
    for label, level in names.items():
        table[label] = level
    masks = Volume(table[found.masks.data], found.masks.affine, "label")
    return moved.with_(masks=masks)


def _nearest(found: dict[int, Array], places: dict[int, Array]) -> list[str]:
    """For each true vertebra the nearest place that was found: mm, and the name that it has there."""
    lines = []
    for level, place in places.items():
        apart = {name: float(np.linalg.norm(own - place)) for name, own in found.items()}
        if apart:
            name = min(apart, key=lambda one: apart[one])
            lines.append(f"{level_name(level)} {apart[name]:.1f} mm ({level_name(name)})")
    return lines


@app.command()
def given(
    goal: Goal, scan: Path, labels: Path, centroids: Path | None = None, weights: Weights = None
) -> None:
    """Scores masks that start from true centroids: of the segmentation ("segment") or of the template ("fit")."""
    image, truth = read_scan(scan, "ct"), read_scan(labels, "label")
    places = _places(scan, image, truth, centroids)
    methods = load_methods(goal.value, tuple(weights or ()), "cpu", given=True)
    start = time.perf_counter()
    found = read(image, scan.name, methods, from_places(scan.name, places))
    seconds = time.perf_counter() - start
    print("\n".join(lines_of(by_region(compared(found, places, truth), level_name))))
    print(f"{seconds:.1f} s")


@app.command()
def angles(count: Count = 20, solver: str = "vertebra_field", weights: Weights = None) -> None:
    """Compares the coronal Cobb angle of the endplates, of a film of the scan, and of the phantom."""
    methods, measurer, rows = _methods(weights), load_single(solver, "cpu"), []
    settings = ScanSettings(spacing=(1.0, 1.0, 1.5), thickness=1.5)
    for number in range(count):
        person = draw_person(SEED + number, "patients", cobb=float(10 + 50 * number / max(count - 1, 1)))
        scan = take_scan(person, settings, number)
        found = read(scan.ct, f"phantom {number}", methods)
        spine_y = float(found.centroids[:, 1].mean()) if len(found.labels) else None
        film = film_of(scan.ct, f"phantom {number}", spine_y)
        spine = build_person(person, spine_only=True)
        truth = film_truth(spine.pose, spine.points, _camera(film)).clinical.degrees[0]
        measured = measurer.measure([film.radiograph], "clinical")[0].angles
        in_scan = measure_spine(found).clinical if len(found.labels) else None
        rows.append([
            truth,
            np.nan if in_scan is None else in_scan.degrees[0],
            np.nan if measured is None else measured.degrees[0],
        ])  # fmt: skip
        print(number, np.round(rows[-1], 1), flush=True)
    table = np.array(rows, np.float64)
    for name, column in (("endplates in 3D", 1), (f"film, {solver}", 2)):
        error = np.abs(table[:, column] - table[:, 0])
        print(f"{name}: MAE {np.nanmean(error):.2f} degrees, worst {np.nanmax(error):.1f}, "
              f"unanswered {int(np.isnan(error).sum())} of {count}")  # fmt: skip


def _camera(film: Film) -> ConeBeam:
    return ConeBeam(film.radiograph.size, film.box, "AP", DISTANCE_MM, GAP_MM, film.plane)


if __name__ == "__main__":
    app()
