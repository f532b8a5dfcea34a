"""The bar: after two seconds, for a person."""

from __future__ import annotations

import pytest
from rich.progress import Progress

from aasce.commands import progress as module
from aasce.commands.progress import progress


@pytest.mark.parametrize(("watched", "patience", "shown"), [(True, 0.0, 1), (True, 60.0, 0), (False, 0.0, 0)])
def test_bar_appears_for_long_work_that_is_watched(
    monkeypatch: pytest.MonkeyPatch, watched: bool, patience: float, shown: int
) -> None:
    started: list[str] = []
    monkeypatch.setattr(module, "PATIENCE", patience)
    monkeypatch.setenv("FORCE_COLOR" if watched else "NO_COLOR", "1")
    monkeypatch.setattr(Progress, "start", lambda self: started.append("start"))
    monkeypatch.setattr(Progress, "stop", lambda self: started.append("stop"))
    assert list(progress(iter("abc"), 3, "working")) == ["a", "b", "c"]
    assert started == ["start", "stop"] * shown


def test_bar_is_taken_away_when_the_work_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []
    monkeypatch.setattr(module, "PATIENCE", 0.0)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(Progress, "start", lambda self: started.append("start"))
    monkeypatch.setattr(Progress, "stop", lambda self: started.append("stop"))
    values = progress(iter("abc"), 3, "working")
    assert [next(values), next(values)] == ["a", "b"]
    with pytest.raises(RuntimeError):
        values.throw(RuntimeError("work failed"))
    assert started == ["start", "stop"]
