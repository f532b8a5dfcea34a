"""`aasce ct locate|segment|fit|angles`: scans to named vertebrae, and the folder of each scan that holds them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from aasce.api import check_device
from aasce.commands.progress import progress
from aasce.commands.staging import staged
from aasce.ct.angles import SpineAngles, measure_spine
from aasce.ct.base import ScanMethod, VertebraSet, vertebra_set
from aasce.ct.pipeline import UPSIDE_DOWN, from_places, read, scan_id, vertebra_flags
from aasce.ct.shared.middles import body_middles
from aasce.files import write_text
from aasce.readers.centroids import read_centroids
from aasce.readers.scans import ITK_SUFFIXES, NIFTI_SUFFIXES, read_scan, write_scan
from aasce.readers.series import is_dicom
from aasce.readers.vertebrae import HEAD_TO_FOOT, level_name
from aasce.types import AasceError
from aasce.volume import Kind, Volume
from aasce.weights.scans import load_scan_method, method_of
from aasce.writers.overlay import save_overlay
from aasce.writers.scan_pictures import coronal_summary, draw_scan
from aasce.writers.scans import (
    ANGLES_FILE,
    LABELS_FILE,
    TABLE_FILE,
    angles_record,
    table_rows,
    write_angles,
    write_centroids,
    write_label_map,
    write_table,
)

if TYPE_CHECKING:
    from rich.table import Table

Task: TypeAlias = Literal["locate", "segment", "fit", "angles"]

LOCATE: tuple[str, ...] = ("spine_localization", "vertebra_localization")
METHODS: dict[Task, tuple[str, ...]] = {
    "locate": LOCATE,
    "segment": (*LOCATE, "vertebra_segmentation"),
    "fit": (*LOCATE, "template"),
    "angles": (*LOCATE, "vertebra_segmentation"),
}
"""The methods of a task, in order; given centroids leave out the first two."""

SUFFIXES = (*NIFTI_SUFFIXES, *ITK_SUFFIXES)
PHANTOM_SPACING_MM = 1.5


@dataclass(frozen=True, slots=True)
class ScanOptions:
    """What the user asks for.

    Attributes:
        task: what to do with each scan.
        out: folder of the results; each scan has one of its own in it.
        centroids: file of the vertebrae's middles to start from, None locates them.
        weights: run folders and released names that take the place of the released weights of their methods.
        device: "cpu", "cuda", "cuda:1", "mps", "auto".
        kind: "ct" takes the numbers as HU, whatever they look like; None lets the file say.
    """

    task: Task
    out: Path
    centroids: Path | None = None
    weights: tuple[str, ...] = ()
    device: str = "cpu"
    kind: Kind | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ScanResult:
    """What was found in one scan.

    Attributes:
        scan: as read.
        found: its vertebrae.
        angles: of its spine.
    """

    scan: Volume
    found: VertebraSet
    angles: SpineAngles


@dataclass(frozen=True, slots=True)
class ScanLine:
    """One scan's line on the terminal."""

    name: str
    levels: str
    coronal: str
    space: str
    flags: str


def load_methods(task: Task, weights: Sequence[str], device: str, given: bool) -> list[ScanMethod]:
    """The methods of a task, ready to predict.

    Args:
        task: which.
        weights: see `ScanOptions`.
        device: see `ScanOptions`.
        given: whether centroids are given, so that nothing has to be located.

    Raises:
        AasceError: weights cannot be found or read, or are of a method that the task does not use.
    """
    check_device(device)
    names = [name for name in METHODS[task] if not (given and name in LOCATE)]
    own = {method_of(folder): folder for folder in weights}
    unused = sorted(set(own) - set(names))
    if unused:
        raise AasceError(
            f"--weights {own[unused[0]]}: of {unused[0]}, which 'aasce ct {task}' does not use here; "
            f"it uses {', '.join(names)}"
        )
    return [load_scan_method(own.get(name, name), device) for name in names]


def find_scans(named: Sequence[Path]) -> list[Path]:
    """The scans that files and folders name: a folder of DICOM slices is one scan, any other one holds scan files.

    Raises:
        AasceError: a folder holds none, or two scans have one name.
    """
    found = [scan for path in named for scan in (_in_folder(path) if path.is_dir() else [path])]
    seen: dict[str, Path] = {}
    for path in found:
        if seen.setdefault(scan_id(str(path)), path) != path:
            raise AasceError(
                f"{path}: {seen[scan_id(str(path))]} has the same name; rename one, or part the call"
            )
    return found


def _in_folder(folder: Path) -> list[Path]:
    files = sorted(path for path in folder.iterdir() if path.is_file())
    scans = [path for path in files if path.name.lower().endswith(SUFFIXES)]
    if any(is_dicom(path) for path in files if path not in scans):
        return [folder]
    if not scans:
        raise AasceError(
            f"{folder}: holds no scan; name NIfTI, MHA or NRRD files, or a folder of DICOM slices"
        )
    return scans


