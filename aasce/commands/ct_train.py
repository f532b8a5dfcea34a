"""`aasce ct train`: phantoms or labelled scans to a trained method for scans."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aasce.api import check_device
from aasce.commands.progress import progress
from aasce.config import dump_settings, load_settings
from aasce.ct.base import ScanMethod, TrainingScan
from aasce.ct.registry import method_class
from aasce.files import write_text
from aasce.readers.centroids import read_centroids
from aasce.readers.scans import ITK_SUFFIXES, NIFTI_SUFFIXES, read_scan
from aasce.solvers.base import CONFIG_FILE, FitReport, RunFolder, RunState, read_state, write_state
from aasce.types import AasceError
from aasce.weights.scans import resolve_scan
from aasce.writers import provenance

if TYPE_CHECKING:
    from aasce.ct.shared.labelled import LabelledScan

DATA_FILE = "data.json"
SUFFIXES = (*NIFTI_SUFFIXES, *ITK_SUFFIXES)
MASK_MARKS = ("_seg-vert_msk", "_seg", "_msk", "_labels", "_truth")
"""How a label map's name ends, before its suffix; that of its scan ends in "_ct" or in nothing more."""
PHANTOMS = "phantoms"


@dataclass(frozen=True, slots=True)
class ScanTrainOptions:
    """What the user asks for.

    Attributes:
        method: a name of the registry.
        out: run folder.
        config: YAML of settings, None for the defaults.
        overrides: "key=value" over them.
        data: folder of packed phantoms or of labelled scans, None packs phantoms.
        validation: share of the scans held back to choose weights by; those of one person stay together.
        phantoms: persons to pack where no data is named.
        seed: None keeps the settings' one.
        device: "auto", "cpu", "cuda", "mps".
        resume: go on where an interrupted run stopped.
        start: run folder or released name of weights to go on from.
    """

    method: str
    out: Path
    config: Path | None = None
    overrides: tuple[str, ...] = ()
    data: Path | None = None
    validation: float = 0.1
    phantoms: int = 40
    seed: int | None = None
    device: str = "auto"
    resume: bool = False
    start: str | None = None


def train(options: ScanTrainOptions) -> FitReport:
    """Trains a method and writes its run folder.

    Raises:
        AasceError: unknown method, wrong settings, a method that is not trained, no usable data, no weights to start
            from, or a run folder in use.
    """
    cls = method_class(options.method)
    if not cls.trains:
        raise AasceError(
            f"--method {options.method}: is fitted to each scan and not trained; use 'aasce ct fit'"
        )
    seed = () if options.seed is None else (f"seed={options.seed}",)
    config = load_settings(cls.Config, options.config, (*options.overrides, *seed))
    check_device(options.device)
    if not 0 <= options.validation < 1:
        raise AasceError(f"--validation {options.validation}: is a share of the scans, from 0 to below 1")
    begin = None if options.start is None else resolve_scan(options.start)
    scans = read_training_scans(options, config.seed)
    parts = split(scans, options.validation)
    make: Any = cls  # every class takes settings and a device, see `ScanMethod`
    method: ScanMethod = make(config, device=options.device)
    if begin is not None:
        method.start_from(begin)
    facts = _facts(options, *parts)
    _open(options, dump_settings(config), facts)
    report = method.fit(parts[0], parts[1] or None, RunFolder(options.out, options.device, options.resume))
    method.save(options.out)
    _record(options.out, facts, report)
    return report


def read_training_scans(options: ScanTrainOptions, seed: int) -> list[TrainingScan]:
    """The scans of a folder: packed phantoms, or scans with their label maps; without one, phantoms packed now.

    Raises:
        AasceError: the folder holds neither, or a file that cannot be read.
    """
    from aasce.ct.shared.samples import pack_phantoms, read_scan_set

    if options.data is None:
        folder = options.out / PHANTOMS
        print(f"no data named: training on {options.phantoms} phantoms packed into {folder}", file=sys.stderr)
        for number in progress(range(1, options.phantoms + 1), options.phantoms, "packing"):
            pack_phantoms(folder, number, seed * 1_000_000)
        return read_scan_set(folder, seed=seed)
    if not options.data.is_dir():
        raise AasceError(
            f"--data {options.data}: no such folder; name one of packed phantoms or labelled scans"
        )
    if any(options.data.glob("phantom_*.npz")):
        return read_scan_set(options.data, seed=seed)
    return list(labelled_scans(options.data))


