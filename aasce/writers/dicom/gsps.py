"""Grayscale softcopy presentation state: the lines and texts of the angles over the film as it was read.

Greys follow the reader: its modality look-up table, its first window or look-up table, bone bright. A film without
a window, or whose window the reader left out (flag "window_ignored"), gets one over the range that the reader used.
"""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from aasce import __version__
from aasce.ensemble.combine import Measurement
from aasce.geometry.description import Curve, SpineDescription
from aasce.readers.dicom.display import FOR_PROCESSING, WINDOW_IGNORED
from aasce.readers.dicom.field import hidden
from aasce.readers.dicom.functional import with_frame
from aasce.readers.dicom.header import parsed
from aasce.readers.dicom.pixels import stored_frame
from aasce.readers.dicom.tables import modality_values
from aasce.readers.greys import robust_range
from aasce.types import AasceError
from aasce.writers.captions import COLOURS
from aasce.writers.dicom.lines import Floats, as_drawn, construction, outlines, placed
from aasce.writers.dicom.source import Source, finish
from aasce.writers.dicom.sr import MAKER, NAME

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

LAYERS = ("ANGLE1", "ANGLE2", "ANGLE3")
"""Of the angles, in the overlay's colours."""
OUTLINES = ("VERTEBRAE", (170, 185, 195))
GREYS = ("MONOCHROME1", "MONOCHROME2")


def make_presentation(source: Source, measurement: Measurement, description: SpineDescription) -> Dataset:
    """The presentation state of one film.

    Args:
        source: of the film.
        measurement: of the film, with angles.
        description: of the same.

    Raises:
        AasceError: the film is a colour image, which no grayscale presentation state may refer to.
    """
    import highdicom as hd

    header = source.header
    if header.get("PhotometricInterpretation") not in GREYS:
        raise AasceError(
            f"{source.film_id}: a colour image has no grayscale presentation state; ask for sc, the overlay, instead"
        )
    layers, annotations = _annotations(source, measurement, description)
    series, number = source.series("gsps")
    made = hd.pr.GrayscaleSoftcopyPresentationState(
        referenced_images=[source.evidence()],
        series_instance_uid=series,
        series_number=9102,
        sop_instance_uid=source.uid("gsps"),
        instance_number=number,
        manufacturer=MAKER,
        manufacturer_model_name=NAME,
        software_versions=__version__,
        device_serial_number=__version__,
        content_label="COBB ANGLES",
        content_description=f"Cobb angles, {NAME} {__version__}",
        graphic_layers=layers,
        graphic_annotations=annotations,
        presentation_lut_transformation=hd.PresentationLUTTransformation(_shape(source, measurement)),
    )
    _show_area(made, source)
    _show_greys(made, source, WINDOW_IGNORED in measurement.prediction.flags)
    made.BodyPartExamined = "SPINE"  # not paired, so that the series needs no laterality
    return finish(made, source, series="Cobb angles, presentation state")


def _annotations(
    source: Source, measurement: Measurement, description: SpineDescription
) -> tuple[list[Any], list[Any]]:
    """Layers and their annotations: one an angle that can be drawn, one of the vertebrae below them."""
    import highdicom as hd

    layers: list[Any] = []
    annotations: list[Any] = []
    shapes = [
        _polyline(np.concatenate([ring, ring[:1]])) for ring in outlines(source, measurement.prediction)
    ]
    drawn: list[tuple[str, tuple[int, int, int], list[Any], list[Any]]] = [(*OUTLINES, shapes, [])]
    for name, colour, curve in zip(LAYERS, COLOURS, description.curves, strict=True):
        drawn.append((name, colour, *_angle(source, measurement, curve)))
    for name, colour, graphics, texts in drawn:
        if graphics or texts:
            layer = hd.pr.GraphicLayer(
                name, len(layers) + 1, display_color=hd.color.CIELabColor.from_rgb(*colour)
            )
            layers.append(layer)
            annotations.append(
                hd.pr.GraphicAnnotation(
                    referenced_images=[source.evidence()],
                    graphic_layer=layer,
                    graphic_objects=graphics or None,
                    text_objects=texts or None,
                )
            )
    return layers, annotations


def _polyline(points: Floats) -> Any:
    import highdicom as hd

    return hd.pr.GraphicObject("POLYLINE", points, "PIXEL")


def _angle(source: Source, measurement: Measurement, curve: Curve) -> tuple[list[Any], list[Any]]:
    angles, prediction = measurement.angles, measurement.prediction
    found = construction(prediction, None if angles is None else angles.end_vertebrae[curve.number - 1])
    if found is None:
        return [], []
    lines = np.concatenate([found.lines, found.perpendiculars])
    text = f"an{curve.number} {curve.degrees:.1f} deg, {curve.upper}-{curve.lower}"
    tip, beside = placed(source, prediction, found.vertex + np.array([[0.0, 0.0], [found.side, 0.0]]))
    texts = [_text(source, text, tip, float(beside[0] - tip[0]))]
    return [_polyline(line) for line in as_drawn(source, prediction, lines)], texts


