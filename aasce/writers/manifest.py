"""manifest.json beside a table: what made it, and what a reader of the numbers must know."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from aasce import __version__
from aasce.ensemble.combine import Measurement
from aasce.files import write_text
from aasce.types import Definition


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def provenance() -> dict[str, str | None]:
    """What made a result, and when: version of the kit, commit of its checkout, UTC in ISO 8601."""
    return {"version": __version__, "commit": git_commit(), "created": _now()}


def git_commit() -> str | None:
    """Commit of the kit's own checkout, with "-dirty" for uncommitted changes; None for an installed kit.

    A kit inside another project's checkout has no commit: that project's is not its own.
    """
    folder = Path(__file__).resolve().parents[2]
    if shutil.which("git") is None or not (folder / ".git").exists():
        return None
    command = ["git", "-C", str(folder), "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


@dataclass(frozen=True, slots=True)
class Manifest:
    """What manifest.json holds.

    Attributes:
        solvers: names or run folders of the solvers, in order.
        weights: one a solver.
        definition: of the angles, "challenge" or "clinical".
        films: number of films in the table.
        failures: film to the reason it could not be measured.
        medians: film to the training median written for it in the submission, degrees.
        dropped: film to the members an ensemble left out there, each with its reason.
        flags: film to its flags.
        settings: the resolved settings.
        notes: further facts (folds, seed, data, labels, ...).
        version: of the kit.
        commit: of the kit's checkout, None when there is none.
        created: UTC, ISO 8601.
    """

    solvers: tuple[str, ...]
    weights: tuple[float, ...]
    definition: Definition
    films: int
    failures: Mapping[str, str] = field(default_factory=dict)
    medians: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    dropped: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    flags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)
    version: str = __version__
    commit: str | None = field(default_factory=git_commit)
    created: str = field(default_factory=_now)

    @classmethod
    def of(
        cls,
        measurements: Sequence[Measurement],
        solvers: Sequence[str],
        weights: Sequence[float],
        definition: Definition,
        median: ArrayLike,
        settings: Mapping[str, Any] | None = None,
        notes: Mapping[str, Any] | None = None,
    ) -> Manifest:
        """Collects failures, medians, dropped members and flags of the measured films.

        Args:
            measurements: one a film.
            solvers: names or run folders.
            weights: one a solver.
            definition: of the angles.
            median: (3,) degrees, as given to `submission_rows`.
            settings: resolved settings, plain values only (`settings.model_dump(mode="json")`).
            notes: further facts, plain values only.
        """
        value = tuple(float(v) for v in np.asarray(median, dtype=np.float64))
        failures = {m.film_id: m.failure for m in measurements if m.failure is not None}
        return cls(
            solvers=tuple(solvers),
            weights=tuple(float(w) for w in weights),
            definition=definition,
            films=len(measurements),
            failures=failures,
            medians=dict.fromkeys(failures, value),
            dropped={m.film_id: lost for m in measurements if (lost := _dropped(m))},
            flags={m.film_id: m.prediction.flags for m in measurements if m.prediction.flags},
            settings=dict(settings or {}),
            notes=dict(notes or {}),
        )

    def to_json(self) -> str:
        """Indented JSON, keys sorted, so that two manifests can be compared line by line."""
        return json.dumps(asdict(self), indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"


def _dropped(m: Measurement) -> dict[str, str]:
    return {share.solver: share.failure for share in m.members if share.failure is not None}


def write_manifest(path: Path | str, manifest: Manifest) -> None:
    """Writes the manifest as JSON, whole or not at all.

    Raises:
        AasceError: the file cannot be written.
    """
    write_text(path, manifest.to_json())