def process(paths: Sequence[Path], options: ScanOptions) -> tuple[list[ScanLine], int]:
    """Does the task on every scan; one that fails leaves a line on stderr, and the others are done all the same.

    Args:
        paths: scans (`find_scans`).
        options: what to do.

    Returns:
        Lines for the terminal, and how many scans failed.

    Raises:
        AasceError: the options do not fit, or weights are missing; nothing has been done then.
    """
    if options.centroids is not None and options.task == "locate":
        raise AasceError("--centroids: are what 'aasce ct locate' finds; leave the option out")
    if options.centroids is not None and len(paths) > 1:
        raise AasceError(f"--centroids {options.centroids}: are those of one scan; name one scan")
    methods = Methods(options)
    if options.task != "angles":
        iter(methods)  # missing weights are told before any scan is read
    lines, failures = [], 0
    for path in progress(paths, len(paths), "scans"):
        try:
            result = examine(path, methods, options)
            with staged(options.out / result.found.scan_id) as folder:
                write_result(folder, result)
            lines.append(line_of(result))
        except AasceError as error:
            print(error, file=sys.stderr)
            failures += 1
        except MemoryError:
            print(f"{path}: does not fit into memory; crop it to the spine, or resample it", file=sys.stderr)
            failures += 1
    return lines, failures


class Methods:
    """The methods of a task, loaded with the first scan that needs them: a label map needs none."""

    def __init__(self, options: ScanOptions) -> None:
        self.options = options
        self._loaded: list[ScanMethod] | None = None

    def __iter__(self) -> Iterator[ScanMethod]:
        if self._loaded is None:
            o = self.options
            self._loaded = load_methods(o.task, o.weights, o.device, o.centroids is not None)
        return iter(self._loaded)


def examine(path: Path, methods: Methods | Sequence[ScanMethod], options: ScanOptions) -> ScanResult:
    """Reads one scan and finds its vertebrae.

    Args:
        path: of the scan; for the task "angles" also of a label map, which is measured as it is.
        methods: of the task.
        options: what to do.

    Raises:
        AasceError: the scan cannot be read or used, or no vertebra is found in it.
    """
    scan = read_scan(path, options.kind)
    if scan.kind == "label" and options.task == "angles":
        return _measured_labels(path, scan)
    start = None
    if options.centroids is not None:
        start = from_places(str(path), read_centroids(options.centroids, scan))
    found = read(scan, str(path), list(methods), start)
    if found.failure is not None:
        remedy = (
            "read upside down it shows a spine: correct its orientation"
            if UPSIDE_DOWN in found.flags
            else "give a CT that shows vertebrae, or --centroids"
        )
        raise AasceError(f"{path}: {found.failure}; {remedy}")
    return ScanResult(scan, found, measure_spine(found))


def _measured_labels(path: Path, labels: Volume) -> ScanResult:
    """What a label map alone says; in its pictures the vertebrae stand in air."""
    if labels.data.min() < 0 or labels.data.max() > 255:
        raise AasceError(f"{path}: its numbers are no labels of VerSe (1 to 26, 28); change them")
    places = {label: place for label, place in body_middles(labels).items() if label in HEAD_TO_FOOT}
    if not places:
        raise AasceError(f"{path}: holds no vertebra of VerSe (1 to 26, 28); check its numbers")
    found = vertebra_set(scan_id(str(path)), places, masks=labels, method="label map")
    grey = Volume(np.where(labels.data > 0, np.float32(500), np.float32(-1000)), labels.affine, "ct")
    return ScanResult(grey, found, measure_spine(found))


def write_result(folder: Path, result: ScanResult) -> None:
    """Writes label map, centroids, table, angles and the two pictures of one scan into a folder.

    Raises:
        AasceError: a file cannot be written.
    """
    scan, found, angles = result.scan, result.found, result.angles
    if found.masks is not None:
        write_label_map(folder / LABELS_FILE, found, scan)
    write_centroids(folder, found, scan)
    write_table(folder / TABLE_FILE, table_rows(found, angles.vertebrae, vertebra_flags(scan, found)))
    write_angles(folder / ANGLES_FILE, angles_record(found, angles))
    save_overlay(folder / "coronal.jpg", draw_scan(scan, found, angles, "coronal"))
    save_overlay(folder / "sagittal.jpg", draw_scan(scan, found, angles, "sagittal"))


def render_phantom(folder: Path, seed: int = 0) -> Path:
    """Renders the scan of a phantom, for calls that name none, with its true labels and centroids beside it.

    Returns:
        The scan's file.

    Raises:
        AasceError: it cannot be written.
    """
    from aasce.phantom.person import draw_person
    from aasce.phantom.scans import phantom_scan

    name = f"phantom-{seed:06d}"
    path = folder / f"{name}.nii.gz"
    if not path.is_file():
        rendered = phantom_scan(draw_person(seed), seed, PHANTOM_SPACING_MM)
        with staged(folder) as place:
            write_scan(rendered.labels, place / f"{name}_truth.nii.gz")
            write_text(place / f"{name}_truth.json", json.dumps(rendered.centroids) + "\n")
            write_scan(rendered.ct, place / path.name)
    return path


def line_of(result: ScanResult) -> ScanLine:
    """What the terminal shows of a scan."""
    found, angles = result.found, result.angles
    labels = found.labels.tolist()
    coronal = "-" if angles.clinical is None else coronal_summary(angles, angles.clinical, (0,))
    space = "-" if angles.space is None else f"{angles.space:.1f}°"
    levels = f"{level_name(labels[0])} to {level_name(labels[-1])} ({len(labels)})"
    return ScanLine(found.scan_id, levels, coronal, space, ", ".join(found.flags))


def scan_table(lines: Sequence[ScanLine]) -> Table:
    """One line a scan for the terminal."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD)
    for heading in ("scan", "vertebrae", "coronal", "in space", "flags"):
        table.add_column(heading, overflow="fold")
    for line in lines:
        table.add_row(line.name, line.levels, line.coronal, line.space, line.flags)
    return table
