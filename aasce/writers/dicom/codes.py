"""Coded terms of the DICOM outputs.

Vertebrae and discs: SNOMED CT as listed in PS3.16 CID 7602 "Vertebral Anatomic Structure", from pydicom's copy of
the context groups (`pydicom.sr.codedict`). The Cobb angle: PS3.16 CID 7550. What has no public code is of the
scheme `SCHEME`, which each report declares.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

from aasce.types import VERTEBRAE, Definition

if TYPE_CHECKING:
    from pydicom.sr.coding import Code

SCHEME = "99AASCE"
SCHEME_NAME = "aasce coding scheme"

DEFINITIONS: Mapping[Definition, tuple[str, str]] = {
    "challenge": ("DEF-CHALLENGE", "Cobb angle by AASCE 2019 challenge"),
    "clinical": ("DEF-CLINICAL", "Cobb angle by end vertebrae from apex"),
}
"""Definition of the angles to code value and meaning of the method."""

_SEVERITIES = {"mild": "Mild", "moderate": "Moderate", "severe": "Severe"}


def own(value: str, meaning: str) -> Code:
    """A code of the kit's own scheme; a meaning has at most 64 characters (PS3.5, LO)."""
    from pydicom.sr.coding import Code

    return Code(value, SCHEME, meaning)


@cache
def vertebra(level: str) -> Code | None:
    """SNOMED CT code of "T1" to "L5"; None for a level that the challenge does not name."""
    from pydicom.sr.codedict import codes

    return getattr(codes.cid7602, f"{level}Vertebra") if level in VERTEBRAE else None


@cache
def apex(name: str) -> Code | None:
    """Code of an apical vertebra ("T8") or disc ("T11-12", "L1-2", "T12-L1"); None where it has none."""
    from pydicom.sr.codedict import codes

    upper, _, lower = name.partition("-")
    if not lower:
        return vertebra(name)
    lower = lower if lower[0] in "TL" else upper[0] + lower
    return getattr(codes.cid7602, f"{upper}{lower}Disc") if {upper, lower} <= set(VERTEBRAE) else None


def severity(name: str) -> Code:
    """Code of a severity as `aasce.geometry.description.Curve` names it."""
    from pydicom.sr.codedict import codes

    return (
        getattr(codes.SCT, _SEVERITIES[name]) if name in _SEVERITIES else own("UNDER-10", "Under 10 degrees")
    )


def side(name: str) -> Code:
    """Code of the patient's "left" or "right"."""
    from pydicom.sr.codedict import codes

    found: Code = codes.SCT.Left if name == "left" else codes.SCT.Right
    return found


def method(definition: Definition) -> Code:
    """The definition of the angles as a measurement method."""
    return own(*DEFINITIONS[definition])


def procedure() -> Code:
    """The procedure that a report is about."""
    from pydicom.sr.coding import Code

    return Code("168537006", "SCT", "Plain radiography")
