"""`keypoint_fusion`: two ways to the 68 keypoints, fused by a vote on the end vertebrae.

Chen, Peng, Li, Cheng, Wei: Accurate Automated Keypoint Detections for Spinal Curvature Estimation, AASCE 2019. Taken
from the paper: Method 1, a RetinaNet whose boxes lie tight around the four keypoints of a vertebra, two filters of its
boxes, and an HRNet that finds the corners in each box; Method 2, Simple Baseline I with 68 heatmaps of the whole
spine, patches of 4 to 12 of its points, Simple Baseline II with a heatmap for each corner tag on patches, DBSCAN, the
check of the ends, the squeezed-vertebra test (with and without it: two results), the median count, K-means, outliers
by the gap ratio, K-means again, and the check of the last three vertebrae; the fusion of the three results by a
quality check, a vote on the end vertebrae and an average; its rule of the angles (`rule: paper`). `fusion` makes the
paper's comparisons on trained weights: each result alone, the vote, the plain average.

Departures, each a setting where it can be one (the paper's values are in configs/solvers/paper): networks that train
on a CPU; dozens of patches a film in place of hundreds, the same ones for every film; all networks also read the
mirror image; the squared error of heatmaps weighs keypoints more than the empty rest; dilated convolutions in Simple
Baseline I; the challenge's rule of the angles (`rule`), which is what is scored; a longer step between boxes
(`boxes.step`), as the paper's drops vertebrae below a missed one; clusters joined by their place along the spine
(`clusters.pairing`); the plain average of the angles (`fusion`), as the vote makes the major angle too small; where
the votes do not agree, Method 2 without the squeezed-vertebra test decides and not a random draw of the two;
vertebrae that are missing are filled in, so that 17 are predicted.
"""

from __future__ import annotations

from typing import ClassVar

from aasce.datasets import FilmSet
from aasce.preprocess.intensity import to_uint8
from aasce.solvers.base import FitReport, RunFolder
from aasce.solvers.keypoint_fusion.fusion import Candidate, fuse
from aasce.solvers.keypoint_fusion.inference import method1, method2
from aasce.solvers.keypoint_fusion.network import KeypointFusionNet
from aasce.solvers.keypoint_fusion.settings import Fusion, KeypointFusionConfig
from aasce.solvers.keypoint_fusion.task import BoxTask, CornerTask, PatchTask, RoughTask
from aasce.solvers.shared.autocrop import film_box
from aasce.solvers.shared.landmark_solver import LandmarkReading, LandmarkSolver
from aasce.solvers.shared.samples import Floats, SampleSplit, canvas_of, load_split
from aasce.types import Radiograph

METHOD2: dict[bool, Fusion] = {False: "method2", True: "method2_squeezed"}
"""Names of the results of Method 2 without and with the squeezed-vertebra test."""


class KeypointFusionSolver(LandmarkSolver):
    """See the module. Predicts landmarks, and angles by its vote."""

    name: ClassVar[str] = "keypoint_fusion"
    Config: ClassVar[type[KeypointFusionConfig]] = KeypointFusionConfig
    config: KeypointFusionConfig
    module: KeypointFusionNet

    def networks(self, start: bool) -> KeypointFusionNet:
        return KeypointFusionNet(self.config, start)

    def fit(self, train: FilmSet, validation: FilmSet | None, run: RunFolder) -> FitReport:
        """Trains the four networks one after the other, in boxes/, corners/, rough/ and patches/ of the run.

        Weights are chosen by each network's own score on `validation`, which also sets the confidence.
        """
        self.begin()
        split = load_split(train, validation, self.config.intensity, rows=self.config.canvas[0])
        reports = self.fit_networks(split, run)
        notes = self.calibrate(validation)
        for stage, report in reports.items():
            if report.best_score is not None:
                notes[f"validation_{stage}"] = report.best_score
        parts = list(reports.values())
        epochs, seconds = sum(r.epochs for r in parts), sum(r.seconds for r in parts)
        return FitReport(epochs, parts[-1].best_epoch, parts[-1].best_score, seconds, notes)

    def fit_networks(self, split: SampleSplit, run: RunFolder) -> dict[str, FitReport]:
        """Trains each network; none needs another."""
        c, net = self.config, self.module
        stages = {
            "rough": (RoughTask(c, net, split), c.rough.train),
            "patches": (PatchTask(c, net, split), c.patches.train),
            "boxes": (BoxTask(c, net, split), c.boxes.train),
            "corners": (CornerTask(c, net, split), c.corners.train),
        }
        return {name: self.trained(task, train, run, name) for name, (task, train) in stages.items()}

    def read(self, film: Radiograph, spine: Floats | None = None) -> LandmarkReading | str:
        """Landmarks and angles of a film, or the reason why there are none."""
        c = self.config
        found = fuse(self.candidates(film, spine), c.fusion, c.rule, c.quality, film.height)
        if found is None:
            return "no spine found on the film"
        return LandmarkReading(found.landmarks, found.confidence, found.spread, angles=found.angles)

    def candidates(self, film: Radiograph, spine: Floats | None = None) -> list[Candidate]:
        """The results of both methods for a film.

        Args:
            film: upright, bone bright.
            spine: (x0, y0, x1, y1) px around T1 to L5; None where it is not known.
        """
        pixels = to_uint8(film.pixels)
        canvas, view = canvas_of(
            pixels, film_box(film.size, spine), self.config.canvas, self.config.intensity
        )
        found = []
        first = method1(self.module, canvas, self.config)
        if first is not None:
            found.append(Candidate("method1", view.undo(first.landmarks), first.confidence))
        for squeezed, column in method2(self.module, canvas, self.config).items():
            found.append(Candidate(METHOD2[squeezed], view.undo(column.landmarks), column.confidence))
        return found
