"""The shared loop: resume changes nothing, the best weights are kept, the schedule is a cosine."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from aasce.solvers.base import RunFolder
from aasce.solvers.shared.trainer import Averager, Trainer, TrainSettings, schedule, weight_groups


class Line(nn.Module):
    """Fits y = 3x - 1 under dropout, whose draws an interrupted run must repeat."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(1, 8), nn.BatchNorm1d(8), nn.Dropout(0.2), nn.Linear(8, 1))

    def forward(self, batch: Tensor) -> dict[str, Tensor]:
        return {"loss": (self.layers(batch) - (3 * batch - 1)).square().mean()}


class LineTask:
    def __init__(self, scores: list[float] | None = None, stop_at: int | None = None) -> None:
        self.module: nn.Module = Line()
        self.scores, self.stop_at, self.seen = scores, stop_at, 0

    def steps(self) -> int:
        return 4

    def batches(self, epoch: int) -> Iterator[Tensor]:
        if epoch == self.stop_at:
            raise KeyboardInterrupt
        generator = torch.Generator().manual_seed(epoch)
        for _ in range(4):
            yield torch.rand(16, 1, generator=generator)

    def validate(self, module: nn.Module) -> dict[str, float]:
        if self.scores is None:
            return {}
        self.seen += 1
        return {"score": self.scores[self.seen - 1]}


def settings(**changes: object) -> TrainSettings:
    return TrainSettings(epochs=6, validate_every=1, precision="32-true", ema=0.9).model_copy(update=changes)


def run(tmp_path: Path, resume: bool = False) -> RunFolder:
    return RunFolder(tmp_path, device="cpu", resume=resume, quiet=True)


def test_an_interrupted_run_ends_as_an_uninterrupted_one(tmp_path: Path) -> None:
    whole = LineTask()
    Trainer(whole, settings(), run(tmp_path / "whole"), seed=5).fit()
    with pytest.raises(KeyboardInterrupt):
        Trainer(LineTask(stop_at=3), settings(), run(tmp_path / "cut"), seed=5).fit()
    again = LineTask()
    torch.manual_seed(999)
    report = Trainer(again, settings(), run(tmp_path / "cut", resume=True), seed=5).fit()
    assert report.epochs == 6
    for key, value in whole.module.state_dict().items():
        assert torch.equal(value, again.module.state_dict()[key]), key


def test_training_lowers_the_loss_and_logs_each_epoch(tmp_path: Path) -> None:
    Trainer(LineTask(), settings(epochs=40, lr=0.05), run(tmp_path), seed=0).fit()
    with (tmp_path / "log.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [float(r["epoch"]) for r in rows] == list(range(1, 41))
    assert float(rows[-1]["loss"]) < 0.5 * float(rows[0]["loss"])
    assert (tmp_path / "curves.png").stat().st_size > 1000


def test_the_weights_of_the_best_validation_are_kept(tmp_path: Path) -> None:
    task = LineTask(scores=[3.0, 1.0, 2.0, 2.0, 2.0, 2.0])
    trainer = Trainer(task, settings(), run(tmp_path), seed=0)
    report = trainer.fit()
    assert (report.best_epoch, report.best_score) == (2, 1.0)
    for key, value in trainer.best["weights"].items():
        assert torch.equal(task.module.state_dict()[key], value)


def test_patience_ends_a_run_that_no_longer_gains(tmp_path: Path) -> None:
    task = LineTask(scores=[3.0, 1.0, 2.0, 2.0, 2.0, 2.0])
    assert Trainer(task, settings(patience=2), run(tmp_path), seed=0).fit().epochs == 4


def test_schedule_warms_up_then_falls_as_half_a_cosine() -> None:
    s = settings(warmup=0.1, lr_end=0.2)
    factors = [schedule(step, 100, s) for step in range(100)]
    assert factors[4] == pytest.approx(0.5)
    assert max(factors) == pytest.approx(1.0)
    # Half-way between warm-up and end: 0.2 + 0.8 / 2.
    assert schedule(55, 100, s) == pytest.approx(0.6)
    assert schedule(100, 100, s) == pytest.approx(0.2)


def test_average_follows_weights_and_copies_counters() -> None:
    module = Line()
    average = Averager(module, decay=0.5)
    before = average.module.state_dict()["layers.0.weight"].clone()
    with torch.no_grad():
        module.layers[0].weight += 1.0
    average.update(module)
    # The first update is warmed up: decay = min(0.5, 1 / 11), so 10 / 11 of the step is taken.
    expected = before + 10 / 11
    torch.testing.assert_close(average.module.state_dict()["layers.0.weight"], expected)


def test_biases_and_norms_are_not_decayed() -> None:
    decayed, plain = weight_groups(Line(), 0.1)
    assert decayed["weight_decay"] == 0.1
    assert plain["weight_decay"] == 0.0
    assert len(decayed["params"]) == 2
    assert len(plain["params"]) == 4