def labelled_scans(folder: Path) -> Iterator[LabelledScan]:
    """Scans with their label maps, by name, from a folder and those below it.

    `NAME_ct.nii.gz` or `NAME.nii.gz` is a scan, `NAME_seg.nii.gz` (or any of `MASK_MARKS`) its label map with VerSe's
    numbers, and a .json beside it whose name begins with NAME_ its centroids, without which they follow from the masks.

    Raises:
        AasceError: there is none, or one of them cannot be read.
    """
    from aasce.ct.shared.labelled import LabelledScan

    files = [path for path in sorted(folder.rglob("*")) if path.name.lower().endswith(SUFFIXES)]
    masks = {stem: path for path in files if (stem := _masked(path)) is not None}
    pairs = [(path, masks[_stem(path)]) for path in files if _masked(path) is None and _stem(path) in masks]
    if not pairs:
        raise AasceError(
            f"{folder}: holds neither packed phantoms (phantom_*.npz) nor scans with label maps "
            "(NAME_ct.nii.gz and NAME_seg.nii.gz); name another folder"
        )
    for path, mask in progress(pairs, len(pairs), "reading"):
        scan, labels = read_scan(path, "ct"), read_scan(mask, "label")
        notes = sorted(mask.parent.glob(f"{_stem(path)}[_.]*json"))
        centroids = read_centroids(notes[0], scan) if notes else None
        yield LabelledScan.of(_stem(path), scan, labels, centroids)


def _base(path: Path) -> str:
    name = path.name
    for suffix in SUFFIXES:
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name


def _stem(path: Path) -> str:
    return _base(path).removesuffix("_ct")


def _masked(path: Path) -> str | None:
    """The name of the scan that a label map belongs to; None for a scan."""
    base = _base(path)
    return next((base.removesuffix(mark) for mark in MASK_MARKS if base.endswith(mark)), None)


def split(scans: list[TrainingScan], share: float) -> tuple[list[TrainingScan], list[TrainingScan]]:
    """Training and validation part: the last persons validate; several views of one person stay together.

    Raises:
        AasceError: a share is asked for, and there is one person only.
    """
    persons = list(dict.fromkeys(_person(scan) for scan in scans))
    count = round(share * len(persons)) or int(share > 0)
    if count >= len(persons):
        raise AasceError(f"--validation {share}: leaves none of {len(persons)} scan to train on; give 0")
    held = set(persons[len(persons) - count :])
    return (
        [scan for scan in scans if _person(scan) not in held],
        [scan for scan in scans if _person(scan) in held],
    )


def _person(scan: TrainingScan) -> str:
    return scan.scan_id.partition("_view")[0]


def _facts(
    options: ScanTrainOptions, training: list[TrainingScan], validation: list[TrainingScan]
) -> dict[str, Any]:
    """What two calls must share to go on from one another, besides the settings."""
    data = "packed phantoms" if options.data is None else options.data.name
    start = {} if options.start is None else {"start": options.start}
    return {
        "data": f"{len(training)} scans of {data}",
        "training": [scan.scan_id for scan in training],
        "validation": [scan.scan_id for scan in validation],
        **start,
    }


def _open(options: ScanTrainOptions, config: str, facts: dict[str, Any]) -> None:
    """Makes the run folder, or checks that the one there is of the same plan."""
    texts = {CONFIG_FILE: config, DATA_FILE: json.dumps(facts, indent=2, sort_keys=True) + "\n"}
    used = [name for name in texts if (options.out / name).is_file()]
    if used and not options.resume:
        raise AasceError(
            f"{options.out}: holds a run already; go on with --resume, or choose another place with --out"
        )
    for name in used:
        if (options.out / name).read_text(encoding="utf-8") != texts[name]:
            raise AasceError(
                f"{options.out / name}: the run began otherwise; resume with the same settings and data"
            )
    for name, text in texts.items():
        write_text(options.out / name, text)


def _record(folder: Path, facts: dict[str, Any], report: FitReport) -> None:
    """Adds to state.json what the method cannot know."""
    state = read_state(folder)
    training = {
        "data": facts["data"],
        "validation": f"{len(facts['validation'])} scans",
        "epochs": report.epochs,
        "best_epoch": report.best_epoch,
        "best_score": report.best_score,
        "seconds": round(report.seconds, 1),
        "notes": report.notes,
        **provenance(),
    }
    write_state(folder, RunState(state.solver, state.target, state.learned, training))
