"""The training loop of all solvers that are networks.

Device and precision are handled by lightning-fabric. This module holds what is guaranteed of a run: it depends on its
seed alone, an interruption changes nothing, and the weights kept are the averaged ones with the best validation score.
"""

from __future__ import annotations

import csv
import math
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol

import numpy as np
import torch
from pydantic import Field
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from timm.optim import param_groups_weight_decay  # type: ignore[attr-defined]
from timm.utils.model_ema import ModelEmaV3
from torch import Tensor, nn

from aasce.config import Count, Positive, Settings, Share
from aasce.solvers.base import FitReport, RunFolder
from aasce.solvers.shared.fast import unsettle
from aasce.solvers.shared.pretrained import estimate_norms, has_norms_of_photographs
from aasce.types import AasceError

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Batch = Any
MIXED = ("bf16-mixed", "16-mixed")
Losses = dict[str, Tensor]
Beta = Annotated[float, Field(ge=0, lt=1)]


class FineTuneSettings(Settings):
    """What replaces `epochs` and `lr` when training goes on from trained weights (`--start`).

    Attributes:
        epochs: passes over the films.
        lr: peak learning rate.
    """

    epochs: int = Field(ge=0, le=100_000)
    lr: float = Field(gt=0, le=10)


class TrainSettings(Settings):
    """Settings of the shared loop.

    Attributes:
        epochs: passes over the films (an epoch is what the task's `batches` yields); 0 leaves the weights as they are.
        lr: peak learning rate of AdamW; cosine decay to `lr_end` of it, after `warmup` of all steps.
        lr_end, warmup: shares, see `lr`.
        weight_decay, betas: of AdamW; biases and norms are not decayed.
        ema: decay of the averaged weights that are validated and kept; 0 turns averaging off.
        validate_every: epochs between two validations (the last epoch always validates).
        patience: validations without a better score before the run stops; 0 never stops early.
        precision: "auto" is bf16 where the device computes it natively, otherwise 32 bit.
        clip: largest norm of the gradient.
        fine_tune: epochs and learning rate of a second stage, which goes on from trained weights, for instance on all
            films after those of four folds; null trains it like the first.
    """

    epochs: int = Field(default=60, ge=0, le=100_000)
    lr: float = Field(default=1.5e-3, gt=0, le=10)
    lr_end: Share = 0.01
    warmup: Share = 0.03
    weight_decay: Share = 0.02
    betas: tuple[Beta, Beta] = (0.9, 0.999)
    ema: float = Field(default=0.998, ge=0, lt=1)
    validate_every: Count = 5
    patience: int = Field(default=0, ge=0, le=100_000)
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = "auto"
    clip: Positive = 5.0
    fine_tune: FineTuneSettings | None = None

    def stage(self, continued: bool) -> TrainSettings:
        """The settings of one stage.

        Args:
            continued: whether it goes on from trained weights.
        """
        if not continued or self.fine_tune is None:
            return self
        return self.model_copy(update={"epochs": self.fine_tune.epochs, "lr": self.fine_tune.lr})


class Task(Protocol):
    """What a solver trains; see `film_task` for a base class.

    Attributes:
        module: the network; its `forward` takes a batch and returns named losses, "loss" the one to minimise.
    """

    module: nn.Module

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Batches of one epoch, which depend on the seed and `epoch` alone."""
        ...

    def steps(self) -> int:
        """Number of batches in an epoch."""
        ...

    def validate(self, module: nn.Module) -> dict[str, float]:
        """Scores of the validation films, "score" the one to minimise; {} without any."""
        ...


def seed_everything(seed: int) -> None:
    """Seeds the generators of Python, NumPy and torch, and asks torch for deterministic kernels."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  (albumentations and others read the global state)
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Nothing here reads memory before it is written, and filling it costs a tenth of a step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Inside, torch's generator starts from `seed`; afterwards it continues as if nothing had been drawn."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def resolve_device(name: str) -> str:
    """The device; for "auto" the accelerator at hand, or "cpu"."""
    if name != "auto":
        return name
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def native_bf16(device: str) -> bool:
    """Whether the device multiplies bfloat16 in hardware (elsewhere bf16 is slower than 32 bit)."""
    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported())
    if device == "cpu":
        return bool(torch.cpu._is_avx512_bf16_supported())
    return False


