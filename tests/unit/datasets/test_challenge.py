"""A small data set in the challenge's layout, written here and read back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from aasce.datasets import audit_dataset, data_root, film_faults, read_challenge, unlabelled_films
from aasce.geometry.cobb import cobb_angles
from aasce.types import AasceError
from tests.conftest import straight_spine

NAMES = [f"sunhl-1th-{name} AP.jpg" for name in ("09-Jan-2017-212 A", "09-Jan-2017-212 B", "01-Feb-2017-7 A")]
WIDTHS = (400, 420, 440)
HEIGHT = 1000


def landmarks_of(k: int) -> np.ndarray:
    return np.rint(straight_spine(tilt=(k + 1) * 5.0 * np.sin(np.linspace(0, 5, 17))))


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """aasce19/ with three films; the second one's first vertebra is stored last."""
    films, labels = tmp_path / "aasce19/data/training", tmp_path / "aasce19/labels/training"
    films.mkdir(parents=True)
    labels.mkdir(parents=True)
    rows, angles = [], []
    for k, (name, width) in enumerate(zip(NAMES, WIDTHS, strict=True)):
        Image.fromarray(np.full((HEIGHT, width), 10 * k, np.uint8)).save(films / name)
        points = np.roll(landmarks_of(k), -1, axis=0) if k == 1 else landmarks_of(k)
        savemat(labels / f"{name}.mat", {"p2": points.reshape(68, 2).astype(np.uint16)})
        scaled = points.reshape(68, 2) / [width, HEIGHT]
        rows.append(",".join(f"{value:.5g}" for value in scaled.T.ravel()))
        angles.append(",".join(f"{a:.5g}" for a in cobb_angles(points, HEIGHT).degrees))
    (labels / "filenames.csv").write_bytes("\r\n".join([*NAMES, ""]).encode())
    (labels / "landmarks.csv").write_bytes("\r\n".join([*rows, ""]).encode())
    (labels / "angles.csv").write_bytes("\r\n".join([*angles, ""]).encode())
    return tmp_path


def label_file(root: Path, name: str) -> Path:
    return root / "aasce19/labels/training" / name


def test_official_labels_are_the_files(release: Path) -> None:
    films = read_challenge(release)
    assert (len(films), films.name, films.labels) == (3, "training", "official")
    assert films.studies == ["09-Jan-2017-212", "09-Jan-2017-212", "01-Feb-2017-7"]
    assert films[0].film_id == "sunhl-1th-09-Jan-2017-212 A AP"
    assert films[0].landmarks is not None
    assert films[0].landmarks.dtype == np.float64
    np.testing.assert_array_equal(films[0].landmarks, landmarks_of(0))
    np.testing.assert_array_equal(films[1].landmarks, np.roll(landmarks_of(1), -1, axis=0))
    np.testing.assert_allclose(films[2].angles, cobb_angles(landmarks_of(2), HEIGHT).degrees, atol=0.0051)
    assert films.radiograph(1).size == (HEIGHT, 420)
    assert repr(films) == "FilmSet('training', 3 films, labels='official')"


def test_csv_landmarks_are_scaled_by_each_film(release: Path) -> None:
    pixels, table = read_challenge(release), read_challenge(release / "aasce19", source="csv")
    for a, b in zip(pixels, table, strict=True):
        np.testing.assert_allclose(a.landmarks, b.landmarks, atol=0.011)


def test_fixed_labels_are_repaired_and_measured_anew(release: Path) -> None:
    films = read_challenge(release, labels="fixed")
    assert films.labels == "fixed"
    np.testing.assert_array_equal(films[1].landmarks, landmarks_of(1))
    np.testing.assert_allclose(films[1].angles, cobb_angles(landmarks_of(1), HEIGHT).degrees)
    official = read_challenge(release)
    np.testing.assert_array_equal(films[0].angles, official[0].angles)


def test_a_set_without_labels(release: Path) -> None:
    films = read_challenge(release, labels="none")
    assert films[0].landmarks is None
    assert film_faults(films[0]) == []
    assert list(audit_dataset(films).columns) == ["film", "vertebra", "fault", "detail", "repair"]
    assert audit_dataset(films).empty


def test_subsets_and_slices_keep_the_name(release: Path) -> None:
    films = read_challenge(release)
    assert [f.film_id for f in films.subset([2, 0])] == [films[2].film_id, films[0].film_id]
    assert films[1:].labels == "official"
    assert [f.film_id for f in films[1:]] == [films[1].film_id, films[2].film_id]


