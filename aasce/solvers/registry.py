"""The solvers: Radiograph in, SpinePrediction out; one folder a method.

This table is read without torch. A solver outside the kit is named "my.module:Class".
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from aasce.config import nearest
from aasce.types import AasceError

if TYPE_CHECKING:
    from aasce.solvers.base import Solver

SOLVERS: dict[str, str] = {
    "centerline": "aasce.solvers.centerline.solver:CenterlineSolver",
    "constant": "aasce.solvers.constant.solver:ConstantSolver",
    "inverse_render": "aasce.solvers.inverse_render.solver:InverseRenderSolver",
    "multitask_pyramid": "aasce.solvers.multitask_pyramid.solver:MultitaskPyramidSolver",
    "scg_net": "aasce.solvers.scg_net.solver:ScgNetSolver",
    "seg4reg": "aasce.solvers.seg4reg.solver:Seg4RegSolver",
    "top_down": "aasce.solvers.top_down.solver:TopDownSolver",
    "vertebra_field": "aasce.solvers.vertebra_field.solver:VertebraFieldSolver",
}
"""Name of each solver and where its class stands, "module:Class"."""

SUMMARIES: dict[str, str] = {
    "centerline": "segments the spine, then its centreline, by cascaded U-nets; angles of the line's tangents",
    "constant": "the training films' median angles for every film: the score to beat",
    "inverse_render": "fits the spine phantom to the film through the differentiable X-ray; no training",
    "multitask_pyramid": "regresses the three angles from the pooled stages of a network that segments vertebrae",
    "scg_net": "draws the spine's two borders, then regresses the three angles from film and borders",
    "seg4reg": "segments vertebrae and discs, then regresses the three angles from film and mask",
    "top_down": "segments the spine, fits a function to its borders, corrects end vertebrae by their edges",
    "vertebra_field": "finds 17 vertebrae and their corners by votes of a dense field; the default",
}
"""What each solver does, in one line."""

DEFAULT_SOLVER = "vertebra_field"


def solver_class(name: str) -> type[Solver]:
    """Imports the class of a solver, by its name in `SOLVERS` or as "my.module:Class".

    Raises:
        AasceError: the name is unknown (the nearest one is named), the module cannot be imported, or torch
            and torchvision do not fit each other.
    """
    target = SOLVERS.get(name, name)
    module, colon, attribute = target.partition(":")
    if not (module and colon and attribute):
        known = ", ".join(SOLVERS)
        raise AasceError(
            f"{name}: unknown solver{nearest(name, SOLVERS)}; known: {known}, or 'my.module:Class'"
        )
    try:
        with matching_torchvision(name):
            found: Any = getattr(import_module(module), attribute, None)
    except (ImportError, AttributeError, RuntimeError) as error:
        raise AasceError(_import_fault(name, error)) from error
    if not isinstance(found, type):
        raise AasceError(
            f"{name}: module {module} holds no class {attribute!r}; name one as 'my.module:Class'"
        )
    return found


@contextmanager
def matching_torchvision(name: str) -> Iterator[None]:
    """Says what to install where torchvision's compiled operators do not fit torch.

    A CPU-only torch beside a torchvision built for another one fails when the latter is first imported (with
    a solver's module, or later, when its network is made): "operator torchvision::nms does not exist".

    Args:
        name: of the solver, for the message.

    Raises:
        AasceError: in place of that error; every other one passes.
    """
    try:
        yield
    except (ImportError, AttributeError, RuntimeError) as error:
        text = (str(error).splitlines() or [""])[0]
        if "torchvision" not in text:
            raise
        remedy = "install matching builds from one index: pip install --force-reinstall torch torchvision"
        raise AasceError(f"{name}: torchvision does not fit this torch ({text}); {remedy}") from error


def _import_fault(name: str, error: Exception) -> str:
    missing = getattr(error, "name", None) if isinstance(error, ModuleNotFoundError) else None
    if missing:
        return f"{name}: module {missing!r} is neither installed nor on PYTHONPATH; install it"
    text = (str(error).splitlines() or ["no reason given"])[0]
    return f"{name}: cannot be imported ({type(error).__name__}: {text}); repair or reinstall it"
