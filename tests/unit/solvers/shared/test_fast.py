"""Networks by ONNX Runtime: checked against torch, kept in a cache, and left to torch whenever something is wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from aasce.api import load_single
from aasce.commands.predict import PredictOptions, predict
from aasce.examples import example_films
from aasce.readers import list_films
from aasce.solvers.shared import fast
from aasce.solvers.shared.tta import network_pass

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

IMAGES = torch.arange(64, dtype=torch.float32).reshape(1, 1, 8, 8) / 64


class Pair(nn.Module):
    """Two named maps of an image, one of half its size."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(3)
            self.wide, self.low = nn.Conv2d(1, 3, 3, padding=1), nn.Conv2d(1, 2, 2, stride=2)

    def forward(self, images: Tensor) -> Tensor:
        return torch.sigmoid(self.wide(images))

    def maps(self, images: Tensor) -> dict[str, Tensor]:
        return {"wide": self.wide(images).relu(), "low": self.low(images)}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and the engine turned on."""
    monkeypatch.setenv(fast.SWITCH, "1")
    monkeypatch.setattr(fast, "cache_folder", lambda: tmp_path / "cache")
    return tmp_path / "cache"


def settled() -> Pair:
    net = Pair().eval()
    fast.settle(net)
    return net


def maps(net: Pair, images: Tensor = IMAGES) -> dict[str, Tensor]:
    with torch.inference_mode():
        found: dict[str, Tensor] = fast.run(net, images, "maps")
        expected = net.maps(images)
    assert list(found) == list(expected)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, atol=1e-5, rtol=1e-5)
    return found


def by_runtime(net: Pair) -> bool:
    return "onnxruntime" in fast.engine_name(net)


def test_outputs_and_their_structure_are_those_of_torch(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net = settled()
    maps(net)
    maps(net, IMAGES[..., :4])
    assert by_runtime(net)
    assert len(list(cache.glob("*.network"))) == 2  # one a shape
    assert capsys.readouterr().err == ""


def test_several_images_at_once_are_each_computed_as_alone(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = settled()
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    images = [IMAGES * k for k in (1.0, -2.0, 3.0)]
    with torch.inference_mode():
        found = fast.run_each(net, images, "maps")
        for image, each in zip(images, found, strict=True):
            torch.testing.assert_close(each["low"], net.maps(image)["low"], atol=1e-5, rtol=1e-5)
    assert by_runtime(net)
    assert list(cache.glob("*.network"))


def test_passes_over_canvases_go_the_same_way(cache: Path) -> None:
    net = settled()
    canvases = np.arange(128, dtype=np.uint8).reshape(2, 8, 8)
    found = network_pass(net, canvases)
    assert len(list(cache.glob("*.network"))) == 1
    fast.unsettle(net)
    torch.testing.assert_close(found, network_pass(net, canvases), atol=1e-6, rtol=1e-5)
    assert found.shape == (2, 3, 8, 8)


@pytest.mark.parametrize("off", ["switch", "never settled", "trained", "changed"])
def test_torch_computes_unless_the_weights_are_final(
    cache: Path, off: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = Pair().eval() if off == "never settled" else settled()
    if off == "switch":
        monkeypatch.setenv(fast.SWITCH, "0")
    elif off == "trained":
        fast.unsettle(net)
    elif off == "changed":
        with torch.no_grad():
            net.low.weight.mul_(2)
    maps(net)
    assert fast.engine_name(net) == f"torch {torch.__version__}"
    assert not cache.exists()


def test_a_runtime_with_wrong_outputs_is_refused(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import onnxruntime

    class Wrong(onnxruntime.InferenceSession):  # type: ignore[misc]
        def run(self, *args: Any) -> list[Any]:
            first, *others = super().run(*args)
            return [first + np.float32(0.01), *others]

    monkeypatch.setattr(onnxruntime, "InferenceSession", Wrong)
    net = settled()
    maps(net)
    maps(net, IMAGES[..., :4])
    assert not by_runtime(net)
    assert not list(cache.glob("*"))
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "other outputs" in said


@pytest.mark.parametrize("damage", ["cut", "empty", "one bit", "no network"])
def test_a_broken_entry_is_made_again(cache: Path, damage: str) -> None:
    maps(settled())
    (entry,) = cache.glob("*.network")
    whole = entry.read_bytes()
    broken = bytearray(whole)
    broken[-200] ^= 1
    content = {
        "cut": whole[: len(whole) // 2],
        "empty": b"",
        "one bit": bytes(broken),
        "no network": fast._sealed(b"{}", b"of another program"),
    }
    entry.write_bytes(content[damage])
    net = settled()
    maps(net)
    assert by_runtime(net)
    assert entry.read_bytes() == whole


def test_a_pass_that_fails_raises_what_torch_raises(cache: Path) -> None:
    net = settled()
    maps(net)
    (engine,) = fast._settled[net].engines.values()
    with pytest.raises(RuntimeError, match="dimension"):
        engine(IMAGES[..., :4])
    assert by_runtime(net)


def test_an_entry_that_was_checked_is_used_as_it_is(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    maps(settled())
    monkeypatch.setattr(fast, "_export", lambda *_: pytest.fail("exported twice"))
    net = settled()
    maps(net)
    assert by_runtime(net)


def test_a_folder_that_cannot_be_written_leaves_it_to_torch(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache.write_text("a file where the folder should be")
    net = settled()
    maps(net)
    maps(net)
    assert not by_runtime(net)
    assert capsys.readouterr().err.count("\n") == 1


def test_the_key_follows_weights_method_shape_and_code() -> None:
    net = Pair()
    key = fast.network_key(net, "maps", (1, 1, 8, 8))
    assert key == fast.network_key(Pair(), "maps", (1, 1, 8, 8))
    others = {fast.network_key(net, "maps", (1, 1, 8, 4)), fast.network_key(net, "forward", (1, 1, 8, 8))}
    net.low.stride = (1, 1)
    others.add(fast.network_key(net, "maps", (1, 1, 8, 8)))
    net.low.stride = (2, 2)
    with torch.no_grad():
        net.low.bias[0] += 1e-6
    others.add(fast.network_key(net, "maps", (1, 1, 8, 8)))
    assert len(others | {key}) == 5


def test_the_cache_keeps_what_was_used_last(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast, "KEPT", 2)
    cache.mkdir()
    for age, name in enumerate(("newest", "newer", "old", "oldest")):
        (cache / f"{name}.network").touch()
        os.utime(cache / f"{name}.network", (10.0 - age, 10.0 - age))
    maps(settled())
    left = {path.stem for path in cache.glob("*.network")}
    assert len(left) == 2
    assert "newest" in left


def test_the_default_gives_the_angles_that_torch_gives(cache: Path, tmp_path: Path) -> None:
    paths = example_films()[:2]
    measured = predict(
        list_films(paths).files, load_single("vertebra_field"), PredictOptions(tmp_path / "out")
    ).measurements
    golden = json.loads((Path(__file__).parents[3] / "golden" / "released_angles.json").read_text())
    for path, each in zip(paths, measured, strict=True):
        assert each.angles is not None
        np.testing.assert_allclose(each.angles.degrees, golden["vertebra_field"][path.stem], atol=0.1)
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["notes"]["engines"]["vertebra_field"].startswith("onnxruntime ")


def test_nothing_is_loaded_before_a_network_runs() -> None:
    program = (
        "import sys, aasce, aasce.cli, aasce.solvers.base, aasce.commands.predict\n"
        "assert not {'torch', 'onnxruntime', 'onnx', 'platformdirs'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    at_the_top = [
        line for line in Path(fast.__file__).read_text().splitlines() if line.startswith(("import ", "from "))
    ]
    assert len(at_the_top) > 5
    assert not [line for line in at_the_top if "onnx" in line or "platformdirs" in line]
