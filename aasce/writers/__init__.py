"""A prediction to files: tables, manifest, overlay."""

from aasce.writers.manifest import Manifest, write_manifest
from aasce.writers.tables import level_name, submission_rows, write_predictions, write_submission

__all__ = [
    "Manifest",
    "level_name",
    "submission_rows",
    "write_manifest",
    "write_predictions",
    "write_submission",
]
