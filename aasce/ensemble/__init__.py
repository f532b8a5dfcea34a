"""Many predictions of a film to one set of angles, and the weights that do it best."""

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
