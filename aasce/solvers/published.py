"""What the papers report of their own methods, to stand beside what is measured here. Read without torch.

Every SMAPE is on the challenge's official scale, 100 / N over films without a factor of 2: Dubost et al. print 20.4
for their own films by a formula with 200 / n (their equation 2), which is 10.2 here; their figure on the hidden
test is the leaderboard's and needs no halving. Nobody measured on the folds that `aasce bench` deals: the hidden
test's films were never released with labels, are whole films (skull to pelvis) and much harder than the public
ones. A figure stands beside a score here to say how a method did in its authors' hands, not to be beaten by it.
"""

from __future__ import annotations

from dataclasses import dataclass

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
class Published:
    """A method's paper and its figures, the most comparable first; none for a method of this kit."""

    citation: str
    figures: tuple[Figure, ...] = ()


def _of(authors: str, title: str, pages: str, *figures: Figure) -> Published:
    return Published(f"{authors}: {title}. {PROCEEDINGS}, pp. {pages}", figures)


KIT = Published("a method of this kit, published nowhere else")

PUBLISHED: dict[str, Published] = {
    "centerline": _of(
        "Dubost et al.",
        "Automated Estimation of the Spinal Curvature via Spine Centerline Extraction with Ensembles of Cascaded "
        "Neural Networks",
        "88-94",
        Figure(
            10.2,
            "SMAPE",
            "61 films drawn at random from the public 609, patients not kept apart",
            "printed as 20.4 with a factor of 200; 24 models averaged; vertebrae at both ends cropped away",
        ),
        Figure(3.18, "MAE an1", "the same 61 films", "upper 3.6, lower 5.19"),
        Figure(22.96, "SMAPE", HIDDEN, "the same ensemble; films cropped by hand"),
    ),
    "coarse_to_fine": _of(
        "Zhong et al.",
        "A Coarse-to-Fine Deep Heatmap Regression Method for Adolescent Idiopathic Scoliosis Assessment",
        "101-106",
        Figure(24.7987, "SMAPE", HIDDEN, "26.4455 before the curve is refined"),
    ),
    "constant": KIT,
    "corner_regression": _of(
        "Khanal et al.",
        "Automatic Cobb Angle Detection Using Vertebra Detector and Vertebra Corners Regression",
        "81-87",
        Figure(25.69, "SMAPE", HIDDEN, "33.3 without the crop, 26.79 without the polynomial"),
    ),
    "inverse_render": KIT,
    "keypoint_fusion": _of(
        "Chen et al.",
        "Accurate Automated Keypoint Detections for Spinal Curvature Estimation",
        "63-68",
        Figure(22.16582, "SMAPE", HIDDEN, "three results fused"),
    ),
    "labelling": _of(
        "Bayat et al.",
        "Vertebral Labelling in Radiographs: Learning a Coordinate Corrector to Enforce Spinal Shape",
        "39-46",
        Figure(52.63, "identification rate", "own coronal radiographs", "52.28 in the abstract"),
        Figure(85.32, "identification rate", "own sagittal radiographs"),
    ),
    "multitask_pyramid": _of(
        "Wang, Wang, Liu",
        "A Multi-task Learning Method for Direct Estimation of Spinal Curvature",
        "113-118",
        Figure(12.97, "SMAPE", PUBLIC_VALIDATION, "12.8 on 125 films in its introduction"),
        Figure(6.69, "MAE", PUBLIC_VALIDATION),
    ),
    "rotated_proposals": _of(
        "Tao et al.",
        "Automated Spinal Curvature Assessment from X-Ray Images Using Landmarks Estimation Network via Rotation "
        "Proposals",
        "95-100",
        Figure(25.4784, "SMAPE", HIDDEN),
    ),
    "scg_net": _of(
        "Wang, Huang, Wang",
        "Spinal Curve Guide Network (SCG-Net) for Accurate Automated Spinal Curvature Estimation",
        "107-112",
        Figure(22.1775, "SMAPE", HIDDEN),
    ),
    "seg4reg": _of(
        "Lin et al.",
        "Seg4Reg Networks for Automated Spinal Curvature Estimation",
        "69-74",
        Figure(4.7128, "MAE an1", "own validation part of the public films", "an2 5.7965, an3 5.6596"),
        Figure(21.71, "SMAPE", HIDDEN, "ensemble, small angles to zero; 26.15 for its best single model"),
    ),
    "top_down": _of(
        "Zhao et al.",
        "Automatic Spine Curvature Estimation by a Top-Down Approach",
        "75-80",
        Figure(26.0535, "SMAPE", HIDDEN),
    ),
    "vertebra_field": KIT,
}
"""By the solver's name; methods that are not in `aasce.solvers.SOLVERS` yet stand here already."""


def published(solver: str) -> Published:
    """What is published of a solver; without figures for one from outside the kit."""
    return PUBLISHED.get(solver, Published("not a method of this kit"))
