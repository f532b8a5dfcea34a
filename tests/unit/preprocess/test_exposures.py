"""One exposure under two names is found, two films of one spine are not."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from aasce.commands.audit import audit
from aasce.geometry.cobb import cobb_angles
from aasce.preprocess.exposures import repeated_exposures
from aasce.readers import read_challenge
from tests.synthetic import bent_spine, drawn_film

SIZE = (1024, 448)
MARGIN = (30, 20)


def textured(landmarks: np.ndarray, seed: int) -> np.ndarray:
    """A film whose texture no other seed shares."""
    film = drawn_film(landmarks, SIZE, seed).astype(float)
    grain = np.random.default_rng(seed).normal(0, 1, SIZE)
    film += 14 * cv2.GaussianBlur(grain, (0, 0), 2) / cv2.GaussianBlur(grain, (0, 0), 2).std()
    return film.clip(0, 255).astype(np.uint8)


def exported_anew(film: np.ndarray, landmarks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cropped, enlarged, darkened, and labelled by an unsteady hand."""
    top, left = MARGIN
    cropped = cv2.resize(film[top:, left:-left], None, fx=1.2, fy=1.2, interpolation=cv2.INTER_CUBIC)
    darker = (255 * (cropped / 255.0) ** 1.3).astype(np.uint8)
    hand = np.random.default_rng(5).normal(0, 1.5, landmarks.shape)
    return darker, np.round((landmarks - [left, top]) * 1.2 + hand)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three films: a spine, another exposure of that very spine, and the first one exported anew."""
    spine = bent_spine(50.0, SIZE)
    first = textured(spine, 1)
    films = {"02-Jan-2017-1 A": (first, spine), "02-Jan-2017-1 B": (textured(spine, 2), spine)}
    films["03-Feb-2017-9 A"] = exported_anew(first, spine)
    pictures, labels = tmp_path / "data/training", tmp_path / "labels/training"
    pictures.mkdir(parents=True)
    labels.mkdir(parents=True)
    names = [f"sunhl-1th-{name} AP.jpg" for name in films]
    rows, angles = [], []
    for name, (film, landmarks) in zip(names, films.values(), strict=True):
        Image.fromarray(film).save(pictures / name, quality=92)
        savemat(labels / f"{name}.mat", {"p2": landmarks.reshape(68, 2).astype(np.uint16)})
        rows.append((landmarks.reshape(68, 2) / [film.shape[1], film.shape[0]]).T.ravel())
        angles.append(cobb_angles(landmarks, film.shape[0]).degrees)
    (labels / "filenames.csv").write_text("".join(f"{name}\n" for name in names))
    np.savetxt(labels / "landmarks.csv", rows, fmt="%.5g", delimiter=",")
    np.savetxt(labels / "angles.csv", angles, fmt="%.5g", delimiter=",")
    return tmp_path


def test_the_export_is_found_and_the_second_exposure_is_not(data: Path) -> None:
    found = repeated_exposures(read_challenge(data))
    assert [(pair.first, pair.second) for pair in found] == [(0, 2)]
    assert 0.8 < found[0].correlation <= 1


def test_films_without_labels_are_not_compared(data: Path) -> None:
    assert repeated_exposures(read_challenge(data, labels="none")) == []


def test_the_audit_says_how_far_the_two_labellings_differ(data: Path) -> None:
    films, findings = audit(data)
    said = {f.film_id: f.fault for f in findings if f.fault.kind == "same_exposure"}
    assert list(said) == [films[2].film_id]
    detail = said[films[2].film_id].detail
    assert detail.startswith(f"the exposure of {films[0].film_id} again")
    angles = [films[i].angles for i in (0, 2)]
    apart = np.abs(np.subtract(*angles))  # type: ignore[arg-type]
    assert detail.endswith(f"differ by {apart[0]:.1f} {apart[1]:.1f} {apart[2]:.1f} degrees")


def test_a_copied_file_is_said_once(data: Path) -> None:
    pictures = data / "data/training"
    names = sorted(path.name for path in pictures.iterdir())
    (pictures / names[2]).write_bytes((pictures / names[0]).read_bytes())
    label = data / "labels/training"
    (label / f"{names[2]}.mat").write_bytes((label / f"{names[0]}.mat").read_bytes())
    kinds = [f.fault.kind for f in audit(data)[1]]
    assert "same_film" in kinds
    assert "same_exposure" not in kinds