def test_the_audit_names_the_film_and_repeated_films_and_labels(release: Path) -> None:
    first, third = (release / "aasce19/data/training" / NAMES[k] for k in (0, 2))
    third.write_bytes(first.read_bytes())
    label_file(release, f"{NAMES[2]}.mat").write_bytes(label_file(release, f"{NAMES[0]}.mat").read_bytes())
    found = audit_dataset(read_challenge(release))
    assert found[["film", "vertebra", "fault"]].to_numpy().tolist() == [
        [NAMES[1][:-4], "L5", "order"],
        [NAMES[2][:-4], "", "same_film"],
        [NAMES[2][:-4], "", "same_labels"],
    ]
    assert list(found["detail"][1:]) == [
        f"the {what} of {NAMES[0][:-4]} again" for what in ("file", "labels")
    ]


def test_unlabelled_films_are_sorted_as_text(tmp_path: Path) -> None:
    for name in ("01-July-2019-2.jpg", "01-July-2019-10.jpg"):
        Image.fromarray(np.zeros((64, 64), np.uint8)).save(tmp_path / name)
    films = unlabelled_films(tmp_path)
    assert [f.film_id for f in films] == ["01-July-2019-10", "01-July-2019-2"]
    assert films.labels == "none"


def test_the_data_root_is_the_argument_or_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AASCE_DATA", raising=False)
    assert data_root(tmp_path) == tmp_path
    with pytest.raises(AasceError, match="--data, or set AASCE_DATA"):
        data_root(None)
    monkeypatch.setenv("AASCE_DATA", str(tmp_path))
    assert data_root(None) == tmp_path
    with pytest.raises(AasceError, match="nowhere: no such folder"):
        data_root(tmp_path / "nowhere")


def test_landmarks_outside_the_film_are_read_and_audited(release: Path) -> None:
    points = landmarks_of(0) + np.array([0.0, 155.0])
    savemat(label_file(release, f"{NAMES[0]}.mat"), {"p2": points.reshape(68, 2).astype(np.uint16)})
    found = audit_dataset(read_challenge(release))
    # The lowest corners lie at 60 + 16 * 50 + 20 + 155 = 1035 of 1000 rows, less the tilt.
    assert [NAMES[0][:-4], "L5", "off_film"] in found[["film", "vertebra", "fault"]].to_numpy().tolist()


BAD_FILES = [
    ("filenames.csv", b"", "holds no film name"),
    ("filenames.csv", b"a.jpg\r\na.jpg\r\n", "'a.jpg' twice"),
    ("filenames.csv", b"gone.jpg\n", "gone.jpg: no such film"),
    ("filenames.csv", b"\xff\xfe\xff", "not readable as text"),
    ("angles.csv", b"", "is empty"),
    ("angles.csv", b"an1,an2,an3\n1,2,3\n", "line 1 holds text"),
    ("angles.csv", b"1,2\n", "line 1 has 2 columns, not 3"),
    ("angles.csv", b"\n1,2,nan\n", "line 2 holds a number that is not finite"),
    ("angles.csv", b"1,2,3\n", "has 1 lines for 3 films"),
    (f"{NAMES[1]}.mat", b"not a mat file at all", "not a readable .mat file"),
    (f"{NAMES[1]}.mat", None, "no such label file"),
]


@pytest.mark.parametrize(("name", "content", "words"), BAD_FILES)
def test_an_unreadable_label_file_is_named_in_one_line(
    release: Path, name: str, content: bytes | None, words: str
) -> None:
    path = label_file(release, name)
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(AasceError) as error:
        read_challenge(release)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "points",
    [np.zeros((17, 2)), np.full((68, 2), np.nan), np.array([["a", "b"]] * 68)],
    ids=["short", "nan", "text"],
)
def test_a_mat_file_of_another_make(release: Path, points: np.ndarray) -> None:
    savemat(label_file(release, f"{NAMES[0]}.mat"), {"p2": points})
    with pytest.raises(AasceError, match="'p2'"):
        read_challenge(release)


def test_a_missing_csv_is_named(release: Path) -> None:
    label_file(release, "landmarks.csv").unlink()
    with pytest.raises(AasceError, match=r"landmarks\.csv: no such label file"):
        read_challenge(release, source="csv")


def test_wrong_words_are_answered_with_the_right_ones(release: Path) -> None:
    with pytest.raises(AasceError, match="'official', 'fixed' or 'none'"):
        read_challenge(release, labels="repaired")  # type: ignore[arg-type]
    with pytest.raises(AasceError, match="'mat' or 'csv'"):
        read_challenge(release, source="json")  # type: ignore[arg-type]
    with pytest.raises(AasceError, match="it has training"):
        read_challenge(release, part="validation")
    with pytest.raises(AasceError, match="neither data/ and labels/ nor aasce19/"):
        read_challenge(release / "aasce19/data")
