"""Spines and films made by formula, for tests that must not need real ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.io import savemat

from aasce.geometry.cobb import cobb_angles

Floats = NDArray[np.float64]
SIZE = (448, 192)
"""(H, W) of a made film."""


def bent_spine(bend: float, size: tuple[int, int] = SIZE) -> Floats:
    """(17, 4, 2) px corners in whole px; tilts run from +bend/2 at T1 to -bend/2 at L5 degrees, evenly.

    Each centre follows from the one above along the normal of the vertebra's tilt, as bodies stack.
    """
    height, width = size
    step = 0.85 * height / 17
    tilt = np.radians(np.linspace(bend / 2, -bend / 2, 17))
    along = step * np.stack([-np.sin(tilt), np.cos(tilt)], axis=-1)
    centres = np.cumsum(along, axis=0)
    centres += np.array([width / 2, height / 2]) - (centres.max(axis=0) + centres.min(axis=0)) / 2
    half = np.stack([np.linspace(0.6, 1.4, 17) * step * 0.8, np.full(17, 0.34 * step)], axis=-1)
    signs = np.array([[-1, -1], [1, -1], [-1, 1], [1, 1]])
    box = signs[None] * half[:, None]
    turn = np.stack([np.cos(tilt), -np.sin(tilt), np.sin(tilt), np.cos(tilt)], axis=-1).reshape(-1, 2, 2)
    return np.round(np.einsum("vij,vkj->vki", turn, box) + centres[:, None])


def drawn_film(landmarks: Floats, size: tuple[int, int] = SIZE, seed: int = 0) -> NDArray[np.uint8]:
    """(H, W) uint8: vertebrae with bright endplates, brighter from level to level, on a grey column."""
    film = np.full(size, 45.0)
    cv2.polylines(film, [np.int32(np.round(landmarks.mean(axis=1)))], False, 95.0, size[1] // 5)
    film = cv2.GaussianBlur(film, (0, 0), 4)
    for level, corners in enumerate(np.int32(np.round(landmarks))):
        cv2.fillConvexPoly(film, corners[[0, 1, 3, 2]], 120.0 + 4 * level)
        cv2.polylines(film, [corners[[0, 1]], corners[[2, 3]]], False, 215.0, 1)
    film = cv2.GaussianBlur(film, (0, 0), 0.8) + np.random.default_rng(seed).normal(0, 4, size)
    return film.clip(0, 255).astype(np.uint8)


def write_films(
    root: Path, films: Mapping[str, tuple[NDArray[np.uint8], Floats]], part: str = "training"
) -> Path:
    """Writes films with labels in the organisers' layout; returns `root`."""
    pictures, labels = root / "data" / part, root / "labels" / part
    pictures.mkdir(parents=True)
    labels.mkdir(parents=True)
    shares, angles = [], []
    for name, (film, landmarks) in films.items():
        Image.fromarray(film).save(pictures / name, quality=95)
        savemat(labels / f"{name}.mat", {"p2": landmarks.reshape(68, 2).astype(np.uint16)})
        height, width = film.shape
        shares.append((landmarks.reshape(68, 2) / [width, height]).T.ravel())
        angles.append(cobb_angles(landmarks, height).degrees)
    (labels / "filenames.csv").write_bytes("".join(f"{name}\r\n" for name in films).encode())
    np.savetxt(labels / "landmarks.csv", shares, fmt="%.5g", delimiter=",")
    np.savetxt(labels / "angles.csv", angles, fmt="%.5g", delimiter=",")
    return root


def write_challenge(
    root: Path, spines: Sequence[Floats], size: tuple[int, int] = SIZE, part: str = "training"
) -> Path:
    """Writes drawn films with labels in the organisers' layout, one study a film; returns `root`."""
    drawn = {
        f"sunhl-1th-01-Jan-2017-{k + 1} A AP.jpg": (drawn_film(landmarks, size, seed=k), landmarks)
        for k, landmarks in enumerate(spines)
    }
    return write_films(root, drawn, part)


def textured_film(landmarks: Floats, size: tuple[int, int], seed: int) -> NDArray[np.uint8]:
    """A film whose texture no other seed shares."""
    grain = cv2.GaussianBlur(np.random.default_rng(seed).normal(0, 1, size), (0, 0), 2)
    film = drawn_film(landmarks, size, seed) + 14 * grain / grain.std()
    return film.clip(0, 255).astype(np.uint8)


def exported_anew(film: NDArray[np.uint8], landmarks: Floats) -> tuple[NDArray[np.uint8], Floats]:
    """A film cropped, enlarged, darkened, and labelled by an unsteady hand."""
    top, left = 30, 20
    cropped = cv2.resize(film[top:, left:-left], None, fx=1.2, fy=1.2, interpolation=cv2.INTER_CUBIC)
    darker = (255 * (cropped / 255.0) ** 1.3).astype(np.uint8)
    hand = np.random.default_rng(5).normal(0, 1.5, landmarks.shape)
    return darker, np.round((landmarks - [left, top]) * 1.2 + hand)


def write_repeated(root: Path) -> Path:
    """Three films: a spine, another exposure of that very spine, and the first one as another study's export."""
    size = (1024, 448)
    spine = bent_spine(50.0, size)
    first = textured_film(spine, size, 1)
    films = {
        "sunhl-1th-02-Jan-2017-1 A AP.jpg": (first, spine),
        "sunhl-1th-02-Jan-2017-1 B AP.jpg": (textured_film(spine, size, 2), spine),
        "sunhl-1th-03-Feb-2017-9 A AP.jpg": exported_anew(first, spine),
    }
    return write_films(root, films)


def write_unnamed(root: Path, columns: Sequence[Floats], size: tuple[int, int] = (240, 100)) -> Path:
    """Writes drawn films in the layout of Spinal-AI2024, 000001.jpg and so on; returns the set's folder."""
    folder = root / "spinal_ai2024"
    (folder / "films").mkdir(parents=True)
    rows = ["name,width,height,vertebrae,corners"]
    for number, corners in enumerate(columns, start=1):
        name = f"{number:06d}.jpg"
        Image.fromarray(drawn_film(corners, size, seed=number)).save(folder / "films" / name, quality=95)
        numbers = " ".join(f"{value:.3f}" for value in corners.ravel())
        rows.append(f"{name},{size[1]},{size[0]},{len(corners)},{numbers}")
    (folder / "corners.csv").write_text("\n".join(rows) + "\n")
    return folder
