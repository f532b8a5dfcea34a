"""A prediction to files: tables, manifest, overlay."""

from aasce.geometry.description import level_name
from aasce.writers.manifest import Manifest, provenance, write_manifest
from aasce.writers.tables import (
    predictions_frame,
    submission_rows,
    write_csv,
    write_predictions,
    write_submission,
)

__all__ = [
    "Manifest",
    "level_name",
    "predictions_frame",
    "provenance",
    "submission_rows",
    "write_csv",
    "write_manifest",
    "write_predictions",
    "write_submission",
]
