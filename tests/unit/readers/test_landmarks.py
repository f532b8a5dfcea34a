"""Landmarks marked by a person: corners found by where they lie, faults named in a line."""

from __future__ import annotations

import csv
import itertools
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aasce.ensemble.combine import Measurement, with_angles
from aasce.geometry.spine import turn_points
from aasce.readers.landmarks import read_landmarks
from aasce.types import AasceError, SpinePrediction
from aasce.writers import predictions_frame
from aasce.writers.landmarks import write_landmarks
from aasce.writers.records import write_records
from tests.marked import boxes, films, row

TILTS = (15.0, 0.0, -10.0)
"""Degrees of T1, T2 and T3: 25 between the first and the last."""


def labelme(path: Path, shapes: Sequence[tuple[str, Any]], **other: Any) -> Path:
    """A file of LabelMe's, of a film of 400 x 200 px; points are px of the kit."""
    drawn = [{"label": label, "points": (np.asarray(points) + 0.5).tolist()} for label, points in shapes]
    content = {"imagePath": "film.png", "shapes": drawn, "imageHeight": 400, "imageWidth": 200, **other}
    path.write_text(json.dumps(content), "utf-8")
    return path


def table(path: Path, rows: Sequence[tuple[Any, ...]], head: str = "film,vertebra,corner,x,y") -> Path:
    path.write_text("\n".join([head, *(",".join(map(str, r)) for r in rows)]) + "\n", "utf-8")
    return path


def corner_rows(landmarks: Any, first: int = 1, film: str = "film") -> list[tuple[Any, ...]]:
    return [
        (film, f"T{first + v}", corner, *point)
        for v, body in enumerate(np.asarray(landmarks).tolist())
        for corner, point in zip(("TL", "TR", "BL", "BR"), body, strict=True)
    ]


def only(path: Path, height: int | None = None) -> SpinePrediction:
    found = read_landmarks(path, height)
    assert len(found) == 1
    return found[0][1]


def major(prediction: SpinePrediction) -> float:
    measured: Measurement = with_angles(prediction)
    assert measured.angles is not None, measured.failure
    return float(measured.angles.degrees[0])


def outline(body: Any) -> list[Any]:
    """TL, TR, BR, BL."""
    return [body[k] for k in (0, 1, 3, 2)]


# --- corners drawn in any order --------------------------------------------------------------------------


@pytest.mark.parametrize("start", range(4))
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("turns", range(4))
def test_a_polygon_may_be_drawn_from_any_corner_in_any_direction(
    start: int, backwards: bool, turns: int, tmp_path: Path
) -> None:
    lying = turn_points(boxes(*TILTS), (400, 200), -turns % 4)
    shapes = []
    for v, body in enumerate(lying):
        ring = np.roll(outline(body), start, axis=0)
        shapes.append((f"T{v + 1}", ring[::-1] if backwards else ring))
    sides = (
        {"imageHeight": 400, "imageWidth": 200} if turns % 2 == 0 else {"imageHeight": 200, "imageWidth": 400}
    )
    prediction = only(labelme(tmp_path / "film.json", shapes, **sides))
    np.testing.assert_allclose(prediction.landmarks, lying, atol=1e-9)
    assert prediction.orientation.turns == turns
    assert major(prediction) == pytest.approx(25, abs=1e-5)
    assert not [flag for flag in prediction.flags if flag.startswith("corner_names")]


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_four_points_of_a_vertebra_may_come_in_any_order(order: tuple[int, ...], tmp_path: Path) -> None:
    shapes = [(f"T{v + 1}", [body[k]]) for v, body in enumerate(boxes(*TILTS)) for k in order]
    prediction = only(labelme(tmp_path / "film.json", shapes))
    np.testing.assert_allclose(prediction.landmarks, boxes(*TILTS), atol=1e-9)


def test_points_may_be_labelled_with_level_and_corner(tmp_path: Path) -> None:
    names = ("TL", "TR", "BL", "BR")
    shapes = [
        (f"th{v + 1}-{name.lower()}", [point])
        for v, body in enumerate(boxes(*TILTS))
        for name, point in zip(names, body, strict=True)
    ]
    random.Random(0).shuffle(shapes)
    prediction = only(labelme(tmp_path / "film.json", shapes))
    np.testing.assert_allclose(prediction.landmarks, boxes(*TILTS), atol=1e-9)


def test_vertebrae_may_come_in_any_order_and_a_sixth_lumbar_one_is_known(tmp_path: Path) -> None:
    names = ("L6", "L4", "L5")
    bodies = dict(zip(("L4", "L5", "L6"), boxes(*TILTS), strict=True))
    prediction = only(labelme(tmp_path / "film.json", [(name, outline(bodies[name])) for name in names]))
    assert prediction.first_level == 15
    assert major(prediction) == pytest.approx(25, abs=1e-5)


