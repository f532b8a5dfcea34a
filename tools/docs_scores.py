"""Scores of the predictions in `submissions/`, kept in docs/data/scores.json.

The labels of the challenge are not part of the repository, so the tables of the documentation are made from this
file of scores. It holds a digest of each `preds.csv`: a score of other predictions than those in the repository
is found without the labels too.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aasce.datasets import FilmSet, data_root, grouped_folds, read_challenge
from aasce.files import write_text
from aasce.scoring import Score, read_angles_csv, score
from aasce.scoring.metrics import film_smape

Floats = NDArray[np.float64]
Angles = Mapping[str, Floats]

FOLDS, SEED = 5, 0
"""How the challenge's films are parted into folds, whole studies together."""

FIRST_FOLD = "fold-0"
BASELINE, FITTED = "constant", "constant, fitted on the same films"


def rounded(value: Any) -> Any:
    """Numbers to four decimals: the last bits differ from one machine to the next."""
    if isinstance(value, dict):
        return {key: rounded(part) for key, part in value.items()}
    if isinstance(value, tuple | list):
        return [rounded(part) for part in value]
    return round(float(value), 4) if isinstance(value, float) else value


def summary(found: Score) -> dict[str, Any]:
    """What the tables print of a score: percent and degrees."""
    fields = ("mae", "interval", "sd", "within", "pearson", "icc", "bias", "limits")
    return {
        "films": found.n,
        "smape": rounded(found.smape),
        "interval": rounded(found.smape_interval),
        "median_smape": rounded(found.truth_median_smape),
        "angles": {
            name: {field: rounded(getattr(agreement, field)) for field in fields}
            for name, agreement in found.by_angle
        },
    }


def score_angles(answers: Angles, truth: Angles, folds: list[list[str]]) -> dict[str, Any]:
    """Scores of one submission: all films, the first fold, and SMAPE and MAE of an1 fold by fold.

    Args:
        answers: film to (3,) degrees.
        truth: film to (3,) degrees, every film of the data set.
        folds: names of the films of each fold.

    Raises:
        KeyError: a film is answered that the data set lacks.
    """
    result: dict[str, Any] = {"all": summary(_scored(list(answers), answers, truth)), "folds": []}
    for index, fold in enumerate(folds):
        names = [name for name in fold if name in answers]
        if not names:
            continue
        ours, theirs = _pair(names, answers, truth)
        major = float(np.abs(ours - theirs)[:, 0].mean())
        smape = float(film_smape(ours, theirs).mean())
        result["folds"].append({"fold": index, "smape": rounded(smape), "mae_an1": rounded(major)})
        if index == 0:
            result[FIRST_FOLD] = summary(_scored(names, answers, truth))
    return result


def _pair(names: list[str], answers: Angles, truth: Angles) -> tuple[Floats, Floats]:
    return np.array([answers[name] for name in names]), np.array([truth[name] for name in names])


def _scored(names: list[str], answers: Angles, truth: Angles) -> Score:
    return score(*_pair(names, answers, truth))


def medians(truth: Angles, folds: list[list[str]]) -> tuple[Angles, Angles]:
    """The baseline: the median angles of the other folds for each film, and those of all films."""
    outside: dict[str, Floats] = {}
    for fold in folds:
        held = set(fold)
        median = np.median([angles for name, angles in truth.items() if name not in held], axis=0)
        outside |= dict.fromkeys(fold, median)
    return outside, dict.fromkeys(truth, np.median(list(truth.values()), axis=0))


def score_submissions(submissions: Path, films: FilmSet) -> dict[str, Any]:
    """Scores every folder of predictions, and the baseline, on a labelled data set.

    Args:
        submissions: folder of folders that hold preds.csv.
        films: every film of the data set with its official angles.
    """
    truth = {film.film_id: np.asarray(film.angles, np.float64) for film in films}
    parts = grouped_folds(films.studies, FOLDS, SEED)
    folds = [[films[i].film_id for i in test] for _, test in parts]
    found: dict[str, Any] = {}
    for path in sorted(submissions.glob("*/preds.csv")):
        answers = dict(zip(*read_angles_csv(path), strict=True))
        found[path.parent.name] = {"preds": digest(path), **score_angles(answers, truth, folds)}
    outside, same = medians(truth, folds)
    found[BASELINE] = score_angles(outside, truth, folds)
    found[FITTED] = score_angles(same, truth, folds)
    return found


def add_figures(path: Path, name: str, figures: Mapping[Any, Any]) -> None:
    """Puts the figures of one system into a file of docs/data, in a line of its own beside those of others."""
    known = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    body = sorted((known | {name: rounded(dict(figures))}).items())
    lines = [f"{json.dumps(key)}: {json.dumps(entry)}" for key, entry in body]
    write_text(path, "{\n" + ",\n".join(lines) + "\n}\n")


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def stale(scores: dict[str, Any], submissions: Path) -> list[str]:
    """Names of the folders whose predictions are not those that were scored."""
    now = {path.parent.name: digest(path) for path in submissions.glob("*/preds.csv")}
    then = {name: entry["preds"] for name, entry in scores.items() if "preds" in entry}
    return sorted(name for name in now.keys() | then.keys() if now.get(name) != then.get(name))


def alike(one: Any, other: Any) -> bool:
    """Whether two scores agree to a thousandth; bootstrap and sums differ in the last bits between machines."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(alike(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) <= 1e-3
    return bool(one == other)


def labelled_films() -> FilmSet | None:
    """The challenge's labelled films where AASCE_DATA names them; None without.

    Raises:
        AasceError: AASCE_DATA names a folder that does not hold them.
    """
    return read_challenge(data_root()) if os.environ.get("AASCE_DATA") else None
