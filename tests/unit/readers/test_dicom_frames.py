"""DICOM of several frames: each a film of its own, with its own window and spacing where the file states them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileDataset
from pydicom.uid import JPEG2000Lossless, RLELossless

from aasce.readers import read_film, read_films
from aasce.readers.dicom import read_dicom
from aasce.types import AasceError
from tests.dicom_films import encoded, film, likeness, packed, spine, write

FRAMES = np.stack([spine(64, 48, seed) for seed in (1, 2, 3)])


def several() -> FileDataset:
    dataset = film(FRAMES[0], NumberOfFrames=3)
    dataset.PixelData = FRAMES.tobytes()
    return dataset


def group(**sequences: dict[str, object]) -> pydicom.Dataset:
    groups = pydicom.Dataset()
    for keyword, tags in sequences.items():
        item = pydicom.Dataset()
        for name, value in tags.items():
            setattr(item, name, value)
        setattr(groups, keyword, [item])
    return groups


@pytest.mark.parametrize("packing", ["plain", "rle", "jpeg_2000"])
def test_each_frame_is_a_film(tmp_path: Path, packing: str) -> None:
    dataset = several()
    if packing == "rle":
        dataset.compress(RLELossless)
    elif packing == "jpeg_2000":
        streams = [encoded(frame, "JPEG2000", no_jp2=True) for frame in FRAMES]
        dataset = packed(dataset, JPEG2000Lossless, *streams)
    films = read_films(write(tmp_path, dataset, "run.dcm"))
    assert [(one.film_id, one.frame) for one in films] == [("run#1", 1), ("run#2", 2), ("run#3", 3)]
    for one, frame in zip(films, FRAMES, strict=True):
        assert likeness(one.pixels, frame) > 0.9999


def test_one_frame_of_several_has_to_be_named(tmp_path: Path) -> None:
    path = write(tmp_path, several(), "run.dcm")
    with pytest.raises(AasceError, match=r"holds 3 frames; .*read_films"):
        read_film(path)
    second = read_dicom(path, "run", path.read_bytes(), frame=2)
    assert (second.film_id, second.frame, likeness(second.pixels, FRAMES[1]) > 0.9999) == ("run", 2, True)
    with pytest.raises(AasceError, match="no frame 4; give 1 to 3"):
        read_dicom(path, "run", path.read_bytes(), frame=4)


def test_a_file_of_one_frame_keeps_its_name(tmp_path: Path) -> None:
    for number in (None, 1):
        (one,) = read_films(write(tmp_path, film(FRAMES[0], NumberOfFrames=number), "one.dcm"))
        assert (one.film_id, one.frame) == ("one", None)


def test_frames_that_would_fill_the_memory_are_refused(tmp_path: Path) -> None:
    dataset = several()
    dataset.NumberOfFrames = 100_000
    with pytest.raises(AasceError, match="100000 frames of 48x64 px are too many"):
        read_films(write(tmp_path, dataset))
    dataset.NumberOfFrames = 4
    with pytest.raises(AasceError, match="damaged or cut short"):
        read_films(write(tmp_path, dataset))


def test_functional_groups_say_what_belongs_to_a_frame(tmp_path: Path) -> None:
    dataset = several()
    dataset.SharedFunctionalGroupsSequence = [group(PixelMeasuresSequence={"PixelSpacing": [0.3, 0.3]})]
    windows = [(1300, 2600), (90, 4), (1300, 2600)]
    dataset.PerFrameFunctionalGroupsSequence = [
        group(FrameVOILUTSequence={"WindowCenter": centre, "WindowWidth": width}) for centre, width in windows
    ]
    films = read_films(write(tmp_path, dataset))
    assert [one.flags for one in films] == [(), ("window_ignored",), ()]
    assert [one.spacing for one in films] == [pytest.approx((0.3, 0.3))] * 3
