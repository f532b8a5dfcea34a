"""Settings of an ensemble: its members and their weights."""

from __future__ import annotations

from pydantic import Field, field_validator

from aasce.config import Settings


class EnsembleMember(Settings):
    """One solver of the ensemble.

    Attributes:
        solver: name of a released solver, or the folder of a run.
        weight: its share before renormalising, 0 or more. A member of weight 0 does not change the angles; its
            landmarks are drawn where no other member has any.
    """

    solver: str = Field(min_length=1)
    weight: float = Field(ge=0, allow_inf_nan=False)


class EnsembleSettings(Settings):
    """Settings of `aasce predict --ensemble`: each angle is the weighted mean of the members' angles.

    Attributes:
        members: at least one, no solver twice, at least one with a positive weight.
        max_disagreement_deg: a member whose major angle lies farther from the members' weighted median is dropped for
            that film.
    """

    members: tuple[EnsembleMember, ...] = (
        EnsembleMember(solver="vertebra_field", weight=0.5),
        EnsembleMember(solver="vertebra_field_2", weight=0.5),
    )
    max_disagreement_deg: float = Field(default=20.0, gt=0)

    @field_validator("members")
    @classmethod
    def _usable(cls, members: tuple[EnsembleMember, ...]) -> tuple[EnsembleMember, ...]:
        names = [member.solver for member in members]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"name each solver once; {twice!r} is there twice")
        if not any(member.weight > 0 for member in members):
            raise ValueError("give at least one member a weight above 0")
        return members

    @property
    def weights(self) -> tuple[float, ...]:
        """Weights in the order of the members."""
        return tuple(member.weight for member in self.members)
