"""Each file in configs/ is complete, strict and headed, and is what made the released weights; no setting is unread."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from aasce.api import DEFAULT_ENSEMBLE
from aasce.config import KIND, Settings, dump_settings, load_settings, read_yaml, settings_under
from aasce.ct.registry import method_class, method_names
from aasce.ensemble import EnsembleSettings
from aasce.solvers.base import CONFIG_FILE, SolverConfig, read_state
from aasce.solvers.registry import SOLVERS, solver_class
from aasce.solvers.shared.encoders import encoders_in
from aasce.types import AasceError
from aasce.weights import packaged, released

ROOT = Path(__file__).parents[1]
CONFIGS = ROOT / "configs" / "solvers"
RELEASED = {name: read_state(folder).solver for name, folder in released().items() if packaged(name)}
PAPERS = (
    "centerline",
    "coarse_to_fine",
    "corner_regression",
    "keypoint_fusion",
    "labelling",
    "multitask_pyramid",
    "rotated_proposals",
    "scg_net",
    "seg4reg",
    "top_down",
)
FILES = {
    **{f"{name}.yaml": (CONFIGS / f"{name}.yaml", solver) for name, solver in RELEASED.items()},
    **{f"paper/{name}.yaml": (CONFIGS / "paper" / f"{name}.yaml", name) for name in PAPERS},
}

SCANS = ROOT / "configs" / "ct"
SCAN_PAPERS = ("spine_localization", "vertebra_localization", "vertebra_segmentation")
SCAN_FILES = {
    **{f"{name}.yaml": name for name in method_names()},
    **{f"paper/{name}.yaml": name for name in SCAN_PAPERS},
}


def body(path: Path) -> str:
    """The text of a YAML file below its header."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("#"))


def settings_of(path: Path, solver: str) -> SolverConfig:
    return load_settings(solver_class(solver).Config, path)


def test_every_solver_and_all_released_weights_have_a_file() -> None:
    names = {path.relative_to(CONFIGS).as_posix() for path in CONFIGS.rglob("*.yaml")}
    assert names == set(FILES)
    assert set(RELEASED.values()) == set(SOLVERS)


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_complete_and_in_the_order_of_the_class(name: str) -> None:
    path, solver = FILES[name]
    assert body(path) == dump_settings(settings_of(path, solver))


def test_every_method_for_scans_has_a_file() -> None:
    assert {path.relative_to(SCANS).as_posix() for path in SCANS.rglob("*.yaml")} == set(SCAN_FILES)


@pytest.mark.parametrize("name", SCAN_FILES)
def test_a_file_of_a_method_for_scans_is_complete_and_headed(name: str) -> None:
    path, method = SCANS / name, method_class(SCAN_FILES[name])
    assert body(path) == dump_settings(load_settings(method.Config, path))
    header = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
    differs = name.startswith("paper/") or not method.trains
    for word in ("paper:", "command: aasce ct", "differs:" if differs else "time:", "score:"):
        assert any(word in line for line in header), f"{name}: no {word!r} in the header"


@pytest.mark.parametrize("name", SCAN_PAPERS)
def test_networks_of_the_papers_choices_for_scans_can_be_built(name: str) -> None:
    method: Any = method_class(name)
    widest = method(load_settings(method.Config, SCANS / "paper" / f"{name}.yaml")).module
    ours = method(load_settings(method.Config, SCANS / f"{name}.yaml")).module
    sizes = [sum(weight.numel() for weight in module.parameters()) for module in (ours, widest)]
    assert sizes[0] < sizes[1]


@pytest.mark.parametrize("name", RELEASED)
def test_released_weights_have_the_settings_of_their_file(name: str) -> None:
    """What made them, read again and letter by letter."""
    ours, theirs = CONFIGS / f"{name}.yaml", released()[name] / CONFIG_FILE
    assert settings_of(ours, RELEASED[name]) == settings_of(theirs, RELEASED[name])
    assert body(ours) == theirs.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", FILES)
def test_a_file_has_a_header(name: str) -> None:
    path, solver = FILES[name]
    lines = path.read_text(encoding="utf-8").splitlines()
    header = " ".join(" ".join(line.split()) for line in lines if line.startswith("#"))
    paper = name.startswith("paper/")
    for word in (
        "paper:",
        "command: aasce",
        f"--solver {solver}",
        "differs:" if paper else "time:",
        "score:",
    ):
        assert word in header, f"{name}: no {word!r} in the header"
    assert f"--config configs/solvers/{name}" in header


@pytest.mark.parametrize("name", FILES)
def test_a_file_refuses_a_key_too_many(name: str) -> None:
    path, solver = FILES[name]
    with pytest.raises(AasceError, match=r"sede: unknown setting \(did you mean 'seed'\?\)"):
        load_settings(solver_class(solver).Config, path, ["sede=1"])