def test_corners_with_swapped_names_are_measured_as_named_and_flagged(tmp_path: Path) -> None:
    landmarks = boxes(*TILTS)
    landmarks[1] = landmarks[1][[1, 0, 3, 2]]
    prediction = only(table(tmp_path / "corners.csv", corner_rows(landmarks)), height=400)
    np.testing.assert_array_equal(prediction.landmarks, landmarks)
    assert "corner_names_disagree:T2" in prediction.flags


# --- corrected by hand -----------------------------------------------------------------------------------


def moved(path: Path) -> None:
    """Moves the upper right corner of T5 by 3 px down, as a person would in the file's own program."""
    if path.suffix == ".csv":
        with path.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.reader(stream))
        for cells in rows:
            if cells[1:3] == ["T5", "TR"]:
                cells[4] = str(float(cells[4]) + 3)
        path.write_text("\n".join(map(",".join, rows)), "utf-8")
        return
    content = json.loads(path.read_text("utf-8"))
    if "films" in content:
        content["films"][0]["landmarks"][4]["TR"][1] += 3
    elif "annotations" in content:
        content["annotations"][4]["keypoints"][4] += 3
    elif "shapes" in content:
        content["shapes"][4]["points"][1][1] += 3
    else:
        point = next(p for p in content["markups"][0]["controlPoints"] if p["label"] == "T5 TR")
        point["position"][1] += 3 * 0.14
    path.write_text(json.dumps(content), "utf-8")


@pytest.mark.parametrize(
    "name",
    ["predictions.json", "landmarks-coco.json", "labelme/film.json", "slicer/film.mrk.json", "corners.csv"],
)
@pytest.mark.parametrize("definition", ["challenge", "clinical"])
def test_a_corrected_film_has_the_angles_that_the_kit_gives_its_landmarks(
    name: str, definition: Any, tmp_path: Path
) -> None:
    given = row("film", spacing=(0.14, 0.14))
    write_records(tmp_path / "predictions.json", [given])
    write_landmarks(tmp_path, [given], ["coco", "labelme", "slicer", "corners"])
    moved(tmp_path / name)
    landmarks = np.array(given[1].prediction.landmarks)
    landmarks[4, 1, 1] += 3
    expected = with_angles(row("film", landmarks)[1].prediction, definition).angles
    found = with_angles(only(tmp_path / name), definition).angles
    assert expected is not None
    assert found is not None
    np.testing.assert_allclose(found.degrees, expected.degrees, rtol=0, atol=1e-6)
    assert found.end_vertebrae == expected.end_vertebrae


def test_landmarks_of_predictions_json_are_measured_anew_though_the_film_had_failed(tmp_path: Path) -> None:
    landmarks = boxes(*TILTS)
    landmarks[1, 2] = np.nan
    path = tmp_path / "predictions.json"
    write_records(path, [row("film", landmarks)])
    content = json.loads(path.read_text("utf-8"))
    assert "not finite" in content["films"][0]["failure"]
    content["films"][0]["landmarks"][1]["BL"] = boxes(*TILTS)[1, 2].tolist()
    path.write_text(json.dumps(content), "utf-8")
    prediction = only(path)
    assert major(prediction) == pytest.approx(25, abs=1e-5)
    assert (prediction.solver, prediction.flags) == ("made", ("levels_unsure",))


def test_a_failed_film_of_predictions_json_stays_failed(tmp_path: Path) -> None:
    write_records(tmp_path / "predictions.json", films())
    found = {facts.film_id: prediction for facts, prediction in read_landmarks(tmp_path / "predictions.json")}
    assert found["failed"].failure == "no spine was found"


# --- files of other programs -----------------------------------------------------------------------------


def coco(path: Path, category: dict[str, Any], *annotations: dict[str, Any]) -> Path:
    content = {
        "images": [{"id": 7, "file_name": "sub\\film.png", "height": 400, "width": 200}],
        "categories": [{"id": 3, **category}],
        "annotations": [{"image_id": 7, "category_id": 3, **a} for a in annotations],
    }
    path.write_text(json.dumps(content), "utf-8")
    return path


