"""DICOM films made here: display values, spacing with its source, square pixels, and what is refused."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image, features
from pydicom.encaps import encapsulate
from pydicom.uid import (
    CTImageStorage,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLossless,
    JPEGLSLossless,
    RLELossless,
)

from aasce.readers import film_size, read_film
from aasce.types import AasceError
from tests.dicom_films import film, write

RAMP = (np.arange(64 * 48).reshape(64, 48) % 4096).astype(np.uint16)
FULL = np.rint(RAMP * (65535 / RAMP.max())).astype(np.uint16)  # stretched over 16 bit


def test_a_film_of_12_bit_fills_16(tmp_path: Path) -> None:
    read = read_film(write(tmp_path, film(RAMP), "1.2.840.113"))
    assert (read.film_id, read.pixels.dtype, read.spacing, read.flags) == ("1.2.840.113", np.uint16, None, ())
    np.testing.assert_array_equal(read.pixels, FULL)
    assert film_size(tmp_path / "1.2.840.113") == (64, 48)


def test_a_film_of_8_bit_stays_as_it_is(tmp_path: Path) -> None:
    flat = (RAMP // 16).astype(np.uint8)
    np.testing.assert_array_equal(read_film(write(tmp_path, film(flat, 8))).pixels, flat)
    white_is_zero = film(flat, 8, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(read_film(write(tmp_path, white_is_zero)).pixels, 255 - flat)


def test_monochrome1_is_inverted(tmp_path: Path) -> None:
    read = read_film(write(tmp_path, film(RAMP, PhotometricInterpretation="MONOCHROME1")))
    np.testing.assert_allclose(read.pixels.astype(int), 65535 - FULL.astype(int), atol=1)


def test_the_window_is_applied(tmp_path: Path) -> None:
    # Window 501 to 2571 (PS3.3 C.11.2.1.2): below it dark, above it bright, its middle half way.
    tags = {"WindowCenter": 1536.5, "WindowWidth": 2071}
    middle = np.full_like(RAMP, 1536)
    middle[:, :8], middle[:, -8:] = RAMP[:, :8], RAMP[:, -8:]
    read = read_film(write(tmp_path, film(middle, **tags)))
    assert read.flags == ()
    assert not read.pixels[middle <= 501].any()
    assert (read.pixels[middle > 2571] == 65535).all()
    assert int(read.pixels[32, 24]) == pytest.approx(32767, abs=40)


def test_the_modality_lut_comes_before_the_window(tmp_path: Path) -> None:
    # 2 x stored - 100: the window's middle 2900 is the stored value 1500.
    tags = {"RescaleSlope": 2, "RescaleIntercept": -100, "WindowCenter": 2900.5, "WindowWidth": 5801}
    read = read_film(write(tmp_path, film(RAMP, **tags)))
    shown = int(read.pixels[RAMP == 1500][0]) / 65535
    # Shown from stored 50 (window's foot 0) on; the ramp starts at 0, shown as dark as 50.
    assert (read.flags, shown) == ((), pytest.approx(1450 / 2900, abs=0.001))


def test_a_voi_lut_is_applied(tmp_path: Path) -> None:
    table = pydicom.Dataset()
    table.LUTDescriptor = [4096, 0, 12]
    table.LUTData = np.arange(4095, -1, -1, dtype=np.uint16).tobytes()  # a table that turns the film round
    read = read_film(write(tmp_path, film(RAMP, VOILUTSequence=[table])))
    np.testing.assert_allclose(read.pixels.astype(int), 65535 - FULL.astype(int), atol=1)


def test_padding_is_dark_whatever_number_stands_there(tmp_path: Path) -> None:
    pixels = (RAMP % 3000 + 100).astype(np.uint16)
    pixels[:, :5] = 4000
    read = read_film(write(tmp_path, film(pixels, PixelPaddingValue=4000)))
    assert not read.pixels[:, :5].any()
    assert read.pixels.max() == 65535
    assert read.pixels[pixels == 100].max() == 0


def test_signed_pixels_and_a_constant_film(tmp_path: Path) -> None:
    signed = (RAMP.astype(np.int16) - 2000).astype(np.int16)
    np.testing.assert_array_equal(read_film(write(tmp_path, film(signed, 16))).pixels, FULL)
    assert not read_film(write(tmp_path, film(np.full((64, 48), 700, np.uint16)))).pixels.any()


@pytest.mark.parametrize(
    ("tags", "spacing", "source"),
    [
        ({"PixelSpacing": [0.2, 0.2], "ImagerPixelSpacing": [0.3, 0.3]}, 0.2, "PixelSpacing"),
        ({"ImagerPixelSpacing": [0.3, 0.3]}, 0.3, "ImagerPixelSpacing"),
        (
            {"ImagerPixelSpacing": [0.3, 0.3], "EstimatedRadiographicMagnificationFactor": 1.2},
            0.25,
            "ImagerPixelSpacing/EstimatedRadiographicMagnificationFactor",
        ),
        ({"NominalScannedPixelSpacing": [0.175, 0.175]}, 0.175, "NominalScannedPixelSpacing"),
        ({"PixelSpacing": [0.0, 0.0], "ImagerPixelSpacing": [0.3, 0.3]}, 0.3, "ImagerPixelSpacing"),
        ({"PixelAspectRatio": [1, 1]}, None, None),
    ],
)
def test_spacing_and_the_tag_it_came_from(
    tmp_path: Path, tags: dict[str, Any], spacing: float | None, source: str | None
) -> None:
    read = read_film(write(tmp_path, film(RAMP, **tags)))
    assert read.spacing == (None if spacing is None else pytest.approx((spacing, spacing)))
    assert read.spacing_source == source
    assert read.flags == ()


@pytest.mark.parametrize(
    ("tags", "size", "spacing"),
    [
        ({"PixelSpacing": [0.4, 0.2]}, (128, 48), (0.2, 0.2)),
        ({"ImagerPixelSpacing": [0.2, 0.3]}, (64, 72), (0.2, 0.2)),
        ({"PixelAspectRatio": [2, 1]}, (128, 48), None),
    ],
)
def test_pixels_that_are_not_square_are_made_so(
    tmp_path: Path, tags: dict[str, Any], size: tuple[int, int], spacing: tuple[float, float] | None
) -> None:
    read = read_film(write(tmp_path, film(RAMP, **tags)))
    assert read.size == size
    assert read.spacing == (None if spacing is None else pytest.approx(spacing))
    assert read.flags == ("anisotropic_pixels_corrected",)


def test_a_line_at_45_degrees_is_at_45_after_the_correction(tmp_path: Path) -> None:
    """Stored with rows at twice the distance, a line of slope 1 in mm has slope 1/2 in pixels."""
    x, y = np.meshgrid(np.arange(200), np.arange(100))
    line = (np.abs(x - 2 * y) <= 2).astype(np.uint16) * 4000
    read = read_film(write(tmp_path, film(line, PixelSpacing=[0.4, 0.2])))
    rows, columns = np.nonzero(read.pixels > 30000)
    slope = np.polyfit(columns, rows, 1)[0]
    assert np.degrees(np.arctan(slope)) == pytest.approx(45.0, abs=0.1)


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless])
def test_lossless_compression_loses_nothing(tmp_path: Path, syntax: Any) -> None:
    dataset = film(RAMP, 16)
    dataset.compress(syntax)
    np.testing.assert_array_equal(read_film(write(tmp_path, dataset)).pixels, FULL)


@pytest.mark.parametrize(("syntax", "codec"), [(JPEGBaseline8Bit, "JPEG"), (JPEG2000Lossless, "JPEG2000")])
def test_jpeg_and_jpeg_2000(tmp_path: Path, syntax: Any, codec: str) -> None:
    if codec == "JPEG2000" and not features.check("jpg_2000"):
        pytest.skip("this Pillow has no JPEG 2000")
    flat = np.tile(np.arange(0, 192, 4, dtype=np.uint8), (64, 1))
    buffer = io.BytesIO()
    options: dict[str, Any] = {"no_jp2": True} if codec == "JPEG2000" else {"quality": 98}
    Image.fromarray(flat).save(buffer, codec, **options)
    dataset = film(flat, 8)
    dataset.PixelData = encapsulate([buffer.getvalue()])
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = syntax
    assert np.abs(read_film(write(tmp_path, dataset)).pixels.astype(int) - flat).max() <= 4


def test_colour_captures(tmp_path: Path) -> None:
    colour = np.zeros((64, 48, 3), np.uint8)
    colour[..., 0] = 255
    tags = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}
    read = read_film(write(tmp_path, film(colour, 8, **tags)))
    assert (read.pixels == 76).all()  # 0.299 x 255
    deep = np.broadcast_to(np.arange(48, dtype=np.uint32)[:, None] * 90_000_000, (64, 48, 3))
    read = read_film(write(tmp_path, film(np.ascontiguousarray(deep), 32, **tags)))
    assert (read.pixels.dtype, read.pixels.min(), read.pixels.max()) == (np.uint16, 0, 65535)
    palette = {"RedPaletteColorLookupTableDescriptor": [256, 0, 16]}
    for name in ("Green", "Blue"):
        palette[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
    for name in ("Red", "Green", "Blue"):
        entries = np.arange(256, dtype=np.uint16) * 257
        palette[f"{name}PaletteColorLookupTableData"] = entries.tobytes()  # type: ignore[assignment]
    flat = (RAMP // 16).astype(np.uint8)
    read = read_film(write(tmp_path, film(flat, 8, PhotometricInterpretation="PALETTE COLOR", **palette)))
    np.testing.assert_array_equal(read.pixels, flat)


@pytest.mark.parametrize("tags", [{"Modality": "CT"}, {"SOPClassUID": CTImageStorage, "Modality": "OT"}])
def test_a_ct_slice_is_no_film(tmp_path: Path, tags: dict[str, Any]) -> None:
    with pytest.raises(AasceError, match="a CT slice, not a radiograph"):
        read_film(write(tmp_path, film(RAMP, **tags)))


def test_other_slices_frames_and_sizes_are_refused(tmp_path: Path) -> None:
    for tags, words in (
        ({"Modality": "MR"}, "an MR slice"),
        ({"Modality": "US"}, "an ultrasound"),
        ({"NumberOfFrames": 3}, "holds 3 frames"),
    ):
        with pytest.raises(AasceError, match=words):
            read_film(write(tmp_path, film(RAMP, **tags)))
    with pytest.raises(AasceError, match="too small"):
        read_film(write(tmp_path, film(RAMP[:8])))
    with pytest.raises(AasceError, match="too large"):
        read_film(write(tmp_path, film(RAMP, PixelSpacing=[50.0, 0.1])))
    empty = film(RAMP)
    del empty.PixelData
    with pytest.raises(AasceError, match="without an image"):
        read_film(write(tmp_path, empty))


def test_damage_is_told_in_one_line(tmp_path: Path) -> None:
    path = write(tmp_path, film(RAMP))
    content = path.read_bytes()
    lossless = film(RAMP, 16)
    lossless.file_meta.TransferSyntaxUID = JPEGLossless
    lossless.PixelData = encapsulate([b"\xff\xd8\xff\xe0 not a frame"])
    lossless["PixelData"].is_undefined_length = True
    table = pydicom.Dataset()
    table.LUTDescriptor = [4096, 0, 16]
    table.LUTData = b""
    cases = {
        "cut.dcm": (content[:-2000], "pixels damaged or cut short"),
        "codec.dcm": (write(tmp_path, lossless, "x").read_bytes(), "JPEG Lossless"),
        "lut.dcm": (
            write(tmp_path, film(RAMP, ModalityLUTSequence=[table]), "y").read_bytes(),
            "look-up table",
        ),
        "head.dcm": (b"\0" * 128 + b"DICM" + b"\x02\0\0\0UL\x04\0", "DICOM"),
        "text.dcm": (b"this is a text that someone named a film, and a long one at that" * 9, "DICOM"),
    }
    for name, (damaged, words) in cases.items():
        (tmp_path / name).write_bytes(damaged)
        with pytest.raises(AasceError, match=f"{name}.*{words}") as error:
            read_film(tmp_path / name)
        assert "\n" not in str(error.value)


def test_dicom_that_opens_as_tiff_too_is_read_as_dicom(tmp_path: Path) -> None:
    dataset = film(RAMP)
    dataset.preamble = b"II*\x00" + b"\0" * 124
    path = write(tmp_path, dataset)
    np.testing.assert_array_equal(read_film(path).pixels, FULL)
    assert film_size(path) == (64, 48)


def test_a_number_that_is_none_is_a_damaged_header(tmp_path: Path) -> None:
    content = write(tmp_path, film(RAMP, NumberOfFrames=12)).read_bytes()
    assert content.count(b"IS\x02\x0012") == 1
    (tmp_path / "b.dcm").write_bytes(content.replace(b"IS\x02\x0012", b"IS\x02\x001A"))
    with pytest.raises(AasceError, match=r"b\.dcm: damaged DICOM header .*1A"):
        read_film(tmp_path / "b.dcm")


def test_dicom_without_preamble_is_known_by_its_suffix(tmp_path: Path) -> None:
    path = write(tmp_path, film(RAMP))
    old = tmp_path / "old.dcm"
    old.write_bytes(path.read_bytes()[132:])
    np.testing.assert_array_equal(read_film(old).pixels, FULL)
