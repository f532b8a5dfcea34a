"""`template`: a deformable spine template and its appearance, fitted to one scan; nothing is trained.

Kim and Park 2024, Vertebral Segmentation without Training using Differentiable Appearance Modeling of a Deformable
Spine Template (a poster, which names the stages and losses and gives no formulas for most). Departures:

- The templates are the phantom's mean vertebrae, one a level, where the paper has the mean of the lumbar vertebrae of
  xVertSeg for all.
- The coarsest modes of the Laplacian carry U_i, not all of them, and A_i has a translation; both decay towards the
  template, as the given centroids are good to a few mm.
- The vertebrae above the first and below the last given one are fitted too and left out of the answer.
- f_theta is one function a region by default.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray

from aasce.config import dump_settings
from aasce.ct.base import Need, ScanMethod, ScanSet, Surface, VertebraSet
from aasce.ct.template.fit import FittedSpine, SpineFit
from aasce.ct.template.image import cropped
from aasce.ct.template.settings import TemplateConfig
from aasce.files import write_text
from aasce.solvers.base import (
    CONFIG_FILE,
    FitReport,
    RunFolder,
    RunState,
    merged_flags,
    read_config,
    read_state,
    write_numbers,
    write_state,
)
from aasce.solvers.shared.trainer import resolve_device
from aasce.types import AasceError
from aasce.volume import Volume
from aasce.xray.mesh import Mesh
from aasce.xray.voxels import voxelise

UNCLEAR = 0.5
"""Confidence below which a surface is not trusted."""

LEAST_CONFIDENCE = 0.01
"""Of a surface that is bright nowhere: it is an answer still."""

BONE_HU = 120.0
NO_BONE = f"nothing around the given vertebrae is as bright as bone ({BONE_HU:.0f} HU)"

UNCLEAR_FLAG = "surface_unclear"
OUTSIDE_FLAG = "vertebra_leaves_scan"


class Template(ScanMethod):
    """See the module. Starts from centroids, answers masks, surfaces and the middles of the fitted bodies."""

    name: ClassVar[str] = "template"
    Config: ClassVar[type[TemplateConfig]] = TemplateConfig
    needs: ClassVar[Need] = "centroids"
    trains: ClassVar[bool] = False

    def __init__(self, config: TemplateConfig | None = None, device: str = "cpu") -> None:
        self.config: TemplateConfig = config or TemplateConfig()
        self.device = resolve_device(device)

    def fit(self, train: ScanSet, validation: ScanSet | None, run: RunFolder) -> FitReport:
        """Trains nothing: the templates are the phantom's."""
        return FitReport(notes={"trained": False})

    def predict(self, scan: Volume, start: VertebraSet | None = None) -> VertebraSet:
        """Fits the template, in one thread, since sums over several threads differ from run to run.

        Args:
            scan: HU, any grid.
            start: centroids by label.

        Raises:
            AasceError: no centroids, one outside the scan, or a scan that is no CT.
        """
        start = _checked(scan, start)
        if not _has_bone(scan, start.centroids):
            return VertebraSet(start.scan_id, flags=start.flags, method=self.name, failure=NO_BONE)
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            fitted = SpineFit(scan, start.labels, start.centroids, self.config, self.device).run()
        finally:
            torch.set_num_threads(threads)
        return self._answer(scan, start, fitted)

    def _answer(self, scan: Volume, start: VertebraSet, fitted: FittedSpine) -> VertebraSet:
        meshes = fitted.meshes
        surfaces = {
            label: Surface(vertices, mesh.faces)
            for label, vertices, mesh in zip(start.labels.tolist(), fitted.vertices, meshes, strict=True)
        }
        # The middle of the fitted body is where the template's own middle went.
        bodies = [v[m.body].mean(0) for v, m in zip(fitted.vertices, meshes, strict=True)]
        confidence = np.minimum(start.confidence, np.maximum(fitted.contrast, LEAST_CONFIDENCE))
        flags = [UNCLEAR_FLAG] if (confidence < UNCLEAR).any() else []
        flags += [OUTSIDE_FLAG] if any(_leaves(scan, v) for v in fitted.vertices) else []
        return start.with_(
            centroids=np.array(bodies),
            confidence=confidence,
            masks=label_map(surfaces, scan),
            surfaces=surfaces,
            flags=merged_flags(start.flags, flags),
            method=self.name,
        )

    def save(self, folder: Path) -> None:
        """Writes settings and state; the weights file is empty, as there are no weights."""
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / CONFIG_FILE, dump_settings(self.config))
        target = f"{type(self).__module__}:{type(self).__qualname__}"
        learned = self.learned.model_dump(mode="json")
        write_state(folder, RunState(self.name, target, learned, dict(self.training)))
        write_numbers(folder, {})

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> Self:
        """Reads what `save` wrote."""
        method = cls(read_config(folder, cls.Config), device)
        method.training = read_state(folder, cls.name).training
        return method


def _checked(scan: Volume, start: VertebraSet | None) -> VertebraSet:
    if start is None or not len(start.labels):
        raise AasceError(
            "template: needs the middles of the vertebrae to start from; give centroids or locate them first"
        )
    if scan.kind != "ct":
        raise AasceError(f"{start.scan_id}: is no CT but {scan.kind}; a template is fitted to HU")
    index = scan.to_index(start.centroids)
    outside = ((index < -0.5) | (index > np.array(scan.shape) - 0.5)).any(1)
    if outside.any():
        raise AasceError(
            f"{start.scan_id}: the middles of {start.labels[outside].tolist()} lie outside the scan; "
            "give centroids of this scan"
        )
    return start


def _has_bone(scan: Volume, centroids: NDArray[np.float64]) -> bool:
    """Whether any voxel within the reach of a template is as bright as bone."""
    return bool((cropped(scan, centroids).data > BONE_HU).any())


def _leaves(scan: Volume, vertices: NDArray[np.float64]) -> bool:
    """Whether a surface reaches beyond the scan."""
    index = scan.to_index(vertices)
    return bool(((index < -0.5) | (index > np.array(scan.shape) - 0.5)).any())


def label_map(surfaces: dict[int, Surface], scan: Volume) -> Volume:
    """Labels of VerSe on a scan's own grid, oblique or mirrored as it may be: 0 outside all surfaces.

    Where surfaces overlap the lower vertebra counts.

    Args:
        surfaces: by label, from the head.
        scan: whose grid it is.
    """
    mirrored = np.linalg.det(scan.affine[:3, :3]) < 0
    meshes = []
    for label, surface in surfaces.items():
        faces = surface.faces[:, ::-1].copy() if mirrored else surface.faces
        index = torch.as_tensor(scan.to_index(surface.vertices))
        meshes.append(Mesh(str(label), "cortex", "soft", index, torch.as_tensor(faces)))
    bounds = np.array([[-0.5] * 3, np.array(scan.shape) - 0.5])
    voxels = voxelise(meshes, 1.0, bounds, lambda mesh: float(mesh.name), kind="label")
    return Volume(voxels.data, scan.affine, "label")