def test_coco_of_one_category_has_the_level_as_an_attribute(tmp_path: Path) -> None:
    """As CVAT writes it, with keypoints that have other names: the corners are found by where they lie."""
    annotations = [
        {"attributes": {"level": f"T{v + 1}"}, "keypoints": [c for x, y in outline(body) for c in (x, y, 2)]}
        for v, body in enumerate(boxes(*TILTS).tolist())
    ]
    category = {"name": "vertebra", "keypoints": ["1", "2", "3", "4"]}
    path = coco(tmp_path / "any name.json", category, *annotations)
    facts, prediction = read_landmarks(path)[0]
    assert (facts.film_id, facts.path, facts.size) == ("film", Path("film.png"), (400, 200))
    np.testing.assert_array_equal(prediction.landmarks, boxes(*TILTS))
    assert prediction.confidence == 1


def test_a_table_needs_the_height_and_may_have_columns_in_any_order(tmp_path: Path) -> None:
    path = tmp_path / "corners.csv"
    cells = [(y, x, corner, level, film) for film, level, corner, x, y in corner_rows(boxes(*TILTS))]
    table(path, cells, head="\ufeffY, X ,corner,vertebra,film")
    assert "--height" in str(only(path).failure)
    prediction = only(path, height=400)
    assert prediction.size[0] == 400
    assert major(prediction) == pytest.approx(25, abs=1e-5)
    assert prediction.landmark_confidence is None


def test_the_rows_alone_do_not_do_for_a_film_on_its_side(tmp_path: Path) -> None:
    """Set upright, its height is its width: the challenge's rule asks for it."""
    lying = corner_rows(turn_points(boxes(*TILTS), (400, 200), 1))
    assert "on its side" in str(only(table(tmp_path / "corners.csv", lying), height=200).failure)
    sized = [(*cells, 200, 400) for cells in lying]
    path = table(tmp_path / "sized.csv", sized, head="film,vertebra,corner,x,y,height,width")
    assert major(only(path)) == pytest.approx(25, abs=1e-5)


# --- faults of a film ------------------------------------------------------------------------------------


def faulty(change: str) -> list[tuple[str, Any]]:
    shapes = [(f"T{v + 1}", outline(body)) for v, body in enumerate(boxes(15, 5, 0, -5, -10))]
    if change == "gap":
        return [shape for shape in shapes if shape[0] not in ("T2", "T4")]
    if change == "three":
        return [(label, ring[:3] if label == "T3" else ring) for label, ring in shapes]
    if change == "five":
        return [(label, [*ring, ring[0]] if label == "T3" else ring) for label, ring in shapes]
    if change == "label":
        return [*shapes, ("pelvis", shapes[0][1])]
    if change == "twice":
        return [*shapes, ("T1 TL", [(1, 1)]), ("T1 TL", [(2, 2)])]
    if change == "mixed":
        return [("T1 TL", [shapes[0][1][0]]), *(("T1", [p]) for p in shapes[0][1][1:]), *shapes[1:]]
    if change == "far":
        return [(label, np.asarray(ring) * 10) for label, ring in shapes]
    return shapes[:1] if change == "one" else []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("gap", "T2, T4 not marked between T1 and T5; mark each vertebra in between"),
        ("three", "T3 has 3 corners of 4; mark all four once"),
        ("five", "T3 has 5 corners of 4; mark all four once"),
        ("label", "label 'pelvis' is no level; name T1 to T12 or L1 to L5, or remove it"),
        ("twice", "T1 TL is marked twice; remove one"),
        ("mixed", "T1 has corners with and without names; name TL, TR, BL and BR, or none"),
        (
            "far",
            "T1: a corner at (833, 452) lies far off the film of 200 x 400 px; give the points in px of this film",
        ),
        ("one", "T1 alone is marked; angles need two vertebrae or more"),
        ("none", "no vertebra is marked; angles need two vertebrae or more"),
    ],
)
def test_a_film_that_is_not_well_marked_fails_with_the_reason(
    change: str, reason: str, tmp_path: Path
) -> None:
    prediction = only(labelme(tmp_path / "film.json", faulty(change)))
    assert prediction.failure == reason
    assert with_angles(prediction).angles is None


def test_a_corner_off_the_film_is_flagged(tmp_path: Path) -> None:
    prediction = only(table(tmp_path / "corners.csv", corner_rows(boxes(*TILTS) - [90, 0])), height=400)
    assert "curve_leaves_film" in prediction.flags
    assert major(prediction) == pytest.approx(25, abs=1e-5)


def test_one_badly_marked_film_leaves_the_others(tmp_path: Path) -> None:
    rows = [*corner_rows(boxes(*TILTS), film="a"), *corner_rows(boxes(*TILTS), film="b")[:-1]]
    found = {f.film_id: p for f, p in read_landmarks(table(tmp_path / "c.csv", rows), height=400)}
    assert found["a"].failure is None
    assert found["b"].failure == "T3 has 3 corners of 4 (BR missing); mark all four once"


