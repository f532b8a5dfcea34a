"""The methods for scans: one entry each, read without torch."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from aasce.config import nearest
from aasce.types import AasceError

if TYPE_CHECKING:
    from aasce.ct.base import ScanMethod

PAYER = (
    "Payer, Štern, Bischof, Urschler: Vertebrae Localization and Segmentation with SpatialConfiguration-Net and U-Net, "
    "VerSe 2019"
)


@dataclass(frozen=True, slots=True)
class ScanEntry:
    """One method.

    Attributes:
        name: as `--method` takes it.
        target: its class, "module:Class".
        summary: what it does, in one line.
        citation: its paper.
        trains: whether it needs weights.
    """

    name: str
    target: str
    summary: str
    citation: str
    trains: bool = True


ENTRIES: tuple[ScanEntry, ...] = (
    ScanEntry(
        "spine_localization",
        "aasce.ct.spine_localization.method:SpineLocalization",
        "the centreline of the spine, by a heatmap at 8 mm",
        PAYER,
    ),
    ScanEntry(
        "vertebra_localization",
        "aasce.ct.vertebra_localization.method:VertebraLocalization",
        "names and middles of the vertebrae, by a SpatialConfiguration-Net at 2 mm",
        PAYER,
    ),
    ScanEntry(
        "vertebra_segmentation",
        "aasce.ct.vertebra_segmentation.method:VertebraSegmentation",
        "the mask of each located vertebra, by a U-Net at 1 mm",
        PAYER,
    ),
    ScanEntry(
        "template",
        "aasce.ct.template.method:Template",
        "a deformable template and its appearance, fitted to one scan; no training",
        "Kim, Park: Vertebral Segmentation without Training using Differentiable Appearance Modeling of a Deformable "
        "Spine Template, SPIE Medical Imaging 12926-93, 2024",
        trains=False,
    ),
)


def method_names() -> tuple[str, ...]:
    """All names, in the order of the pipeline."""
    return tuple(entry.name for entry in ENTRIES)


def entry(name: str) -> ScanEntry:
    """The entry of a method.

    Raises:
        AasceError: the name is unknown.
    """
    for candidate in ENTRIES:
        if candidate.name == name:
            return candidate
    names = ", ".join(method_names())
    raise AasceError(f"method {name!r} is unknown{nearest(name, method_names())}; there are {names}")


def method_class(name: str) -> type[ScanMethod]:
    """The class of a method, imported now."""
    module, _, attribute = entry(name).target.partition(":")
    found: type[ScanMethod] = getattr(import_module(module), attribute)
    return found
