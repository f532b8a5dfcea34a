"""What all solvers of a benchmark share, and the plan of each model that is trained for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aasce.datasets import FilmSet, data_root, read_challenge
from aasce.datasets.challenge import Labels
from aasce.evaluation.runs import RunPlan
from aasce.evaluation.split import Split
from aasce.evaluation.timing import THREADS
from aasce.solvers.base import RunFolder, SolverConfig


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Films, and how solvers are trained and measured on them.

    Attributes:
        films: the whole data set.
        root: its folder, below which solvers find further films while they train; None leaves that to AASCE_DATA.
        split: how the films are dealt.
        device: that networks are trained on; films are always predicted on the CPU.
        threads: of the CPU while films are predicted and timed.
    """

    films: FilmSet
    root: Path | None = None
    split: Split = Split()  # noqa: RUF009  (frozen)
    device: str = "auto"
    threads: int = THREADS

    def split_text(self, held: Sequence[int]) -> str:
        """How the films were dealt, in words."""
        listed = ", ".join(str(fold) for fold in held)
        some = f"fold{'s' if len(held) > 1 else ''} {listed} of {self.split.folds}"
        by = f"grouped by study (seed {self.split.seed})"
        return f"{some} {by}, predicted by models that saw none of its studies"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A solver with its settings, and the name of its folder and of its row in a table."""

    name: str
    solver: str
    config: SolverConfig


def read_benchmark(data: Path | None, labels: Labels, split: Split, device: str, threads: int) -> Benchmark:
    """Reads the data set.

    Raises:
        AasceError: it is not there or cannot be read.
    """
    root = data_root(data)
    return Benchmark(read_challenge(root, labels=labels), root, split, device, threads)


def fold_plan(benchmark: Benchmark, candidate: Candidate, held: Sequence[int], folder: Path) -> RunPlan:
    """The plan of one model that is trained without the folds `held`; an interrupted training goes on.

    Raises:
        AasceError: there are no such folds.
    """
    parts = benchmark.split.deal(benchmark.films, held)
    return RunPlan(
        candidate.solver,
        candidate.config,
        parts,
        RunFolder(folder, benchmark.device, resume=True, data=benchmark.root),
        benchmark.split.facts(benchmark.films, held, parts),
    )
