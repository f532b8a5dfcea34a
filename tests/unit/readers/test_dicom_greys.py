"""Grey values of DICOM films: windows, tables, raw values, padding and shutter, on a film whose greys are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray

from aasce.readers import read_film
from tests.dicom_films import film, likeness, spine, write

SPINE = spine()


def table(entries: NDArray[Any], count: int, first: int = 0, bits: int = 16) -> pydicom.Dataset:
    item = pydicom.Dataset()
    item.LUTDescriptor = [count, first, bits]
    item.LUTData = entries.tobytes()
    return item


@pytest.mark.parametrize(
    "tags",
    [
        {"WindowCenter": [100, 1300], "WindowWidth": [50, 2600]},
        {"WindowCenter": 3500, "WindowWidth": 800},  # the spine is black
        {"WindowCenter": 1000, "WindowWidth": 1000},  # the spine is white
        {"WindowCenter": 2048, "WindowWidth": 1},
        {"WindowCenter": 1300, "WindowWidth": 0},
        {"WindowCenter": 1300, "WindowWidth": 50, "VOILUTFunction": "SIGMOID"},
        {"WindowCenter": -500, "WindowWidth": 100},  # off the data
        {"WindowCenter": 60000, "WindowWidth": 1000},
        {
            "VOILUTSequence": [table(np.arange(256, dtype=np.uint16) * 257, 256)]
        },  # 256 entries for 4096 values
        {"VOILUTSequence": [table(np.zeros(0, np.uint16), 4096)]},
        {"VOILUTSequence": [table(np.full(4096, 7, np.uint16), 4096)]},
    ],
)
def test_a_window_that_hides_the_spine_is_left_out(tmp_path: Path, tags: dict[str, Any]) -> None:
    read = read_film(write(tmp_path, film(SPINE, **tags)))
    assert "window_ignored" in read.flags
    # As without any window: least 0, greatest 65535.
    whole = SPINE.astype(float) - SPINE.min()
    np.testing.assert_allclose(read.pixels, whole * 65535 / whole.max(), atol=1)


@pytest.mark.parametrize("tags", [{"WindowCenter": "1A"}, {"WindowCenter": 1300}, {"WindowWidth": 500}, {}])
def test_half_a_window_is_none(tmp_path: Path, tags: dict[str, Any]) -> None:
    dataset = film(SPINE)
    with pydicom.config.disable_value_validation():
        for name, value in tags.items():
            dataset.add_new(name, "LO" if value == "1A" else "DS", value)
        read = read_film(write(tmp_path, dataset))
    assert likeness(read.pixels, SPINE) > 0.9999


def test_a_window_that_shows_the_spine_is_kept(tmp_path: Path) -> None:
    # LINEAR: 200 to 2800 by centre 1500.5 and width 2601 (PS3.3 C.11.2.1.2), LINEAR_EXACT by 1500 and 2600.
    expected = np.clip((SPINE.astype(float) - 200) / 2600, 0, None)
    for tags in (
        {"WindowCenter": [1500.5, 90], "WindowWidth": [2601, 10]},
        {"WindowCenter": 1500, "WindowWidth": 2600, "VOILUTFunction": "LINEAR_EXACT"},
    ):
        read = read_film(write(tmp_path, film(SPINE, **tags)))
        assert read.flags == ()
        np.testing.assert_allclose(read.pixels / 65535, expected / expected.max(), atol=1e-4)


def test_a_sigmoid_is_applied(tmp_path: Path) -> None:
    tags = {"WindowCenter": 1300, "WindowWidth": 2000, "VOILUTFunction": "SIGMOID"}
    read = read_film(write(tmp_path, film(SPINE, **tags)))
    shown = 1 / (1 + np.exp(-4 * (SPINE.astype(float) - 1300) / 2000))  # PS3.3 C.11.2.1.3.1
    assert read.flags == ()
    np.testing.assert_allclose(
        read.pixels / 65535, (shown - shown.min()) / (shown.max() - shown.min()), atol=1e-4
    )


@pytest.mark.parametrize("tag", ["VOILUTSequence", "ModalityLUTSequence"])
def test_a_table_shorter_than_it_says_goes_on_with_its_last_entry(tmp_path: Path, tag: str) -> None:
    short = table(np.arange(2500, dtype=np.uint16) * 20, 4096)
    read = read_film(write(tmp_path, film(SPINE, **{tag: [short]})))
    assert read.flags == ("lookup_table_short",)
    expected = np.minimum(SPINE, 2499).astype(float)
    np.testing.assert_allclose(read.pixels / 65535, expected / expected.max(), atol=1e-4)


def test_tables_of_8_bit_lie_packed_or_one_a_word(tmp_path: Path) -> None:
    entries = (np.arange(4096) // 16).astype(np.uint8)
    for stored in (entries, entries.astype(np.uint16)):
        read = read_film(write(tmp_path, film(SPINE, VOILUTSequence=[table(stored, 4096, bits=8)])))
        assert read.flags == ()
        assert likeness(read.pixels, SPINE) > 0.999


def test_a_table_begins_at_a_negative_value(tmp_path: Path) -> None:
    entries = np.arange(4096, dtype=np.uint16)
    tags = {"RescaleIntercept": -2000, "RescaleSlope": 1}
    dataset = film(SPINE, **tags, VOILUTSequence=[table(entries, 4096, 65536 - 2000)])
    read = read_film(write(tmp_path, dataset))
    assert (read.flags, likeness(read.pixels, SPINE)) == ((), pytest.approx(1.0, abs=1e-6))


@pytest.mark.parametrize(
    ("tags", "sign"),
    [
        ({"PresentationLUTShape": "INVERSE"}, -1),
        ({"PresentationLUTShape": "INVERSE", "PhotometricInterpretation": "MONOCHROME1"}, -1),
        ({"PresentationLUTShape": "IDENTITY", "PhotometricInterpretation": "MONOCHROME1"}, -1),
        ({"PresentationLUTShape": "IDENTITY"}, 1),
    ],
)
def test_what_makes_low_values_bright_does_so_once(tmp_path: Path, tags: dict[str, Any], sign: int) -> None:
    read = read_film(write(tmp_path, film(SPINE, **tags)))
    assert likeness(read.pixels, SPINE) == pytest.approx(sign, abs=1e-6)


def test_raw_detector_values_become_attenuation(tmp_path: Path) -> None:
    """A detector counts exp(-attenuation): bone is low, and its logarithm is the film."""
    counts = np.rint(60000 * np.exp(SPINE / -1000.0)).astype(np.uint16)
    raw = {"PresentationIntentType": "FOR PROCESSING", "WindowCenter": 30000, "WindowWidth": 60000}
    for tags in ({}, {"PixelIntensityRelationship": "LIN", "PixelIntensityRelationshipSign": 1}):
        read = read_film(write(tmp_path, film(counts, 16, **raw, **tags)))
        assert read.flags == ("for_processing",)
        assert likeness(read.pixels, SPINE) > 0.9999
    log = (4095 - SPINE).astype(np.uint16)
    tags = {"PixelIntensityRelationship": "LOG", "PixelIntensityRelationshipSign": 1}
    assert likeness(read_film(write(tmp_path, film(log, **raw, **tags))).pixels, SPINE) > 0.9999
    tags["PixelIntensityRelationshipSign"] = -1
    assert likeness(read_film(write(tmp_path, film(SPINE, **raw, **tags))).pixels, SPINE) > 0.9999


def test_padding_is_masked_at_the_border_alone(tmp_path: Path) -> None:
    bone = int(SPINE[200, 90])
    padded = SPINE.copy()
    padded[:, :9] = padded[:, -7:] = bone
    inside = np.zeros(SPINE.shape, dtype=bool)
    inside[:, 9:-7] = True
    padded[100:110, 90:100] = bone  # a patch of bone that is as bright as the padding
    read = read_film(write(tmp_path, film(padded, PixelPaddingValue=bone)))
    assert not read.pixels[~inside].any()
    assert likeness(read.pixels[inside], padded[inside]) > 0.9999
    assert read.pixels[105, 95] > 30000
    ranged = film(padded, PixelPaddingValue=bone + 40, PixelPaddingRangeLimit=bone - 40)
    read = read_film(write(tmp_path, ranged))
    assert not read.pixels[:, :7].any()
    assert likeness(read.pixels[:, 12:-10], padded[:, 12:-10]) > 0.9999


def test_padding_of_signed_pixels_may_be_stated_unsigned(tmp_path: Path) -> None:
    signed = SPINE.astype(np.int16) - 1000
    signed[:6] = 2000
    signed[-6:] = -2000
    dataset = film(signed, 16)
    dataset.add_new("PixelPaddingValue", "US", 65536 - 2000)
    read = read_film(write(tmp_path, dataset))
    assert not read.pixels[-6:].any()
    assert likeness(read.pixels[6:-6], SPINE[6:-6]) > 0.9999


@pytest.mark.parametrize(
    ("tags", "open_at", "shut_at"),
    [
        (
            {
                "ShutterShape": "RECTANGULAR", "ShutterLeftVerticalEdge": 31, "ShutterRightVerticalEdge": 160,
                "ShutterUpperHorizontalEdge": 21, "ShutterLowerHorizontalEdge": 240,
            },
            [(20, 30), (239, 159)],
            [(19, 90), (240, 90), (100, 29), (100, 160)],
        ),
        (
            {"ShutterShape": "CIRCULAR", "CenterOfCircularShutter": [129, 97], "RadiusOfCircularShutter": 90},
            [(128, 96), (128, 186), (38, 96)],
            [(128, 187), (37, 96), (0, 0)],
        ),
        (
            {"ShutterShape": "POLYGONAL", "VerticesOfThePolygonalShutter": [1, 1, 1, 192, 256, 97]},
            [(2, 96), (200, 96), (0, 0)],
            [(255, 0), (255, 191), (200, 10)],
        ),
        (
            {
                "ShutterShape": ["RECTANGULAR", "CIRCULAR"], "ShutterLeftVerticalEdge": 31,
                "ShutterRightVerticalEdge": 160, "ShutterUpperHorizontalEdge": 1, "ShutterLowerHorizontalEdge": 256,
                "CenterOfCircularShutter": [129, 97], "RadiusOfCircularShutter": 120,
            },
            [(128, 30)],
            [(128, 29), (2, 96)],
        ),
    ],
)  # fmt: skip
def test_what_the_shutter_covers_is_dark(
    tmp_path: Path, tags: dict[str, Any], open_at: list[tuple[int, int]], shut_at: list[tuple[int, int]]
) -> None:
    bright = np.maximum(SPINE, 400)
    bright[128, 100] = 300  # the darkest of every exposed field
    for extra in ({}, {"PhotometricInterpretation": "MONOCHROME1"}):
        read = read_film(write(tmp_path, film(bright, **tags, **extra)))
        lit = read.pixels > 0
        assert all(not read.pixels[place] for place in shut_at)
        assert all(lit[place] for place in open_at)
        inside = lit & (SPINE > 400)
        assert abs(likeness(read.pixels[inside], bright[inside])) > 0.9999


def test_a_shutter_that_leaves_nothing_is_a_mistake(tmp_path: Path) -> None:
    tags = {"ShutterShape": "CIRCULAR", "CenterOfCircularShutter": [5000, 5000], "RadiusOfCircularShutter": 3}
    assert likeness(read_film(write(tmp_path, film(SPINE, **tags))).pixels, SPINE) > 0.9999


@pytest.mark.parametrize("kind", ["hot", "letters"])
def test_what_stands_at_the_types_maximum_sets_no_range(tmp_path: Path, kind: str) -> None:
    spoilt = SPINE.copy()
    if kind == "hot":
        places = np.random.default_rng(5).choice(SPINE.size, 300, replace=False)
        spoilt.ravel()[places] = 65535
    else:
        spoilt[4:24, 10:70] = np.where(np.indices((20, 60)).sum(0) % 3 == 0, 65535, 60)
    read = read_film(write(tmp_path, film(spoilt, 16)))
    kept = (spoilt == SPINE) & (SPINE > 300)
    assert likeness(read.pixels[kept], SPINE[kept]) > 0.999
    spread = int(np.percentile(read.pixels[kept], 95)) - int(np.percentile(read.pixels[kept], 5))
    assert spread > 20000  # stretched to the letters it would be 1,700


def test_signed_pixels_are_read_as_such(tmp_path: Path) -> None:
    signed = (SPINE.astype(np.int32) - 1500).astype(np.int16)
    tags = {"WindowCenter": 0, "WindowWidth": 4000}
    read = read_film(write(tmp_path, film(signed, 16, **tags)))
    assert (read.flags, likeness(read.pixels, SPINE)) == ((), pytest.approx(1.0, abs=1e-6))
