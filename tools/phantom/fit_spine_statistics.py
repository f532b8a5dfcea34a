"""Computes statistics of the vertebral keypoints of real CT scans, and compares drawn phantoms with them.

python -m tools.phantom.fit_spine_statistics fit --data $AASCE_DATA      writes aasce/phantom/data/spine_statistics.json
python -m tools.phantom.fit_spine_statistics compare --people 500        compares phantoms with the scans, by level
"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer

from aasce.datasets import data_root
from aasce.phantom.person import draw_person
from aasce.phantom.spine.pose import LEVELS
from aasce.phantom.spine.statistics import DATA, scan_statistics
from aasce.types import Array

MOBILE = LEVELS[:-1]
FARTHEST_PEDICLE_MM = 35.0
app = typer.Typer(add_completion=False)


def keypoints(root: Path) -> tuple[Array, Array]:
    """Middles of the bodies (S, 24, 3) mm, RAS+, and axial rotations (S, 24) degrees from the pedicles.

    Values that a scan does not show are NaN. Pedicles have no level in the file; each is assigned to the nearest body.
    """
    table = pd.read_csv(root / "ct" / "vid_keypoints" / "keypoints.csv.gz")
    points = table[["x_mm", "y_mm", "z_mm"]].to_numpy() * (-1.0, -1.0, 1.0)
    table["x"], table["y"], table["z"] = points.T
    place = {level: index for index, level in enumerate(MOBILE)}
    scans = table.scan.nunique()
    bodies, axial = np.full((scans, 24, 3), np.nan), np.full((scans, 24), np.nan)
    for scan, (_, rows) in enumerate(table.groupby("scan", sort=True)):
        sides = [rows[rows.point == side][["x", "y", "z"]].to_numpy() for side in ("left", "right")]
        for row in rows[(rows.point == "body") & rows.level.isin(place)].itertuples():
            body = np.array([row.x, row.y, row.z], dtype=float)
            index = place[str(row.level)]
            bodies[scan, index] = body
            if not all(len(side) for side in sides):
                continue
            near = [side[np.linalg.norm(side - body, axis=1).argmin()] for side in sides]
            if max(np.linalg.norm(pedicle - body) for pedicle in near) < FARTHEST_PEDICLE_MM:
                across = near[1] - near[0]
                axial[scan, index] = np.degrees(np.arctan2(across[1], across[0]))
    return bodies, axial


def summarise(bodies: Array, axial: Array) -> dict[str, object]:
    """Means and standard deviations by level; those of rotations by quantiles, as a few scans are mislabelled."""
    steps = bodies[:, :-1] - bodies[:, 1:]
    spacing = np.linalg.norm(steps, axis=2)
    sagittal = np.degrees(np.arctan2(steps[..., 1], steps[..., 2]))
    own = axial - np.nanmedian(axial, axis=1, keepdims=True)
    correlation = pd.DataFrame(np.log(spacing)).corr(min_periods=40).to_numpy()
    far = correlation[np.triu_indices(23, 4)]
    lags = pd.DataFrame(sagittal).corr(min_periods=40).to_numpy()
    reach = next(lag for lag in range(2, 12) if np.nanmean(np.diag(lags, lag)) < 0.1)
    low, high = np.nanpercentile(own, [15.87, 84.13], axis=0)
    return {
        "source": "Buergin, Prevost, Stollenga: vertebral keypoints of 1,947 CT scans, CC BY-SA 4.0",
        "segments": [f"{a}-{b}" for a, b in pairwise(MOBILE)],
        "count": (~np.isnan(spacing)).sum(0).tolist(),
        "spacing_mean": np.nanmean(spacing, 0).round(2).tolist(),
        "spacing_sd": np.nanstd(spacing, 0, ddof=1).round(2).tolist(),
        "sagittal_mean": np.nanmean(sagittal, 0).round(1).tolist(),
        "sagittal_sd": np.nanstd(sagittal, 0, ddof=1).round(1).tolist(),
        "axial_sd": np.clip((high - low) / 2, 1.0, 6.0).round(1).tolist(),
        "shared": round(float(np.nanmean(far)), 2),
        "reach": reach,
    }


@app.command()
def fit(data: Annotated[Path | None, typer.Option()] = None) -> None:
    """Reads the keypoints and writes their statistics."""
    DATA.parent.mkdir(exist_ok=True)
    DATA.write_text(json.dumps(summarise(*keypoints(data_root(data))), indent=1) + "\n")


@app.command()
def compare(people: int = 500, seed: int = 0) -> None:
    """Prints spacing and sagittal tilt of the scans and of drawn adults, by level."""
    real = scan_statistics()
    drawn = [draw_person(seed + k, population="adults").pose() for k in range(people)]
    centres = np.stack([pose.centre.numpy() for pose in drawn])
    steps = centres[:, :-1] - centres[:, 1:]
    spacing = np.linalg.norm(steps, axis=2)
    lean = np.degrees(np.arctan2(steps[..., 1], steps[..., 2]))
    print("segment  scans  spacing mm (sd)   phantom (sd)    lean degrees (sd)  phantom (sd)")
    for k, (upper, lower) in enumerate(pairwise(MOBILE)):
        print(
            f"{upper:>3}-{lower:<3} {real.count[k]:6d}   {real.spacing_mean[k]:5.1f} ({real.spacing_sd[k]:4.2f})"
            f"     {spacing[:, k].mean():5.1f} ({spacing[:, k].std(ddof=1):4.2f})"
            f"    {real.sagittal_mean[k]:6.1f} ({real.sagittal_sd[k]:4.1f})"
            f"     {lean[:, k].mean():6.1f} ({lean[:, k].std(ddof=1):4.1f})"
        )


if __name__ == "__main__":
    app()
