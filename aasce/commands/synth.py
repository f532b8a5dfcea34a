"""`aasce synth`: rendered films (and scans) in the challenge's own layout, with everything known of them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from aasce.commands.progress import progress
from aasce.files import atomic_write, write_text
from aasce.geometry.cobb import cobb_angles
from aasce.types import AasceError, Array, CobbAngles

PLAN_FILE = "synth.json"
PART = "training"


@dataclass(frozen=True, slots=True)
class SynthPlan:
    """What to render.

    Attributes:
        count: number of films.
        out: folder of films, labels and truth.
        seed: of the first film; film k has seed + k, so that a larger set goes on where a smaller one ended.
        rows: height of a film in px.
        population: who is drawn, see `aasce.phantom.person.draw_person`.
        frame: "whole" (head to hips), "trunk" (as the challenge's training films), None for both in turn.
        cobb: nominal major Cobb angle of everyone in degrees, None to draw it.
        curve: curve type of everyone, None to draw it.
        scans: a CT scan and its label scan with every film.
        workers: processes.
    """

    count: int
    out: Path
    seed: int = 0
    rows: int = 1024
    population: str = "patients"
    frame: str | None = None
    scans: bool = False
    workers: int = 1
    cobb: float | None = None
    curve: str | None = None

    def identity(self) -> dict[str, Any]:
        """What two runs must share to go on from one another."""
        names = ("seed", "rows", "population", "frame", "cobb", "curve")
        return {name: getattr(self, name) for name in names}


def synth(plan: SynthPlan) -> int:
    """Renders what is missing, then writes the label files of all; returns how many films were rendered now.

    Raises:
        AasceError: wrong number or size, a folder begun with other settings, a folder that cannot be written.
    """
    check(plan)
    begin(plan)
    seeds = range(plan.seed, plan.seed + plan.count)
    missing = [seed for seed in seeds if not finished(plan, seed)]
    for _ in progress(_rendered(plan, missing), len(missing), "rendering"):
        pass
    write_labels(plan, [film_name(seed) for seed in seeds])
    return len(missing)


def check(plan: SynthPlan) -> None:
    """Raises AasceError for numbers that make no film."""
    from aasce.phantom.person import POPULATIONS
    from aasce.phantom.spine.curves import check_cobb, check_curve

    if plan.count < 1:
        raise AasceError(f"--n {plan.count}: render at least one film")
    if not 128 <= plan.rows <= 4096:
        raise AasceError(f"--rows {plan.rows}: a film has 128 to 4096 rows")
    if plan.population not in POPULATIONS:
        raise AasceError(f"--population {plan.population}: is one of {', '.join(POPULATIONS)}")
    if plan.cobb is not None:
        check_cobb(plan.cobb)
    if plan.curve is not None:
        check_curve(plan.curve)


def begin(plan: SynthPlan) -> None:
    """Writes the plan into the folder, or checks that the one there is the same."""
    path = plan.out / PLAN_FILE
    if not path.exists():
        write_text(path, json.dumps(plan.identity(), indent=1) + "\n")
        return
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AasceError(f"{path}: not readable ({type(error).__name__}); choose another --out") from error
    if found != plan.identity():
        raise AasceError(f"{path}: these films were begun with other settings {found}; choose another --out")


def film_name(seed: int) -> str:
    """Name of a rendered film; each is a patient of its own."""
    return f"rendered-{seed:06d}"


def finished(plan: SynthPlan, seed: int) -> bool:
    """Whether a film is there with all that goes with it; its record is written last."""
    name = film_name(seed)
    scan = plan.out / "scans" / f"{name}_ct.nii.gz"
    return (plan.out / "truth" / f"{name}.json").is_file() and (not plan.scans or scan.is_file())


def _rendered(plan: SynthPlan, seeds: list[int]) -> Iterator[int]:
    if plan.workers <= 1:
        for seed in seeds:
            yield render_one(plan, seed)
        return
    # A new process for each worker: a forked one inherits torch's threads in an unusable state.
    with ProcessPoolExecutor(plan.workers, get_context("spawn"), _one_thread) as pool:
        jobs = [pool.submit(render_one, plan, seed) for seed in seeds]
        try:
            for job in as_completed(jobs):
                yield job.result()
        except BrokenProcessPool as error:
            raise AasceError(
                f"{plan.out}: a worker was ended from outside (out of memory?); run again with fewer --workers"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def render_one(plan: SynthPlan, seed: int) -> int:
    """Renders one film and writes its files; the record last, which says that the film is whole."""
    from aasce.phantom.films import render_film
    from aasce.phantom.truth import vertebra_masks

    name = film_name(seed)
    frame: Any = plan.frame
    film = render_film(seed, plan.rows, plan.population, frame, plan.cobb, plan.curve)
    _write_image(plan.out / "data" / PART / f"{name}.jpg", film.pixels)
    masks = vertebra_masks(film.phantom, film.framing.camera())
    _write_image(plan.out / "masks" / f"{name}.png", masks)
    _write_mat(plan.out / "labels" / PART / f"{name}.jpg.mat", film.truth.landmarks)
    if plan.scans:
        write_scans(plan.out / "scans", name, film.person, seed)
    write_text(plan.out / "truth" / f"{name}.json", json.dumps(record(film)) + "\n")
    return seed


def record(film: Any) -> dict[str, Any]:
    """The whole truth of a film, and the numbers it was drawn with, as plain JSON.

    `angles` are those of the exact landmarks, `angles_of_whole_pixels` those of the .mat file, as the challenge's own
    labels are.
    """
    truth = film.truth
    marked, rows = whole_pixels(truth.landmarks), truth.size[0]
    of_mat = {"challenge": cobb_angles(marked, rows), "clinical": cobb_angles(marked, rows, "clinical")}
    return {
        "size": list(truth.size),
        "landmarks": _rounded(truth.landmarks, 3),
        "points_mm": _rounded(truth.points, 3),
        "centreline": _rounded(truth.centreline, 2),
        "boxes": _rounded(truth.boxes, 2),
        "centroids_mm": _rounded(truth.centroids, 3),
        "angles": {"challenge": _angles(truth.challenge), "clinical": _angles(truth.clinical)},
        "angles_of_whole_pixels": {name: _angles(angles) for name, angles in of_mat.items()},
        "maximum_curvature": asdict(truth.space),
        "person": film.person.model_dump(mode="json"),
        "framing": film.framing.model_dump(mode="json"),
        "appearance": film.appearance.model_dump(mode="json"),
    }


def _angles(angles: CobbAngles) -> dict[str, Any]:
    ends = [None if pair is None else [int(pair[0]), int(pair[1])] for pair in angles.end_vertebrae]
    return {"degrees": _rounded(np.asarray(angles.degrees), 4), "end_vertebrae": ends}


def _rounded(values: Array, digits: int) -> Any:
    return np.round(np.asarray(values, dtype=np.float64), digits).tolist()


def _write_image(path: Path, pixels: Array) -> None:
    """Writes one grey image as JPEG or PNG, by its name, whole or not at all."""
    import cv2

    with atomic_write(path) as temporary:
        # Newer versions warn of a setting that the format does not have.
        settings = [] if path.suffix == ".png" else [cv2.IMWRITE_JPEG_QUALITY, 92]
        good, data = cv2.imencode(path.suffix, pixels, settings)
        if not good:
            raise AasceError(f"{path}: could not be encoded; free memory and run again")
        temporary.write_bytes(data.tobytes())


def whole_pixels(landmarks: Array) -> Array:
    """Landmarks as the challenge's .mat files hold them: whole px, none below 0."""
    return np.rint(landmarks).clip(0, np.iinfo(np.uint16).max)


def _write_mat(path: Path, landmarks: Array) -> None:
    from scipy.io import savemat

    points = whole_pixels(landmarks).astype(np.uint16)
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        savemat(file, {"p2": points.reshape(-1, 2)})


def write_scans(folder: Path, name: str, person: Any, seed: int) -> None:
    """A CT in HU, its vertebra labels with VerSe's numbers, and the centroids, of one person."""
    from aasce.phantom.scans import phantom_scan
    from aasce.readers import write_scan

    scan = phantom_scan(person, seed)
    for suffix, volume in (("seg", scan.labels), ("ct", scan.ct)):
        with atomic_write(folder / f"{name}_{suffix}.nii.gz") as temporary:
            # The temporary name ends in .gz alone, by which no writer would know the format.
            whole = temporary.with_name(temporary.name.removesuffix(".gz") + ".nii.gz")
            write_scan(volume, whole)
            os.replace(whole, temporary)
    write_text(folder / f"{name}_centroids.json", json.dumps(scan.centroids) + "\n")


def write_labels(plan: SynthPlan, names: list[str]) -> None:
    """The challenge's three tables, from the records of the films.

    angles.csv and landmarks.csv are exact; as in the challenge, the latter holds coordinates divided by the film's
    width and height. The .mat files hold whole pixels: their angles, from which the challenge's own angles.csv was
    made and which are up to 1.7 degrees off at 1,024 rows, stand in truth/.
    """
    landmark_rows, angle_rows = [], []
    for name in names:
        known = json.loads((plan.out / "truth" / f"{name}.json").read_text(encoding="utf-8"))
        height, width = known["size"]
        landmarks = np.array(known["landmarks"])
        flat = landmarks.reshape(-1, 2) / (width, height)
        landmark_rows.append(",".join(f"{v:.7g}" for v in (*flat[:, 0], *flat[:, 1])))
        angles = known["angles"]["challenge"]["degrees"]
        angle_rows.append(",".join(f"{v:.5g}" for v in angles))
    folder = plan.out / "labels" / PART
    write_text(folder / "filenames.csv", "".join(f"{name}.jpg\n" for name in names))
    write_text(folder / "landmarks.csv", "\n".join(landmark_rows) + "\n")
    write_text(folder / "angles.csv", "\n".join(angle_rows) + "\n")
