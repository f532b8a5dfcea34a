"""Digitally reconstructed radiographs: line integrals through a CT volume by nanodrr (Gopalakrishnan), for any camera.

A CT gives attenuation at one energy only. Each voxel is therefore assigned to one of a few materials by its HU
(thresholds half-way between their values), with the density that its HU imply. The rays' path lengths through each
material then pass through the same spectrum as those of meshes. nanodrr integrates all materials in one pass: they are
the labels of its label map.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from aasce.types import AasceError, Array
from aasce.volume import Volume
from aasce.xray.camera import Camera
from aasce.xray.raster import MaterialMaps
from aasce.xray.transmission import Spectrum, transmission
from aasce.xray.voxels import hounsfield

TISSUES: tuple[str, ...] = ("air", "lung", "fat", "soft", "marrow", "cortex", "titanium", "steel")
"""Materials that HU can distinguish, from the least dense."""

_PADDING = -1200.0  # HU: lower numbers fill what the scanner did not image
_SAMPLES = 1 << 22  # sampling points of all rays in memory at once


def thresholds() -> tuple[float, ...]:
    """HU half-way between each of `TISSUES` and the next."""
    values = [hounsfield(name) for name in TISSUES]
    return tuple((a + b) / 2 for a, b in pairwise(values))


def drr(volume: Volume, camera: Camera, beam: Spectrum | float, step_mm: float | None = None) -> torch.Tensor:
    """Line integrals of attenuation through a CT: -ln of the intensity relative to the open beam.

    Args:
        volume: a CT in HU.
        camera: of the film; the computation runs on the device of its pose's tensors.
        beam: a spectrum, or one energy in keV.
        step_mm: distance of samples along a ray; the volume's smallest spacing when None.

    Returns:
        (H, W) float32, 0 in the open beam; exp(-drr) is the intensity that `develop` takes.

    Raises:
        AasceError: the volume is not a CT.
    """
    spectrum = beam if isinstance(beam, Spectrum) else Spectrum(np.array([float(beam)]), np.array([1.0]))
    return -torch.log(transmission(volume_maps(volume, camera, step_mm), spectrum))


def volume_maps(volume: Volume, camera: Camera, step_mm: float | None = None) -> MaterialMaps:
    """Path length in mm through each of `TISSUES` at its usual density, as `material_maps` gives it for meshes.

    The map of air is zero, because `transmission` counts what displaces air. See `drr` for the arguments.
    """
    if volume.kind != "ct":
        raise AasceError(f"volume of kind {volume.kind!r}: a radiograph needs HU; give a CT")
    tissue = np.digitize(volume.data, thresholds()).astype(np.uint8)
    lengths = _integrals(_density(volume.data, tissue), tissue, volume, camera, step_mm)
    lengths[1] += lengths[0]  # voxels slightly denser than air, as lung of low density
    maps = MaterialMaps(
        (name, lengths[i]) for i, name in enumerate(TISSUES) if i < 2 or i in np.unique(tissue)
    )
    maps["air"] = torch.zeros_like(lengths[0])
    return maps


def _density(hu: Array, tissue: Array) -> Array:
    """Attenuation beyond that of air, relative to that of the voxel's tissue; for air, to that of the lung."""
    usual = np.array([hounsfield(name) + 1000 for name in TISSUES], dtype=np.float32)
    usual[0] = usual[1]
    # Noise around -1000 HU is kept, so that its mean stays that of air.
    excess = np.where(hu < _PADDING, np.float32(0), hu + np.float32(1000))
    return np.asarray(excess / usual[tissue], dtype=np.float32)


def _integrals(
    density: Array, tissue: Array, volume: Volume, camera: Camera, step_mm: float | None
) -> torch.Tensor:
    """(C, H, W) mm: density integrated along every ray, by tissue."""
    from nanodrr.drr import render  # seconds to import, and needed for films of scans alone

    origin, direction = (part.float() for part in camera.rays())
    device = origin.device
    source = origin.reshape(1, -1, 3)
    target = source + direction.reshape(1, -1, 3) * camera.ray_length().float().to(device).reshape(1, -1, 1)
    samples = _samples(volume, source, target, step_mm or float(volume.spacing.min()))
    subject = _subject(density, tissue, volume).to(device)
    pose, unused = torch.eye(4, device=device)[None], torch.ones(1, 3, 3, device=device)
    parts = []
    for begin in range(0, source.shape[1], max(_SAMPLES // samples, 1)):
        rays = slice(begin, begin + max(_SAMPLES // samples, 1))
        near, far = source[:, rays], target[:, rays]
        part = render(
            subject,
            unused,
            pose,
            unused[:, 0, 0],
            1,
            far.shape[1],
            samples,
            soft_labels=True,
            src=near,
            tgt=far,
        )
        parts.append(part.reshape(len(TISSUES), -1))
    return torch.cat(parts, 1).reshape(len(TISSUES), *camera.size)


def _subject(density: Array, tissue: Array, volume: Volume) -> Any:
    """The volume in nanodrr's form, with attenuation as given."""
    from nanodrr.data import Subject  # as above
    from torchio import LabelMap, ScalarImage

    image = ScalarImage(tensor=torch.from_numpy(density)[None], affine=volume.affine)
    label = LabelMap(tensor=torch.from_numpy(tissue)[None], affine=volume.affine)
    return Subject.from_images(image, label, max_label=len(TISSUES) - 1, convert_to_mu=False)


def _samples(volume: Volume, source: torch.Tensor, target: torch.Tensor, step_mm: float) -> int:
    """Samples per ray, such that their distance on the longest way through the volume is `step_mm`."""
    shape = torch.tensor(volume.shape, dtype=torch.float64)
    matrix = torch.from_numpy(np.linalg.inv(volume.affine))
    start, end = (p.detach().cpu().double() @ matrix[:3, :3].T + matrix[:3, 3] for p in (source, target))
    way = torch.where((end - start).abs() < 1e-9, 1e-9, end - start)
    enter, leave = (-1.0 - start) / way, (shape - start) / way
    t0 = torch.minimum(enter, leave).amax(-1).clamp(0, 1)
    t1 = torch.maximum(enter, leave).amin(-1).clamp(0, 1)
    length = (target - source).norm(dim=-1).detach().cpu()
    return max(math.ceil(float(((t1 - t0).clamp(min=0) * length).max()) / step_mm), 2)
