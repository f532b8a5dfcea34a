"""Networks on the processor by ONNX Runtime, where `aasce[fast]` is installed; everywhere else by torch.

A network whose weights are final (`settle`) is exported once for every shape of its input, into the user's cache.
It is kept there only if its outputs for one fixed input are torch's, on this kind of processor. Whatever goes wrong (no
export, other outputs, a disk that cannot be written), torch computes, and one line says so.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import platform
import sys
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from aasce.files import atomic_write
from aasce.types import AasceError, Array

SWITCH = "AASCE_FAST"
"""Environment variable; 0 leaves every network to torch."""

TOLERANCE = 1e-4
"""Largest difference from torch's output, as a share of that output's largest value (or of 1). The released default
differs by 2e-6; votes that differ by this share turn a vertebra by less than 0.1 degrees."""

KEPT = 24
"""Exported networks kept in the cache, those used last."""

OPSET = 17
Shape = tuple[int, ...]
Engine = Callable[[Tensor], Any]


@dataclass(slots=True)
class Settled:
    """A network whose weights do not change any more.

    Attributes:
        changes: how often its weights had been changed when it was settled.
        engines: by method, shape of the input, and threads.
        refused: whether torch computes it after all.
    """

    changes: int
    engines: dict[tuple[str, Shape, int], Engine] = field(default_factory=dict)
    refused: bool = False


_settled: WeakKeyDictionary[nn.Module, Settled] = WeakKeyDictionary()


def enabled() -> bool:
    """Whether ONNX Runtime is installed and not turned off by `SWITCH`; imports nothing."""
    return os.environ.get(SWITCH, "1") != "0" and _installed()


@cache
def _installed() -> bool:
    return all(find_spec(name) is not None for name in ("onnxruntime", "onnx", "platformdirs"))


def settle(module: nn.Module) -> None:
    """Says that the weights of a network, and of the networks right inside it, are final."""
    for part in (module, *module.children()):
        _settled[part] = Settled(_changes(part))


def unsettle(module: nn.Module) -> None:
    """Says that a network is about to be trained; torch computes it from here on."""
    for part in module.modules():
        _settled.pop(part, None)


def engine_name(module: nn.Module) -> str:
    """Name and version of the library that computes a network on the processor."""
    if enabled() and _unchanged(module) is not None:
        return f"onnxruntime {version('onnxruntime')}"
    return f"torch {torch.__version__}"


def _unchanged(module: nn.Module) -> Settled | None:
    """What is known of a settled network; None if it was refused, or changed since."""
    known = _settled.get(module)
    return None if known is None or known.refused or known.changes != _changes(module) else known


def run(module: nn.Module, images: Tensor, method: str = "__call__") -> Any:
    """Output of a network's method for a batch of images.

    Args:
        module: the network, in evaluation mode.
        images: its input.
        method: takes images alone, and returns tensors, in tuples, lists or dictionaries if there are several.
    """
    engine = _engine(module, images, method, torch.get_num_threads())
    return getattr(module, method)(images) if engine is None else engine(images)


def run_each(module: nn.Module, batches: Sequence[Tensor], method: str = "__call__") -> list[Any]:
    """Outputs of a network's method for several batches of one shape, as `run` would give them one by one.

    By ONNX Runtime they are computed side by side: threads that share one pass wait for each other at every layer.

    Args:
        module, method: see `run`.
        batches: of images, at least one.
    """
    threads = torch.get_num_threads()
    workers = min(threads, len(batches))
    engine = _engine(module, batches[0], method, threads // workers)
    if engine is None:
        return [getattr(module, method)(images) for images in batches]
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(engine, batches))


def _engine(module: nn.Module, images: Tensor, method: str, threads: int) -> Engine | None:
    """The engine of a settled network; None where torch is to compute."""
    if images.device.type != "cpu" or torch.is_grad_enabled() or module.training or not enabled():
        return None
    known = _unchanged(module)
    if known is None:
        return None
    shape = tuple(images.shape)
    key = (method, shape, threads)
    if key not in known.engines:
        try:
            known.engines[key] = _make(module, method, shape, threads)
        except Exception as error:  # exporter and runtime raise every kind
            known.refused = True
            _tell(type(module).__name__, error)
            return None
    return known.engines[key]


def _changes(module: nn.Module) -> int:
    """Sum of torch's counters of changes in place over all weights."""
    tensors = (*module.parameters(), *module.buffers())
    return sum(0 if tensor.is_inference() else tensor._version for tensor in tensors)


