"""Numbers and names of vertebrae in scans."""

from __future__ import annotations

from aasce.types import AasceError

VERSE: dict[str, int] = {
    **{f"C{i}": i for i in range(1, 8)},
    **{f"T{i}": 7 + i for i in range(1, 13)},
    **{f"L{i}": 19 + i for i in range(1, 7)},
    "S1": 26,
    "T13": 28,
}
"""Labels of VerSe (Sekuboyina et al. 2021, Med Image Anal 73:102166): C1 1 ... T1 8 ... L1 20, sacrum 26; L6 and T13
are further vertebrae that some persons have."""

HEAD_TO_FOOT: tuple[int, ...] = (*range(1, 20), 28, *range(20, 27))
"""Labels in the order of the spine."""

_NAMES = {number: name for name, number in VERSE.items()}


def level_name(label: int) -> str:
    """Name of a label of VerSe: "T12" for 19.

    Raises:
        AasceError: no vertebra has this label.
    """
    if label not in _NAMES:
        raise AasceError(f"label {label}: no vertebra of VerSe (1 to 26, 28); change the label map's numbers")
    return _NAMES[label]


def region_of(label: int) -> str:
    """ "cervical", "thoracic", "lumbar" or "sacral"."""
    return {"C": "cervical", "T": "thoracic", "L": "lumbar", "S": "sacral"}[level_name(label)[0]]
