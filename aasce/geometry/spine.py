"""Vertebra and corner order."""
from __future__ import annotations
import numpy as np
from aasce.types import Array, as_float


def order_vertebrae(landmarks: Array) -> Array:
    p = as_float(landmarks)
    return p[np.argsort(p.mean(axis=1)[:, 1], kind="stable")]


def repair_corners(landmarks: Array) -> Array:
    p = as_float(landmarks).copy()
    c = p.mean(axis=1)
    d = np.gradient(c, axis=0)
    d /= np.linalg.norm(d, axis=1, keepdims=True)
    for i, q in enumerate(p):
        r = q - c[i]
        down = r @ d[i]
        o = np.argsort(down)
        right = np.array([d[i, 1], -d[i, 0]])
        top, bot = q[o[:2]], q[o[2:]]
        top = top[np.argsort((top - c[i]) @ right)]
        bot = bot[np.argsort((bot - c[i]) @ right)]
        p[i] = np.concatenate([top, bot])
    return p
