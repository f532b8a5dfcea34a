"""`aasce ct film`: a scan through the X-ray, measured as a film and in 3D, side by side."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from aasce.api import Single, load_single
from aasce.commands.ct import Methods, ScanOptions, ScanResult, examine
from aasce.commands.staging import staged
from aasce.ct.pipeline import check_scan, scan_id
from aasce.ensemble import Measurement
from aasce.files import atomic_write, write_text
from aasce.readers.scans import read_scan
from aasce.types import AasceError, Array, Radiograph
from aasce.volume import Volume
from aasce.writers.overlay import draw_overlay, save_overlay
from aasce.writers.scans import angles_record

if TYPE_CHECKING:
    from rich.table import Table

    from aasce.xray.camera import ConeBeam

PIXEL_MM = 0.7
"""Size of a pixel in the plane of the spine."""
DISTANCE_MM, GAP_MM = 1830.0, 150.0
"""From the focus to the film, and from the spine to the film: those of upright full-spine films."""
SCAN_MM = 1.25
"""Spacing to which finer scans are brought before rays pass through them."""
KILOVOLTS, ALUMINIUM_MM = 80.0, 3.0
LEAST_PX = 64


@dataclass(frozen=True, slots=True)
class Film:
    """A film of a scan.

    Attributes:
        radiograph: uint8, bone bright, the patient's right on the left.
        mm_per_px: on the film, magnified.
        mm_per_px_spine: in the plane of the spine.
        box: x_min, x_max, z_min, z_max in world mm, of the plane of the spine.
        plane: y of that plane, world mm.
    """

    radiograph: Radiograph
    mm_per_px: float
    mm_per_px_spine: float
    box: tuple[float, float, float, float]
    plane: float


@dataclass(frozen=True, slots=True, eq=False)
class FilmAnswer:
    """One patient's two answers.

    Attributes:
        film: of the scan.
        measured: the film by a solver.
        result: the scan in 3D; None where that failed.
        fault: why, None where it did not.
    """

    film: Film
    measured: Measurement
    result: ScanResult | None
    fault: str | None


def film_of(scan: Volume, name: str, spine_y: float | None = None) -> Film:
    """Takes an AP film of a scan: rays through its HU from the front, then the detector and console of a film.

    Args:
        scan: a CT.
        name: of the film.
        spine_y: world mm of the spine's plane, in which a pixel is `PIXEL_MM`; the scan's middle when None.

    Raises:
        AasceError: the scan shows less than a few cm.
    """
    from aasce.xray.drr import volume_maps
    from aasce.xray.film import develop
    from aasce.xray.transmission import transmission, tungsten_spectrum

    coarse = (
        scan.resample(np.maximum(scan.spacing, SCAN_MM).tolist()) if scan.spacing.min() < SCAN_MM else scan
    )
    camera = _camera(coarse, name, spine_y)
    maps = volume_maps(coarse, camera, SCAN_MM)
    intensity = transmission(maps, tungsten_spectrum(KILOVOLTS, ALUMINIUM_MM))
    pixels = develop(intensity, _appearance(), np.random.default_rng(0), camera.pitch)
    spacing = (camera.pitch, camera.pitch)
    film = Radiograph(name, pixels, spacing=spacing, spacing_source="projected scan")
    return Film(film, camera.pitch, camera.body_pitch, camera.box, camera.plane)


def _camera(scan: Volume, name: str, spine_y: float | None) -> ConeBeam:
    from aasce.xray.camera import ConeBeam

    corners = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
    world = scan.to_world(corners * (np.array(scan.shape) - 1.0))
    low, high = world.min(axis=0), world.max(axis=0)
    size = (round((high[2] - low[2]) / PIXEL_MM), round((high[0] - low[0]) / PIXEL_MM))
    if min(size) < LEAST_PX:
        raise AasceError(
            f"{name}: shows {min(size) * PIXEL_MM:.0f} mm, too little for a film; give the whole scan"
        )
    plane = float((low[1] + high[1]) / 2 if spine_y is None else spine_y)
    box = (float(low[0]), float(high[0]), float(low[2]), float(high[2]))
    return ConeBeam(size, box, "AP", DISTANCE_MM, GAP_MM, plane)


def _appearance() -> Any:
    """A plain film: a usual detector and console, nothing masked, no letters, no losses in storage."""
    from aasce.xray.film import draw_appearance

    drawn = draw_appearance(np.random.default_rng(0), "AP")
    border = drawn.border.model_copy(
        update={"left": 0.0, "right": 0.0, "top": 0.0, "bottom": 0.0, "corners": (0.0,) * 4, "cover": 0.0}
    )
    storage = drawn.storage.model_copy(
        update={
            "vignette": 0.0,
            "streaks": 0.0,
            "dust": 0,
            "scale": 1.0,
            "grain": 0.0,
            "levels": 256,
            "jpeg": 100,
        }
    )
    return drawn.model_copy(update={"border": border, "marks": (), "storage": storage})


def film(path: Path, solver: str, options: ScanOptions) -> FilmAnswer:
    """Takes a film of a scan, measures both, and writes film.png, overlay.jpg and both.json.

    The film is measured also where the scan itself cannot be (no weights, no vertebra located): then one line on stderr
    says why.

    Args:
        path: of the scan.
        solver: released name or run folder of the solver that measures the film.
        options: as for `aasce ct angles`.

    Raises:
        AasceError: the scan or the solver cannot be read, or the files cannot be written.
    """
    measurer = load_single(solver, options.device)
    scan = read_scan(path, options.kind)
    check_scan(scan, str(path))
    result, fault = None, None
    try:
        result = examine(path, Methods(options), options)
    except AasceError as error:
        fault = str(error)
        print(fault, file=sys.stderr)
    spine_y = None if result is None else float(np.mean(result.found.centroids[:, 1]))
    taken = film_of(scan, scan_id(str(path)), spine_y)
    answer = FilmAnswer(taken, _measured(measurer, taken), result, fault)
    with staged(options.out / taken.radiograph.film_id) as folder:
        write_answer(folder, answer)
    return answer


def _measured(measurer: Single, taken: Film) -> Measurement:
    return measurer.measure([taken.radiograph], "clinical")[0]


def write_answer(folder: Path, answer: FilmAnswer) -> None:
    """Writes film.png, overlay.jpg and both.json.

    Raises:
        AasceError: a file cannot be written.
    """
    _write_png(folder / "film.png", answer.film.radiograph.pixels)
    drawn = draw_overlay(answer.film.radiograph, answer.measured.prediction, answer.measured.angles)
    save_overlay(folder / "overlay.jpg", drawn)
    write_text(folder / "both.json", json.dumps(record(answer), indent=1, allow_nan=False) + "\n")


def _write_png(path: Path, pixels: Array) -> None:
    from PIL import Image

    with atomic_write(path) as temporary:
        Image.fromarray(np.asarray(pixels, np.uint8)).save(temporary, format="PNG")


def record(answer: FilmAnswer) -> dict[str, Any]:
    """Both answers as plain JSON; the one in 3D is None where it failed."""
    prediction, angles = answer.measured.prediction, answer.measured.angles
    degrees = None if angles is None else [round(float(v), 2) for v in angles.degrees]
    result = answer.result
    return {
        "film": {
            "name": answer.film.radiograph.film_id,
            "mm_per_px": round(answer.film.mm_per_px, 5),
            "mm_per_px_spine": round(answer.film.mm_per_px_spine, 5),
            "solver": prediction.solver,
            "definition": "clinical",
            "degrees": degrees,
            "failure": answer.measured.failure,
            "flags": list(prediction.flags),
        },
        "scan": None if result is None else angles_record(result.found, result.angles),
        "scan_failure": answer.fault,
    }


def both_table(answer: FilmAnswer) -> Table:
    """The two answers side by side for the terminal."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD)
    for heading in ("measured on", "first", "second", "third", "remarks"):
        table.add_column(heading, overflow="fold")
    film_cells = _cells(answer.measured.angles)
    remark = answer.measured.failure or ", ".join(answer.measured.prediction.flags)
    table.add_row(f"film, {answer.measured.prediction.solver}", *film_cells, remark)
    result = answer.result
    if result is None:
        table.add_row("scan", "-", "-", "-", "not measured")
        return table
    found = result.found
    source = "centroids" if result.angles.source == "centroids" else "endplates"
    table.add_row(f"scan, {source}", *_cells(result.angles.clinical), ", ".join(found.flags))
    return table


def _cells(angles: Any) -> list[str]:
    return ["-"] * 3 if angles is None else [f"{float(v):.1f}°" for v in angles.degrees]
