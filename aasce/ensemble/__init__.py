"""Many predictions to one set of angles a film, and what is written of them: tables and manifest."""

from aasce.ensemble.combine import Measurement, MemberShare, blend, combine, with_angles
from aasce.ensemble.fit import fit_weights
from aasce.ensemble.settings import EnsembleMember, EnsembleSettings

__all__ = [
    "EnsembleMember",
    "EnsembleSettings",
    "Measurement",
    "MemberShare",
    "blend",
    "combine",
    "fit_weights",
    "with_angles",
]