def _text(source: Source, text: str, place: Floats, away: float) -> Any:
    """A text at `place`, in a box of a fiftieth of the image's rows, moved onto the image.

    Args:
        source: of the film.
        text: ASCII.
        place: (2,) column and row.
        away: negative where the spine lies right of `place`, so that the text goes to the left; 0 for a text across.
    """
    import highdicom as hd

    rows, columns = source.grid
    height = rows / 50
    width = min(float(columns), 0.6 * height * len(text))
    x, y = (float(v) for v in np.clip(place, 0, [columns, rows]))
    left = x - width if away < -0.1 else x if away > 0.1 else x - width / 2
    left, top = min(max(left, 0.0), columns - width), min(max(y - height / 2, 0.0), rows - height)
    return hd.pr.TextObject(
        text,
        "PIXEL",
        bounding_box=(left, top, left + width, top + height),
        anchor_point=(x, y),
        text_justification="LEFT",
        anchor_point_visible=False,
    )


def _shape(source: Source, measurement: Measurement) -> str:
    """What makes bone bright; a presentation state does not heed MONOCHROME1 itself (PS3.3 C.11.6.1.2)."""
    header = source.header
    if FOR_PROCESSING in measurement.prediction.flags:  # raw: bone is low unless the sign says otherwise
        return "IDENTITY" if int(header.get("PixelIntensityRelationshipSign") or 1) < 0 else "INVERSE"
    stated = header.get("PresentationLUTShape") == "INVERSE"
    return "INVERSE" if stated or header.PhotometricInterpretation == "MONOCHROME1" else "IDENTITY"


def _show_area(made: Any, source: Source) -> None:
    """The whole image, its pixels as high and wide as the source says."""
    area, header = made.DisplayedAreaSelectionSequence[0], source.header
    if "PixelOriginInterpretation" in area:
        del area.PixelOriginInterpretation  # of tiled images alone
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        spacing = header.get(keyword)
        if spacing and len(spacing) == 2 and min(float(mm) for mm in spacing) > 0:
            area.PresentationPixelSpacing = list(spacing)
            del area.PresentationPixelAspectRatio
            return
    if header.get("PixelAspectRatio"):
        area.PresentationPixelAspectRatio = list(header.PixelAspectRatio)


def _show_greys(made: Any, source: Source, window_ignored: bool) -> None:
    """Modality and VOI look-up tables as the reader applied them."""
    from pydicom.dataset import Dataset

    header = source.header
    if header.get("ModalityLUTSequence"):
        made.ModalityLUTSequence = deepcopy(header.ModalityLUTSequence)
    elif "RescaleSlope" in header and "RescaleIntercept" in header:
        made.RescaleIntercept, made.RescaleSlope = header.RescaleIntercept, header.RescaleSlope
        made.RescaleType = header.get("RescaleType") or "US"
    voi = Dataset()
    stated = all(header.get(f"Window{name}") not in (None, "") for name in ("Center", "Width"))
    if not window_ignored and header.get("VOILUTSequence"):
        voi.VOILUTSequence = deepcopy(header.VOILUTSequence[:1])
    elif not window_ignored and stated:
        voi.WindowCenter, voi.WindowWidth = _first(header.WindowCenter), _first(header.WindowWidth)
        if header.get("VOILUTFunction"):
            voi.VOILUTFunction = header.VOILUTFunction
    elif source.path is not None and (window_ignored or int(header.BitsStored) > 8):
        low, high = _values_shown(source.path, source.frame or 1)
        # The window that maps low to the darkest and high to the brightest value (PS3.3 C.11.2.1.2.1).
        voi.WindowCenter, voi.WindowWidth = f"{(low + high + 1) / 2:.10g}", f"{high - low + 1:.10g}"
    if len(voi):
        made.SoftcopyVOILUTSequence = [voi]


def _values_shown(path: Path, frame: int) -> tuple[float, float]:
    """The range of values after the modality look-up table over which the reader stretched the film."""
    dataset = parsed(path.read_bytes())
    stored = stored_frame(path, dataset, frame).pixels
    header = with_frame(dataset, frame)
    values, _ = modality_values(stored, header)
    return robust_range(np.asarray(values, np.float64), ~hidden(stored, header))


def _first(value: Any) -> Any:
    """The first of several windows, which the reader applies."""
    from pydicom.multival import MultiValue

    return value[0] if isinstance(value, MultiValue) else value
