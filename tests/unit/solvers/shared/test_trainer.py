"""The shared loop: resume changes nothing, the best weights are kept, the schedule is a cosine."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from aasce.config import load_settings
from aasce.solvers.base import RunFolder
from aasce.solvers.shared.trainer import FineTuneSettings, Trainer, TrainSettings, averaged, schedule
from aasce.types import AasceError


class Line(nn.Module):
    """Fits y = 3x - 1 under dropout, whose random draws an interrupted run has to repeat."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(1, 8), nn.BatchNorm1d(8), nn.Dropout(0.2), nn.Linear(8, 1))

    def forward(self, batch: Tensor) -> dict[str, Tensor]:
        return {"loss": (self.layers(batch) - (3 * batch - 1)).square().mean()}


class LineTask:
    def __init__(self, scores: list[float] | None = None, stop_at: int | None = None) -> None:
        self.module: nn.Module = Line()
        self.scores, self.stop_at, self.validations = scores, stop_at, 0

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
        self.validations += 1
        return {"score": self.scores[self.validations - 1]}


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


@pytest.mark.parametrize("kept", [0, 100, 2000])
def test_a_checkpoint_that_was_cut_off_is_named(tmp_path: Path, kept: int) -> None:
    Trainer(LineTask(), settings(epochs=1), run(tmp_path), seed=0).fit()
    checkpoint = tmp_path / "checkpoint.pt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:kept])
    with pytest.raises(AasceError, match="cannot be gone on with") as caught:
        Trainer(LineTask(), settings(), run(tmp_path, resume=True), seed=0).fit()
    assert str(caught.value).startswith(f"{checkpoint}: ")
    assert "\n" not in str(caught.value)


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
    average = averaged(module, decay=0.5)
    before = average.module.state_dict()["layers.0.weight"].clone()
    for update in (1, 2, 30):
        with torch.no_grad():
            module.layers[0].weight += 1.0
            module.layers[1].num_batches_tracked += 1
        average.update(module, step=update + 1)
        # Warmed up as n / (n + 10) until the decay of 0.5 is reached.
        decay = min(0.5, update / (update + 10))
        before = before + (1 - decay) * (module.layers[0].weight.detach() - before)
        torch.testing.assert_close(average.module.state_dict()["layers.0.weight"], before)
    assert int(average.module.layers[1].num_batches_tracked) == 3
    assert not any(parameter.requires_grad for parameter in average.module.parameters())


def test_biases_and_norms_are_not_decayed(tmp_path: Path) -> None:
    decayed, plain = Trainer(
        LineTask(), settings(weight_decay=0.1), run(tmp_path), seed=0
    ).optimizer.param_groups
    assert decayed["weight_decay"] == 0.1
    assert plain["weight_decay"] == 0.0
    assert len(decayed["params"]) == 2
    assert len(plain["params"]) == 4


def test_the_second_stage_has_epochs_and_a_rate_of_its_own() -> None:
    first = settings(lr=1e-2, fine_tune=FineTuneSettings(epochs=2, lr=1e-3))
    assert first.stage(continued=False) is first
    second = first.stage(continued=True)
    assert (second.epochs, second.lr, second.ema) == (2, 1e-3, 0.9)
    assert settings().stage(continued=True) == settings()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("epochs=-5", "epochs: input should be greater than or equal to 0, not -5"),
        ("validate_every=0", "validate_every: input should be greater than or equal to 1, not 0"),
        ("lr=.nan", "lr: input should be less than or equal to 10, not nan"),
        ("ema=1.0", "ema: input should be less than 1, not 1.0"),
        ("fine_tune={epochs: 3}", "fine_tune.lr: is missing"),
    ],
)
def test_numbers_out_of_bounds_are_one_line(override: str, message: str) -> None:
    with pytest.raises(AasceError) as caught:
        load_settings(TrainSettings, None, [override])
    assert str(caught.value).splitlines()[1:] == [f"  {message}"]


class Recorded(Line):
    """Keeps the precision of what it is given and of what its first layer computes."""

    def forward(self, batch: Tensor) -> dict[str, Tensor]:
        self.given = batch.detach().clone()
        self.computed = self.layers[0](batch).dtype
        return super().forward(batch)


@pytest.mark.parametrize("precision", ["bf16-mixed", "32-true"])
def test_half_precision_is_for_networks_and_rounds_no_target(tmp_path: Path, precision: str) -> None:
    task = LineTask()
    task.module = module = Recorded()
    Trainer(task, settings(epochs=1, precision=precision), run(tmp_path), seed=0).fit()
    sent = list(task.batches(0))[-1]
    assert module.given.dtype == torch.float32
    assert torch.equal(module.given, sent)
    assert module.computed == (torch.bfloat16 if precision == "bf16-mixed" else torch.float32)


class Spoiled(Line):
    """Its loss has, in every third step, a gradient that is not a number."""

    steps = 0

    def forward(self, batch: Tensor) -> dict[str, Tensor]:
        self.steps += 1
        losses = super().forward(batch)
        return {"loss": losses["loss"] * (float("nan") if self.steps % 3 == 0 else 1.0)}


def test_a_step_without_a_finite_gradient_changes_no_weight(tmp_path: Path) -> None:
    task = LineTask()
    task.module = module = Spoiled()
    before = [p.detach().clone() for p in module.parameters()]
    Trainer(task, settings(epochs=3), run(tmp_path), seed=0).fit()
    after = list(module.parameters())
    assert all(bool(p.isfinite().all()) for p in after)
    assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))
