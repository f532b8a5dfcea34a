"""Each file in configs/ is complete, strict, headed, and what the class's defaults say it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aasce.api import DEFAULT_ENSEMBLE
from aasce.config import Settings, load_settings, read_yaml, setting_names
from aasce.ensemble import EnsembleSettings
from aasce.solvers.registry import SOLVERS, solver_class
from aasce.types import AasceError
from aasce.weights import packaged

ROOT = Path(__file__).parents[1]
SOLVER_FILES = sorted((ROOT / "configs" / "solvers").glob("*.yaml"))


def written(raw: Any) -> set[str]:
    """Dotted names of all keys of a YAML mapping, those inside lists of mappings included."""
    if isinstance(raw, list):
        return set().union(*map(written, raw))
    names = set()
    for key, value in raw.items() if isinstance(raw, dict) else ():
        names |= {str(key), *(f"{key}.{inner}" for inner in written(value))}
    return names


def absent(raw: Any, prefix: str = "") -> set[str]:
    """Dotted names of what the file sets to null."""
    names = set()
    for key, value in raw.items() if isinstance(raw, dict) else ():
        names |= {f"{prefix}{key}"} if value is None else absent(value, f"{prefix}{key}.")
    return names


def expected(cls: type[Settings], raw: dict[str, Any]) -> set[str]:
    """Names that a complete file has: all, but those inside an optional part that it sets to null."""
    closed = tuple(f"{name}." for name in absent(raw))
    return {name for name in setting_names(cls) if not name.startswith(closed)}


def test_every_solver_has_a_file() -> None:
    assert {path.stem for path in SOLVER_FILES} == set(SOLVERS)


@pytest.mark.parametrize("path", SOLVER_FILES, ids=lambda path: path.stem)
def test_solver_file_is_complete(path: Path) -> None:
    cls = solver_class(path.stem).Config
    raw = read_yaml(path)
    load_settings(cls, path)
    assert expected(cls, raw) - written(raw) == set()


@pytest.mark.parametrize("path", SOLVER_FILES, ids=lambda path: path.stem)
def test_solver_file_has_a_header(path: Path) -> None:
    header = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
    for word in ("paper:", "command: aasce train", "time:", "score:"):
        assert any(word in " ".join(line.split()) for line in header), (
            f"{path.name}: no {word!r} in the header"
        )


@pytest.mark.parametrize("path", SOLVER_FILES, ids=lambda path: path.stem)
def test_solver_file_refuses_a_key_too_many(path: Path) -> None:
    with pytest.raises(AasceError, match=r"sede: unknown setting \(did you mean 'seed'\?\)"):
        load_settings(solver_class(path.stem).Config, path, ["sede=1"])


def test_the_packages_default_ensemble_is_the_one_in_configs() -> None:
    path = ROOT / "configs" / "ensembles" / "default.yaml"
    assert path.read_bytes() == DEFAULT_ENSEMBLE.read_bytes()
    settings = load_settings(EnsembleSettings, path)
    assert all(packaged(member.solver) for member in settings.members)
    assert expected(EnsembleSettings, read_yaml(path)) - written(read_yaml(path)) == set()
