"""The solvers of the kit: one entry each, read without torch. A solver outside the kit is named "my.module:Class".

What the papers report stands beside what is measured here to say how a method did in its authors' hands, not to be
beaten by it. Every SMAPE is on the challenge's official scale, 100 / N over films without a factor of 2. Nobody
measured on the folds of `aasce bench`: the films of the hidden test are whole films (skull to pelvis), never released
with labels, and much harder than the public ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from aasce.config import nearest
from aasce.types import AasceError

if TYPE_CHECKING:
    from aasce.solvers.base import Solver

DEFAULT_SOLVER = "vertebra_field"

HIDDEN = "hidden test of AASCE 2019 (98 whole films)"
PUBLIC_VALIDATION = "public validation part of AASCE 2019 (128 films)"
PROCEEDINGS = "CSI 2019, LNCS 11963, Springer 2020"


@dataclass(frozen=True, slots=True)
class Figure:
    """One published number.

    Attributes:
        value: SMAPE in percent on the official scale, MAE in degrees, rates in percent.
        metric: "SMAPE", "MAE an1", "MAE" (mean of the three angles), ...
        measured_on: the films.
        remark: what a reader must know to compare it.
    """

    value: float
    metric: str
    measured_on: str
    remark: str = ""

    def __str__(self) -> str:
        unit = "°" if self.metric.startswith("MAE") else ""
        return f"{self.metric} {self.value:g}{unit}"

    @property
    def films(self) -> str:
        """The films, and the remark in brackets."""
        return f"{self.measured_on} [{self.remark}]" if self.remark else self.measured_on


@dataclass(frozen=True, slots=True)
class Entry:
    """One solver of the kit.

    Attributes:
        name: as `--solver` takes it.
        target: its class, "module:Class".
        summary: what it does, in one line.
        citation: its paper.
        figures: what the paper reports, the most comparable figure first; none for a method of this kit.
        mirror_px: mean distance, in px of the tiny films of the contract test, allowed between the landmarks of a
            mirrored film and the mirrored landmarks.
        mirror_degrees: the same for the major angle.
    """

    name: str
    target: str
    summary: str
    citation: str = "a method of this kit, published nowhere else"
    figures: tuple[Figure, ...] = ()
    mirror_px: float = 0.0
    mirror_degrees: float = 4.0


def _paper(authors: str, title: str, pages: str) -> str:
    return f"{authors}: {title}. {PROCEEDINGS}, pp. {pages}"


ENTRIES: tuple[Entry, ...] = (
    Entry(
        "centerline",
        "aasce.solvers.centerline.solver:CenterlineSolver",
        "segments the spine, then its centreline, by cascaded U-nets; angles of the line's tangents",
        _paper(
            "Dubost et al.",
            "Automated Estimation of the Spinal Curvature via Spine Centerline Extraction with Ensembles of Cascaded "
            "Neural Networks",
            "88-94",
        ),
        (
            Figure(
                10.2,
                "SMAPE",
                "61 films drawn at random from the public 609, patients not kept apart",
                "printed as 20.4 with a factor of 200; 24 models averaged; vertebrae at both ends cropped away",
            ),
            Figure(3.18, "MAE an1", "the same 61 films", "upper 3.6, lower 5.19"),
            Figure(22.96, "SMAPE", HIDDEN, "the same ensemble; films cropped by hand"),
        ),
    ),
    Entry(
        "coarse_to_fine",
        "aasce.solvers.coarse_to_fine.solver:CoarseToFineSolver",
        "masks and boxes of the spine, then corner heatmaps of each vertebra",
        _paper(
            "Zhong et al.",
            "A Coarse-to-Fine Deep Heatmap Regression Method for Adolescent Idiopathic Scoliosis Assessment",
            "101-106",
        ),
        (Figure(24.7987, "SMAPE", HIDDEN, "26.4455 before its curve refines the landmarks"),),
        mirror_px=2.0,
    ),
    Entry(
        "constant",
        "aasce.solvers.constant.solver:ConstantSolver",
        "the training films' median angles for every film: the baseline",
        mirror_degrees=0.0,
    ),
    Entry(
        "corner_regression",
        "aasce.solvers.corner_regression.solver:CornerRegressionSolver",
        "detects vertebrae as boxes by a Faster R-CNN, then regresses the four corners in each box",
        _paper(
            "Khanal et al.",
            "Automatic Cobb Angle Detection Using Vertebra Detector and Vertebra Corners Regression",
            "81-87",
        ),
        (Figure(25.69, "SMAPE", HIDDEN, "26.79 without smoothing; 33.3 without its crop of the film"),),
        mirror_px=3.0,
    ),
    Entry(
        "inverse_render",
        "aasce.solvers.inverse_render.solver:InverseRenderSolver",
        "fits the spine phantom to the film through the differentiable X-ray; no training",
        # The tiny films show boxes that are all alike, so a blind start may stand two vertebrae higher or lower.
        mirror_px=90.0,
        mirror_degrees=12.0,
    ),
    Entry(
        "keypoint_fusion",
        "aasce.solvers.keypoint_fusion.solver:KeypointFusionSolver",
        "finds corners in detected boxes and by clusters of dense points on patches; averages their angles",
        _paper(
            "Chen et al.",
            "Accurate Automated Keypoint Detections for Spinal Curvature Estimation",
            "63-68",
        ),
        (Figure(22.16582, "SMAPE", HIDDEN, "three results fused; plain averaging is 1 worse"),),
        mirror_px=3.0,
    ),
    Entry(
        "labelling",
        "aasce.solvers.labelling.solver:LabellingSolver",
        "labels vertebral centroids by heatmaps, corrects all together; angles of the curve through them",
        _paper(
            "Bayat et al.",
            "Vertebral Labelling in Radiographs: Learning a Coordinate Corrector to Enforce Spinal Shape",
            "39-46",
        ),
        (
            Figure(
                52.63,
                "identification rate",
                "22 coronal films of its own",
                "C1 to L5, within 20 mm; localisation distance 5.33 mm; 44.5 and 12.32 mm without the corrector",
            ),
        ),
    ),
    Entry(
        "multitask_pyramid",
        "aasce.solvers.multitask_pyramid.solver:MultitaskPyramidSolver",
        "regresses the three angles from the pooled stages of a network that segments vertebrae",
        _paper(
            "Wang, Wang, Liu",
            "A Multi-task Learning Method for Direct Estimation of Spinal Curvature",
            "113-118",
        ),
        (
            Figure(12.97, "SMAPE", PUBLIC_VALIDATION, "12.8 on 125 films in its introduction"),
            Figure(6.69, "MAE", PUBLIC_VALIDATION),
        ),
    ),
    Entry(
        "rotated_proposals",
        "aasce.solvers.rotated_proposals.solver:RotatedProposalsSolver",
        "proposes vertebrae as rotated boxes, then finds the corners in maps aligned to each box",
        _paper(
            "Tao et al.",
            "Automated Spinal Curvature Assessment from X-Ray Images Using Landmarks Estimation Network via Rotation "
            "Proposals",
            "95-100",
        ),
        (Figure(25.4784, "SMAPE", HIDDEN, "30.71 by its V-Net, 40.79 by its cascade pyramid network"),),
        mirror_px=3.0,
    ),
    Entry(
        "scg_net",
        "aasce.solvers.scg_net.solver:ScgNetSolver",
        "draws the spine's two borders, then regresses the three angles from film and borders",
        _paper(
            "Wang, Huang, Wang",
            "Spinal Curve Guide Network (SCG-Net) for Accurate Automated Spinal Curvature Estimation",
            "107-112",
        ),
        (Figure(22.1775, "SMAPE", HIDDEN),),
    ),
    Entry(
        "seg4reg",
        "aasce.solvers.seg4reg.solver:Seg4RegSolver",
        "segments vertebrae and discs, then regresses the three angles from film and mask",
        _paper("Lin et al.", "Seg4Reg Networks for Automated Spinal Curvature Estimation", "69-74"),
        (
            Figure(4.7128, "MAE an1", "own validation part of the public films", "an2 5.7965, an3 5.6596"),
            Figure(21.71, "SMAPE", HIDDEN, "ensemble, small angles to zero; 26.15 for its best single model"),
        ),
    ),
    Entry(
        "top_down",
        "aasce.solvers.top_down.solver:TopDownSolver",
        "segments the spine, fits a function to its borders, corrects end vertebrae by their edges",
        _paper("Zhao et al.", "Automatic Spine Curvature Estimation by a Top-Down Approach", "75-80"),
        (Figure(26.0535, "SMAPE", HIDDEN),),
    ),
    Entry(
        DEFAULT_SOLVER,
        "aasce.solvers.vertebra_field.solver:VertebraFieldSolver",
        "finds 17 vertebrae and their corners by votes of a dense field; the default",
        mirror_px=2.0,
    ),
)

SOLVERS: dict[str, Entry] = {entry.name: entry for entry in ENTRIES}
"""Every solver of the kit by its name."""


def entry_of(solver: str) -> Entry:
    """The entry of a solver; one without figures for a solver from outside the kit."""
    return SOLVERS.get(solver, Entry(solver, solver, "", "not a method of this kit"))


def solver_class(name: str) -> type[Solver]:
    """Imports the class of a solver, by its name in `SOLVERS` or as "my.module:Class".

    Raises:
        AasceError: the name is unknown (the nearest one is named), the module cannot be imported, holds no solver, or
            torch and torchvision do not fit each other.
    """
    target = SOLVERS[name].target if name in SOLVERS else name
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
    from aasce.solvers.base import Solver

    if not isinstance(found, type):
        raise AasceError(
            f"{name}: module {module} holds no class {attribute!r}; name one as 'my.module:Class'"
        )
    if not issubclass(found, Solver):
        raise AasceError(f"{name}: {attribute} is no solver; derive it from aasce.solvers.base.Solver")
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
