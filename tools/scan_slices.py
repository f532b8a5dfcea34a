"""Slices of a patient's scan beside those of phantoms at the same levels, to see what gives the phantoms away.

    python tools/scan_slices.py SCAN LABELS OUT [--phantoms FOLDER] [--spacing 1.0] [--count 3] [--seed 0]

Writes one picture for each vertebra that is asked for: axial, coronal and sagittal slices through the middle of the
body, the patient on the left, then phantoms whose grey values are drawn as for training.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from aasce.ct.base import Grid, TrainingScan
from aasce.ct.shared.randomize import RandomizeSettings
from aasce.ct.shared.samples import LabelledScan, PhantomTrainingScan, draw_structures, read_scan_set
from aasce.readers.vertebrae import level_name
from aasce.types import Array

SIDE = 160
WINDOW = (-250.0, 650.0)


def grey(plane: Array, size: int = 320) -> Array:
    """(size, size) uint8 of a plane (A, B) whose second axis points up."""
    low, high = WINDOW
    picture = np.clip((plane.T[::-1] - low) / (high - low), 0, 1) * 255
    return np.asarray(
        Image.fromarray(picture.astype(np.uint8)).resize((size, size), Image.Resampling.NEAREST)
    )


def planes(scan: TrainingScan, label: int, spacing: float, seed: int) -> Array:
    """(3 * size, size) uint8: axial, coronal and sagittal slice through a vertebra's middle."""
    count = int(SIDE / spacing)
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = scan.centroids[label] - (count - 1) / 2 * spacing
    value, labels = scan.sample(Grid((count, count, count), affine), np.random.default_rng(seed))
    middle = count // 2
    found = [
        grey(v)
        for v in (
            value[:, :, middle],
            value[:, middle],
            value[middle],
            labels[middle].astype(np.float32) * 25 - 250,
        )
    ]
    return np.concatenate(found)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("scan", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--phantoms", type=Path)
    parser.add_argument("--spacing", type=float, default=1.0)
    parser.add_argument("--count", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--levels", default="8,14,19,22")
    given = parser.parse_args()
    settings = RandomizeSettings(wide=0.0, thickness_mm=(0.8, 2.5), noise_hu=25.0)
    patient = LabelledScan.read(given.scan, given.labels)
    if given.phantoms:
        phantoms = read_scan_set(given.phantoms, views=1, settings=settings)[: given.count]
    else:
        phantoms = [
            PhantomTrainingScan(draw_structures(given.seed + i), settings) for i in range(given.count)
        ]
    given.out.mkdir(parents=True, exist_ok=True)
    for label in (int(level) for level in given.levels.split(",")):
        if label in patient.centroids:
            columns = [planes(patient, label, given.spacing, 0)]
            columns += [planes(scan, label, given.spacing, given.seed + i) for i, scan in enumerate(phantoms)]
            Image.fromarray(np.concatenate(columns, axis=1)).save(given.out / f"{level_name(label)}.png")


if __name__ == "__main__":
    main()