def make_fabric(device: str, precision: str) -> Fabric:
    """One device, one process."""
    from lightning_fabric import Fabric  # a fifth of a second, which measuring need not pay

    if precision == "auto":
        precision = "bf16-mixed" if native_bf16(device) else "32-true"
    accelerator = device.split(":")[0]
    if precision not in MIXED:
        return Fabric(accelerator=accelerator, devices=1, precision=precision)  # type: ignore[arg-type]
    return Fabric(accelerator=accelerator, devices=1, plugins=_networks_alone(precision, accelerator))


def _networks_alone(precision: str, accelerator: str) -> Any:
    """Mixed precision for what a network computes. Fabric's own rounds every batch first, targets included: coordinates
    beyond 256 px to steps of 2 px."""
    from lightning_fabric.plugins.precision import MixedPrecision

    class NetworksAlone(MixedPrecision):
        def convert_input(self, data: Any) -> Any:
            return data

    return NetworksAlone(precision, accelerator)  # type: ignore[arg-type]


def schedule(step: int, steps: int, settings: TrainSettings) -> float:
    """Factor of the peak learning rate: linear warm-up, then half a cosine down to `lr_end`."""
    # Not timm's CosineLRScheduler, whose warm-up begins at a rate of 0 or ends a step later.
    warm = max(1, round(settings.warmup * steps))
    if step < warm:
        return (step + 1) / warm
    phase = min(1.0, (step - warm) / max(1, steps - warm))
    return settings.lr_end + (1 - settings.lr_end) * 0.5 * (1 + math.cos(math.pi * phase))


def drawn_ahead(batches: Iterator[Batch]) -> Iterator[Batch]:
    """The same batches; a thread draws the next one during the training step of this one."""
    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(next, batches, None)
        while (batch := job.result()) is not None:
            job = pool.submit(next, batches, None)
            yield batch


def averaged(module: nn.Module, decay: float) -> ModelEmaV3:
    """Exponential moving average of weights and running statistics.

    Its decay rises as n / (n + 10) over the first updates n, so that the random weights at the start soon lose their
    effect.

    Args:
        module: the network.
        decay: of later updates.
    """
    average = ModelEmaV3(module, decay=decay, use_warmup=True, warmup_gamma=10.0, warmup_power=1.0)
    average.module.requires_grad_(False)
    return average


