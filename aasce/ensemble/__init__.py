"""Many predictions to one set of angles a film, and what is written of them: tables and manifest."""

from aasce.ensemble.combine import Measurement, MemberShare, blend, combine, measure
from aasce.ensemble.fit import fit_weights
from aasce.ensemble.manifest import Manifest, write_manifest
from aasce.ensemble.settings import EnsembleMember, EnsembleSettings
from aasce.ensemble.tables import level_name, submission_rows, write_predictions, write_submission

__all__ = [
    "EnsembleMember",
    "EnsembleSettings",
    "Manifest",
    "Measurement",
    "MemberShare",
    "blend",
    "combine",
    "fit_weights",
    "level_name",
    "measure",
    "submission_rows",
    "write_manifest",
    "write_predictions",
    "write_submission",
]
