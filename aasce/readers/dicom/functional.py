"""Enhanced multi-frame objects keep a frame's properties in functional groups (PS3.3 C.7.6.16): found there too."""

from __future__ import annotations

from typing import Any

_LEFT_OUT = (0x52009229, 0x52009230, 0x7FE00010)  # the groups themselves and the pixels
_GROUPS = (
    "PixelMeasuresSequence",
    "FrameVOILUTSequence",
    "PixelValueTransformationSequence",
    "FrameAnatomySequence",
    "XRayFieldOfViewSequence",
    "FrameShutterSequence",
    "FramePixelShiftSequence",
)


def with_frame(dataset: Any, frame: int) -> Any:
    """A copy of a dataset with what one frame's functional groups say, where the dataset itself says nothing.

    Args:
        dataset: pydicom's.
        frame: number of the frame, from 1.
    """
    shared = list(dataset.get("SharedFunctionalGroupsSequence") or ())[:1]
    own = list(dataset.get("PerFrameFunctionalGroupsSequence") or ())[frame - 1 : frame]
    if not shared and not own:
        return dataset
    import pydicom

    one = pydicom.Dataset({tag: dataset.get_item(tag) for tag in dataset.keys() if tag not in _LEFT_OUT})  # noqa: SIM118
    one.file_meta = getattr(dataset, "file_meta", None) or pydicom.dataset.FileMetaDataset()
    for groups in (*own, *shared):
        for keyword in _GROUPS:
            for item in list(groups.get(keyword) or ())[:1]:
                for element in item:
                    if element.tag not in one:
                        one[element.tag] = element
    return one
