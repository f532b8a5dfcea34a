"""Comprehensive SR by TID 1500: one measurement group an angle, its endplates as spatial coordinates.

Viewers that import TID 1500 by the adapters of Cornerstone3D (OHIF) know a Cobb angle by the beginning of its
tracking identifier; they take the first number of the group and the four points of the first polyline.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from aasce import __version__
from aasce.ensemble.combine import Measurement
from aasce.geometry.description import Curve, SpineDescription, level_name
from aasce.types import CobbAngles, SpinePrediction
from aasce.writers.dicom import codes as terms
from aasce.writers.dicom.lines import endplates
from aasce.writers.dicom.source import Source, finish

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

TRACKING = "Cornerstone3DTools@^0.1.0:CobbAngle"
NAME, MAKER = "aasce", "aasce"
Interval = tuple[float, float]


def make_report(
    source: Source,
    measurement: Measurement,
    description: SpineDescription,
    intervals: Sequence[Interval | None] = (None, None, None),
) -> Dataset:
    """The report of one film; a second or third angle between a vertebra and itself is no curve, and left out.

    Args:
        source: of the film.
        measurement: of the film, with angles.
        description: of the same.
        intervals: (low, high) degrees around each angle, None where there is none.
    """
    import highdicom as hd
    from highdicom.coding_schemes import CodingSchemeIdentificationItem
    from pydicom.sr.codedict import codes

    angles = measurement.angles
    assert angles is not None
    groups = [
        _group(source, measurement.prediction, angles, curve, interval)
        for curve, interval in zip(description.curves, intervals, strict=True)
        if curve.number == 1 or not curve.upper or curve.upper != curve.lower
    ]
    content = hd.sr.MeasurementReport(
        observation_context=_observer(source, measurement.prediction.solver),
        procedure_reported=terms.procedure(),
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
    )
    content[0].ContentSequence.append(_about(measurement, description))
    series, number = source.series("sr")
    made = hd.sr.ComprehensiveSR(
        evidence=[source.evidence()],
        content=content[0],
        series_instance_uid=series,
        series_number=9101,
        sop_instance_uid=source.uid("sr"),
        instance_number=number,
        manufacturer=MAKER,
        manufacturer_model_name=NAME,
        software_versions=__version__,
        device_serial_number=__version__,
        is_complete=True,
        coding_schemes=[CodingSchemeIdentificationItem(terms.SCHEME, name=terms.SCHEME_NAME)],
    )
    return finish(made, source, series="Cobb angles, report")


def _observer(source: Source, solver: str) -> Any:
    import highdicom as hd
    from pydicom.sr.codedict import codes

    device = hd.sr.DeviceObserverIdentifyingAttributes(
        uid=source.stamp.uid("device"),
        name=f"{NAME} {__version__}",
        manufacturer_name=MAKER,
        model_name=(solver or NAME)[:64],
    )
    return hd.sr.ObservationContext(observer_device_context=hd.sr.ObserverContext(codes.DCM.Device, device))


def _group(
    source: Source, prediction: SpinePrediction, angles: CobbAngles, curve: Curve, interval: Interval | None
) -> Any:
    """One angle: tracking, finding sites, the number with its polyline, what else is known of the curve."""
    import highdicom as hd

    j = curve.number - 1
    points = endplates(source, prediction, angles.end_vertebrae[j])
    number = f"an{curve.number}"
    # An angle without lines on the film cannot be drawn, so that viewers are not told to draw it.
    tracking = f"{TRACKING}:{number}" if points is not None else f"aasce:CobbAngle:{number}"
    group = hd.sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(source.uid("track", number), tracking),
        algorithm_id=hd.sr.AlgorithmIdentification(NAME, __version__, [f"solver {prediction.solver}"]),
        finding_sites=_sites(curve),
        measurements=[_angle(source, angles, curve, points, interval)],
        qualitative_evaluations=_evaluations(curve),
    )
    group[0].ContentSequence.append(_text(_sentence(curve)))
    return group


def _sites(curve: Curve) -> list[Any]:
    """The end vertebrae, each with the side whose endplate was used; none where they are one."""
    import highdicom as hd
    from pydicom.sr.codedict import codes

    if curve.upper == curve.lower:
        return []
    ends = ((curve.upper, codes.SCT.Superior), (curve.lower, codes.SCT.Inferior))
    found = [(terms.vertebra(level), plate) for level, plate in ends]
    return [
        hd.sr.FindingSite(site, topographical_modifier=plate) for site, plate in found if site is not None
    ]


def _angle(source: Source, angles: CobbAngles, curve: Curve, points: Any, interval: Interval | None) -> Any:
    import highdicom as hd
    from pydicom.sr.codedict import codes

    coordinates = None
    if points is not None:
        frames = None if source.frame is None else [source.frame]
        image = hd.sr.SourceImageForRegion(source.header.SOPClassUID, source.header.SOPInstanceUID, frames)
        coordinates = [hd.sr.CoordinatesForMeasurement("POLYLINE", points, image)]
    properties = None
    if interval is not None:
        low, high = interval
        properties = hd.sr.MeasurementProperties(
            lower_measurement_uncertainty=curve.degrees - low,
            upper_measurement_uncertainty=high - curve.degrees,
        )
    return hd.sr.Measurement(
        name=codes.SCT.CobbAngle,
        value=round(float(curve.degrees), 4),
        unit=codes.UCUM.Degree,
        method=terms.method(angles.definition),
        properties=properties,
        referenced_coordinates=coordinates,
    )


def _evaluations(curve: Curve) -> list[Any]:
    import highdicom as hd
    from pydicom.sr.coding import Code

    found = [(Code("246112005", "SCT", "Severity"), terms.severity(curve.severity))]
    apex = terms.apex(curve.apex)
    if apex is not None:
        found.append((terms.own("APEX", "Apical vertebra or disc"), apex))
    if curve.convex is not None:
        found.append((terms.own("CONVEX", "Convex side of curve"), terms.side(curve.convex)))
    return [hd.sr.QualitativeEvaluation(name, value) for name, value in found]


def _sentence(curve: Curve) -> str:
    """What viewers show as the label of the angle; ASCII, which every character set holds."""
    parts = [f"an{curve.number}", f"{curve.degrees:.1f} deg"]
    parts += [f"{curve.upper} to {curve.lower}"] if curve.upper and curve.lower else []
    parts += [f"apex {curve.apex}"] if curve.apex else []
    parts += [curve.region] if curve.region else []
    parts += [f"convex {curve.side}"] if curve.side else []
    return ", ".join(parts)


def _text(value: str) -> Any:
    import highdicom as hd
    from pydicom.sr.codedict import codes

    ascii_only = value.encode("ascii", "replace").decode()
    return hd.sr.TextContentItem(codes.DCM.Comment, ascii_only, hd.sr.RelationshipTypeValues.CONTAINS)


def _about(measurement: Measurement, description: SpineDescription) -> Any:
    """What holds for the whole film: TID 1500's qualitative evaluations (pattern, confidence, flags)."""
    import highdicom as hd
    from pydicom.sr.coding import Code

    prediction = measurement.prediction
    item = hd.sr.ContainerContentItem(
        name=Code("C0034375", "UMLS", "Qualitative Evaluations"),
        relationship_type=hd.sr.RelationshipTypeValues.CONTAINS,
    )
    lines = [f"pattern: {description.pattern}", f"confidence: {prediction.confidence:.2f}"]
    lines += [f"flag: {flag}" for flag in prediction.flags]
    first, count = prediction.first_level, 0 if prediction.landmarks is None else len(prediction.landmarks)
    lines += [f"levels: {level_name(first, 0)} to {level_name(first, count - 1)}"] if count else []
    item.ContentSequence = hd.sr.ContentSequence([_text(line) for line in lines])
    return item