def _tell(name: str, error: Exception) -> None:
    reason = " ".join(str(error).split())[:160] or type(error).__name__
    print(f"aasce[fast]: torch computes {name} ({reason}); {SWITCH}=0 leaves this out", file=sys.stderr)


def _make(module: nn.Module, method: str, shape: Shape, threads: int) -> Engine:
    """The engine from the cache; exported anew, and checked, where there is none or a damaged one."""
    path = cache_folder() / f"{network_key(module, method, shape)}.network"
    with suppress(Exception):  # a damaged file raises every kind
        engine = _load(*_unsealed(path.read_bytes()), threads)
        with suppress(OSError):
            os.utime(path)
        return engine
    example = torch.from_numpy(np.random.default_rng(0).standard_normal(shape, np.float32))
    with torch.inference_mode():
        expected = getattr(module, method)(example)
    structure = pytree.treespec_dumps(pytree.tree_structure(expected)).encode()
    with atomic_write(path) as temporary:
        _export(module, method, example, temporary)
        exported = temporary.read_bytes()
        engine = _checked(_load(structure, exported, threads), example, expected)
        temporary.write_bytes(_sealed(structure, exported))
    _forget_old(path.parent)
    return engine


def _sealed(structure: bytes, exported: bytes) -> bytes:
    """A file of the cache: SHA-256 of the rest, structure of the output as JSON in one line, ONNX."""
    body = structure + b"\n" + exported
    return hashlib.sha256(body).digest() + body


def _unsealed(content: bytes) -> tuple[bytes, bytes]:
    """Structure and ONNX of a file of the cache.

    Raises:
        AasceError: it is damaged.
    """
    digest, body = content[:32], content[32:]
    if hashlib.sha256(body).digest() != digest:
        raise AasceError("the file is damaged")
    structure, _, exported = body.partition(b"\n")
    return structure, exported


def cache_folder() -> Path:
    """Folder of exported networks, in the place that the system has for files which can be made again."""
    from platformdirs import user_cache_path

    return user_cache_path("aasce", appauthor=False) / "fast"


def _forget_old(folder: Path) -> None:
    with suppress(OSError):
        entries = sorted(folder.glob("*.network"), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in entries[KEPT:]:
            path.unlink(missing_ok=True)


def network_key(module: nn.Module, method: str, shape: Shape) -> str:
    """Hexadecimal digest of all that an exported network depends on: weights, code, input, versions, processor.

    Args:
        module: the network.
        method: that is exported.
        shape: of the input.
    """
    libraries = [version(name) for name in ("torch", "timm", "onnx", "onnxruntime")]
    processor = (platform.machine(), torch.backends.cpu.get_cpu_capability())
    digest = hashlib.sha256(repr((method, shape, OPSET, libraries, processor, module)).encode())
    with suppress(OSError, TypeError):
        digest.update(inspect.getsource(inspect.getmodule(type(module)) or type(module)).encode())
    for name, value in module.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:40]


class _Method(nn.Module):
    """A method of a network as a network of its own, outputs in one flat tuple."""

    def __init__(self, module: nn.Module, method: str) -> None:
        super().__init__()
        self.module, self.method = module, method

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(pytree.tree_leaves(getattr(self.module, self.method)(images)))


def _export(module: nn.Module, method: str, example: Tensor, path: Path) -> None:
    """Writes a network as ONNX.

    By way of TorchScript: the exporter that follows the program takes ten times as long.
    """
    whole = _Method(module, method).eval()
    with torch.inference_mode(False), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(whole, (example.clone(),), path, dynamo=False, opset_version=OPSET)


def _load(structure: bytes, exported: bytes, threads: int) -> Engine:
    """ONNX as a function of images."""
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(exported, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    layout = pytree.treespec_loads(structure.decode())

    def engine(images: Tensor) -> Any:
        try:
            outputs: list[Array] = session.run(None, {name: images.contiguous().numpy()})
        except Exception as error:  # its kinds are its own; torch's, as of exhausted memory, is this one
            raise RuntimeError(str(error)) from error
        return pytree.tree_unflatten([torch.from_numpy(output) for output in outputs], layout)

    return engine


def _checked(engine: Engine, example: Tensor, expected: Any) -> Engine:
    """The engine, if its outputs are torch's.

    Raises:
        AasceError: they are not.
    """
    pairs = zip(pytree.tree_leaves(engine(example)), pytree.tree_leaves(expected), strict=True)
    for found, wanted in pairs:
        limit = TOLERANCE * max(1.0, float(wanted.abs().max()))
        if found.shape != wanted.shape or not bool(((found - wanted).abs() <= limit).all()):
            raise AasceError("ONNX Runtime gives other outputs")
    return engine