class Trainer:
    """Runs a `Task`; see `fit`."""

    def __init__(self, task: Task, settings: TrainSettings, run: RunFolder, seed: int) -> None:
        self.task, self.settings, self.run, self.seed = task, settings, run, seed
        unsettle(task.module)
        device = resolve_device(run.device)
        self.fabric = make_fabric(device, settings.precision)
        # Decayed weights first: the order in which checkpoints hold them.
        groups = param_groups_weight_decay(task.module, settings.weight_decay)[::-1]
        optimizer = torch.optim.AdamW(groups, lr=settings.lr, betas=settings.betas)
        self.module, self.optimizer = self.fabric.setup(task.module, optimizer)
        self.average = averaged(task.module, settings.ema)
        self.updates = 0
        self.epoch = 0
        self.best: dict[str, Any] = {"score": math.inf, "epoch": 0, "weights": None, "waited": 0}
        self.rows: list[dict[str, float]] = []
        run.path.mkdir(parents=True, exist_ok=True)

    @property
    def checkpoint(self) -> Path:
        return self.run.path / "checkpoint.pt"

    def fit(self) -> FitReport:
        """Trains to the last epoch or to early stopping; with `run.resume`, from where an interrupted run ended."""
        started = time.monotonic()
        if self.run.resume and self.checkpoint.exists():
            self._restore()
        elif has_norms_of_photographs(self.task.module):
            seed_everything(self.seed)
            estimate_norms(self.module, self.task.batches(0), self.fabric.to_device)
            self.average.module.load_state_dict(self.task.module.state_dict())
        with self._progress() as progress:
            bar = progress.add_task("training", total=self.settings.epochs * self.task.steps())
            progress.update(bar, completed=self.epoch * self.task.steps())
            while self.epoch < self.settings.epochs and not self._stops_early():
                self._run_epoch(lambda text: progress.update(bar, advance=1, description=text))
        self._keep_best()
        score = None if math.isinf(self.best["score"]) else float(self.best["score"])
        return FitReport(self.epoch, int(self.best["epoch"]) or self.epoch, score, time.monotonic() - started)

    def _run_epoch(self, report: Callable[[str], None]) -> None:
        seed_everything(self.seed * 100_003 + self.epoch)
        began = time.monotonic()
        sums: dict[str, float] = {}
        self.module.train()
        total = self.settings.epochs * self.task.steps()
        count = 0
        for batch in drawn_ahead(self.task.batches(self.epoch)):
            step = self.epoch * self.task.steps() + count
            for key, value in self._step(batch, schedule(step, total, self.settings)).items():
                sums[key] = sums.get(key, 0.0) + value
            count += 1
            report(f"epoch {self.epoch + 1} loss {sums['loss'] / count:.3f}")
        self.epoch += 1
        row = {"epoch": float(self.epoch), **{k: v / max(count, 1) for k, v in sums.items()}}
        row |= self._validate() if self._validates() else {}
        row["seconds"] = time.monotonic() - began
        self._record(row)

    def _step(self, batch: Batch, factor: float) -> dict[str, float]:
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.lr * factor
        losses: Losses = self.module(self.fabric.to_device(batch))
        self.optimizer.zero_grad(set_to_none=True)
        self.fabric.backward(losses["loss"])
        norm = self.fabric.clip_gradients(
            self.module, self.optimizer, max_norm=self.settings.clip, error_if_nonfinite=False
        )
        if norm is None or bool(torch.isfinite(norm)):  # else this one step would end all learning
            self.optimizer.step()
        self.updates += 1
        self.average.update(self.task.module, step=self.updates + 1)  # timm counts from 1 and skips the first
        return {key: float(value.detach()) for key, value in losses.items()}

    def _validates(self) -> bool:
        return self.epoch % self.settings.validate_every == 0 or self.epoch == self.settings.epochs

    def _kept(self) -> nn.Module:
        return self.average.module if self.settings.ema > 0 else self.task.module

    def _validate(self) -> dict[str, float]:
        scores = self.task.validate(self._kept().eval())
        if not scores:
            return {}
        if scores["score"] < self.best["score"]:
            weights = {k: v.detach().cpu().clone() for k, v in self._kept().state_dict().items()}
            self.best = {"score": scores["score"], "epoch": self.epoch, "weights": weights, "waited": 0}
        else:
            self.best["waited"] += 1
        return {f"val_{key}": value for key, value in scores.items()}

    def _stops_early(self) -> bool:
        return 0 < self.settings.patience <= int(self.best["waited"])

    def _keep_best(self) -> None:
        weights = self.best["weights"] or self._kept().state_dict()
        self.task.module.load_state_dict(weights)
        self.task.module.eval()

    def _record(self, row: dict[str, float]) -> None:
        self.rows.append(row)
        columns = list(dict.fromkeys(key for r in self.rows for key in r))
        with (self.run.path / "log.csv").open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, columns)
            writer.writeheader()
            writer.writerows({k: round(v, 6) for k, v in r.items()} for r in self.rows)
        draw_curves(self.rows, self.run.path / "curves.png")
        state = {
            "epoch": self.epoch, "rows": self.rows, "best": self.best, "module": self.task.module.state_dict(),
            "average": self.average.module.state_dict(), "updates": self.updates,
            "optimizer": self.optimizer.state_dict(),
        }  # fmt: skip
        part = self.checkpoint.with_suffix(".part")
        torch.save(state, part)
        part.replace(self.checkpoint)

    def _restore(self) -> None:
        try:
            state = torch.load(self.checkpoint, map_location="cpu", weights_only=True)
            self.epoch, self.rows, self.best = int(state["epoch"]), state["rows"], state["best"]
            self.task.module.load_state_dict(state["module"])
            self.average.module.load_state_dict(state["average"])
            self.updates = int(state["updates"])
            self.optimizer.load_state_dict(state["optimizer"])
        except Exception as error:  # torch lets every kind out of a file that was cut off
            reason = " ".join(str(error).split())[:100] or type(error).__name__
            raise AasceError(
                f"{self.checkpoint}: cannot be gone on with ({reason}); remove it, and --resume begins anew"
            ) from error

    def _progress(self) -> Progress:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        return Progress(*columns, disable=self.run.quiet)


def draw_curves(rows: list[dict[str, float]], path: Path) -> None:
    """Plots the losses and the validation scores over the epochs to a PNG file."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    for key in dict.fromkeys(k for r in rows for k in r if k not in ("epoch", "seconds")):
        points = [(r["epoch"], r[key]) for r in rows if key in r]
        (right if key.startswith("val_") else left).plot(*zip(*points, strict=True), label=key, marker=".")
    for axes, title in ((left, "training"), (right, "validation")):
        axes.set(title=title, xlabel="epoch", yscale="log")
        if axes.lines:
            axes.legend(fontsize=7)
    figure.savefig(path, dpi=100)