# --- files that are none ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ('{"films": [', "damaged JSON (Expecting value in line 1); save it again"),
        ("", "no landmarks in it that can be read; give predictions.json, COCO"),
        ("name,an1,an2,an3\n", "no landmarks in it that can be read"),
        ("[1, 2]", "JSON without landmarks that can be read"),
        ('{"a": 1}', "JSON without landmarks that can be read"),
        ("[" * 100_000, "nested too deep"),
        ('{"version": 2, "films": []}', "version 2 is not known to this kit, which reads version 1"),
        ('{"version": 1, "films": [{"film": "a"}]}', "film 1: 'size' is missing"),
        ('{"images": 3, "annotations": [], "categories": []}', "'images' is a list, not 3"),
        ('{"images": [], "annotations": [{"image_id": 1, "category_id": 1}], "categories": []}', "image 1"),
        ('{"images": [], "annotations": []}', "'categories' is missing"),
        (
            '{"imagePath": "a.png", "shapes": [{"label": "T1", "points": [[1]]}]}',
            "'T1' is a list of 2, not [1]",
        ),
        (
            '{"imagePath": "a.png", "shapes": [], "imageHeight": 0, "imageWidth": 2}',
            "'imageHeight' is a whole number",
        ),
        ('{"markups": [{"controlPoints": [{"label": "T1 TL"}]}]}', "'position' is missing"),
        ("film,vertebra,corner,x,y\na,T1,TL,1,here\n", "line 2: y 'here' is no number"),
        ("film,vertebra,corner,x,y\na,T1,TL,1,inf\n", "line 2: y 'inf' is not finite"),
        ("film,vertebra,corner,x,y\na,T1,top,1,2\n", "line 2: corner 'top' is none of TL, TR, BL, BR"),
        ("film,vertebra,corner,x,y\na,T1\n", "line 2: corner None is none of TL"),
    ],
)
def test_a_file_that_holds_no_landmarks_is_refused_in_a_line(
    content: str, fault: str, tmp_path: Path
) -> None:
    path = tmp_path / "landmarks"
    path.write_text(content, "utf-8")
    with pytest.raises(AasceError) as refused:
        read_landmarks(path)
    message = str(refused.value)
    assert message.startswith(f"{path}: ")
    assert fault in message
    assert "\n" not in message


def test_a_file_that_is_no_text_or_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "film.png").write_bytes(b"\x89PNG\r\n\xff\xfe")
    with pytest.raises(AasceError, match="no text in UTF-8"):
        read_landmarks(tmp_path / "film.png")
    with pytest.raises(AasceError, match="no such file"):
        read_landmarks(tmp_path / "nothing.json")
    with pytest.raises(AasceError, match="a folder"):
        read_landmarks(tmp_path)


WRONG: tuple[Any, ...] = (
    None,
    True,
    -1,
    1e400,
    float("nan"),
    10**400,
    "x",
    [],
    [[]],
    {},
    {"a": 1},
    [None] * 4,
)


def changed(value: Any, dice: random.Random) -> Any:
    """A copy with one value, somewhere inside, replaced by one of another kind."""
    if isinstance(value, dict | list) and value and dice.random() < 0.85:
        copy = value.copy()
        key = dice.choice(list(copy) if isinstance(copy, dict) else range(len(copy)))
        copy[key] = changed(copy[key], dice)
        return copy
    return dice.choice(WRONG)


@pytest.mark.parametrize(
    "name", ["predictions.json", "landmarks-coco.json", "labelme/a.json", "slicer/a.mrk.json"]
)
def test_a_value_of_another_kind_anywhere_is_an_answer_or_a_line(name: str, tmp_path: Path) -> None:
    given = row("a", boxes(*TILTS), spacing=(0.14, 0.14))
    write_records(tmp_path / "predictions.json", [given])
    write_landmarks(tmp_path, [given], ["coco", "labelme", "slicer"])
    path, dice, refused = tmp_path / name, random.Random(0), 0
    content = json.loads(path.read_text("utf-8"))
    for _ in range(40):
        path.write_text(json.dumps(changed(content, dice)), "utf-8")
        try:
            rows = [(facts, with_angles(prediction)) for facts, prediction in read_landmarks(path)]
        except AasceError as error:
            refused += "\n" not in str(error)
            continue
        write_records(tmp_path / "again.json", rows)
        predictions_frame([m for _, m in rows], {f.film_id: f for f, _ in rows})
        refused += any(m.failure is not None for _, m in rows)
    assert refused > 10
