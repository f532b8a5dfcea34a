"""A film at hand with metal on its spine, so that training sees implants with the labels of the film."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aasce.phantom.devices.on_film.implants import Parts, column_of
from aasce.phantom.devices.on_film.worn import KINDS, MAKERS, HardwareKind
from aasce.types import Array
from aasce.xray.chords import path_lengths
from aasce.xray.hardware import Bytes, Map, MetalLook, attenuated, draw_look
from aasce.xray.materials import linear_attenuation


def with_hardware(
    film: Bytes, landmarks: Array, rng: np.random.Generator, kinds: Sequence[HardwareKind] = KINDS
) -> Bytes:
    """A film with metal of one kind, sometimes of two, on its spine.

    Args:
        film: (H, W) uint8, bone bright, upright.
        landmarks: (V, 4, 2) px, 3 vertebrae or more from the top.
        rng: source of every draw.
        kinds: to choose from.

    Returns:
        (H, W) uint8; pixels away from metal are those of `film`.
    """
    size = (film.shape[0], film.shape[1])
    column = column_of(landmarks, size, rng)
    count = 2 if len(kinds) > 1 and rng.random() < 0.2 else 1
    chosen = [kinds[int(k)] for k in rng.choice(len(kinds), count, replace=False)]
    look = draw_look(film, rng)
    metal = sum((_attenuation(MAKERS[kind](column, rng), size, column.px_mm, look) for kind in chosen), 0.0)
    return attenuated(film, np.asarray(metal, np.float32), look, rng)


def _attenuation(parts: Parts, size: tuple[int, int], px_mm: float, look: MetalLook) -> Map:
    """(H, W) ln attenuation by solids of several materials."""
    total = np.zeros(size, np.float32)
    for material, solids in parts.items():
        factor = float(linear_attenuation(material, [look.kev])[0])
        total += np.float32(factor) * path_lengths(solids, size, px_mm)
    return total
