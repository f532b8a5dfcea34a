"""Records of rendered films, written without rendering a film."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aasce.phantom.films import Framing, draw_framing
from aasce.phantom.person import build_person, draw_person
from aasce.phantom.record import record_of
from aasce.phantom.truth import film_truth


def write_record(film: Path, seed: int) -> tuple[Framing, NDArray[np.float64]]:
    """Writes what `aasce synth` keeps of a film; its framing, and the (17, 2) px projected middles of T1 to L5."""
    person = draw_person(seed)
    phantom = build_person(person, spine_only=True)
    framing = draw_framing(np.random.default_rng(seed), phantom, 600)
    record_of(film).parent.mkdir(parents=True, exist_ok=True)
    body = {"person": person.model_dump(mode="json"), "framing": framing.model_dump(mode="json")}
    record_of(film).write_text(json.dumps(body))
    return framing, film_truth(phantom.pose, phantom.points, framing.camera()).centreline