@pytest.mark.parametrize("name", PAPERS)
def test_networks_of_the_papers_choices_can_be_built(name: str) -> None:
    settings = settings_of(CONFIGS / "paper" / f"{name}.yaml", name)
    solver: Any = solver_class(name)(settings)
    assert isinstance(solver.module, nn.Module)
    asks = [encoder.asks_for_weights for encoder in encoders_in(settings)]
    assert asks == ([True, True] if name == "seg4reg" else [False] * len(asks))


@pytest.mark.parametrize(
    ("solver", "overrides", "faults"),
    [
        (
            "vertebra_field",
            [
                "train.epochs=-5",
                "batch=0",
                "seed=100000000000000000000000",
                "views.passes=3",
                "train.lr=.inf",
            ],
            ["batch", "seed", "train.epochs", "train.lr", "views.passes"],
        ),
        (
            "seg4reg",
            ["regression.head.rows=0", "regression.input.synthetic=2.0", "segmentation.size=[0, 0]"],
            [
                "regression.head.rows",
                "regression.input.synthetic",
                "segmentation.size.0",
                "segmentation.size.1",
            ],
        ),
        ("inverse_render", ["start.kind=blimd", "window=.nan"], ["start.kind", "window"]),
        ("centerline", ["augment.scale=[2.0, 1.0]", "seed=1e23"], ["augment.scale", "seed"]),
    ],
)
def test_numbers_out_of_bounds_are_a_line_each(solver: str, overrides: list[str], faults: list[str]) -> None:
    with pytest.raises(AasceError) as caught:
        load_settings(solver_class(solver).Config, None, overrides)
    lines = str(caught.value).splitlines()[1:]
    assert sorted(line.split(":")[0].strip() for line in lines) == faults


def classes_in(cls: type[Settings], found: set[type[Settings]]) -> set[type[Settings]]:
    """A settings class and all that stand inside it."""
    if cls not in found:
        found.add(cls)
        for name in cls.model_fields:
            for inner in settings_under([cls], name):
                classes_in(inner, found)
    return found


def reads(folders: list[Path]) -> set[str]:
    """Names of all attributes that code outside the settings modules reads."""
    files = (file for folder in folders for file in folder.rglob("*.py") if file.name != "settings.py")
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in files]
    return {
        node.attr
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)
    }


def test_no_setting_of_a_method_for_scans_is_unread() -> None:
    """Read in the method's folder, or by the methods' shared code; `train` by that of the solvers."""
    homes = [ROOT / "aasce" / "ct" / "shared", ROOT / "aasce" / "solvers" / "shared"]
    shared, unread = reads(homes), set()
    for name in method_names():
        own = reads([ROOT / "aasce" / "ct" / name]) | {KIND, "seed"}
        for cls in classes_in(method_class(name).Config, set()):
            unread |= {f"{cls.__qualname__}.{field}" for field in cls.model_fields} - {
                f"{cls.__qualname__}.{field}" for field in shared | own
            }
    assert unread == set()


def fields() -> Iterator[tuple[str, type[Settings], str]]:
    """(solver, class, field) of every setting of every solver."""
    for solver in SOLVERS:
        for cls in sorted(classes_in(solver_class(solver).Config, set()), key=lambda c: c.__qualname__):
            yield from ((solver, cls, name) for name in cls.model_fields)


def test_no_setting_is_unread() -> None:
    """A solver's own settings are read in its folder, shared ones by the solvers' shared code.

    `kind` names the class that code asks for, and `seed` deals the films even where a solver draws nothing.
    """
    home = ROOT / "aasce" / "solvers"
    shared, own = reads([home / "shared"]), {solver: reads([home / solver]) for solver in SOLVERS}
    unread = {
        f"{cls.__module__}.{cls.__qualname__}.{name}"
        for solver, cls, name in fields()
        if name not in shared | own[solver] and name not in (KIND, "seed")
    }
    assert unread == set()


def test_the_packages_default_ensemble_is_the_one_in_configs() -> None:
    path = ROOT / "configs" / "ensembles" / "default.yaml"
    assert path.read_bytes() == DEFAULT_ENSEMBLE.read_bytes()
    settings = load_settings(EnsembleSettings, path)
    assert all(packaged(member.solver) for member in settings.members)
    assert settings.model_dump(mode="json") == read_yaml(path)


def test_the_ensemble_of_eleven_names_every_trained_system() -> None:
    settings = load_settings(EnsembleSettings, ROOT / "configs" / "ensembles" / "eleven.yaml")
    assert {member.solver for member in settings.members} == set(SOLVERS) - {"constant", "inverse_render"}
    assert len({member.weight for member in settings.members}) == 1
