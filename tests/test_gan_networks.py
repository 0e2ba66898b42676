"""The networks of L2 regression and the conditional GAN agree with their sources; the losses have the right sign."""

from pathlib import Path

import pytest
import torch
from torch import nn

from benchmark.contracts.method import Batch, Method
from benchmark.contracts.registry import load_method
from benchmark.methods._patchgan import PatchGAN
from benchmark.methods._resnet_unet import ResNet18Encoder
from benchmark.methods._scale import scale_ab, scale_L
from benchmark.methods._unet import UNet
from benchmark.running.conformance import build, make_trainer, tiny_batch, tiny_images, tiny_info
from benchmark.support import weights


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_u_net_at_256_has_the_papers_layers() -> None:
    network = UNet(2, 256)
    assert [block[0].out_channels for block in network.encoder] == [64, 128, 256, 512, 512, 512, 512, 512]
    assert [block[1].out_channels for block in network.decoder] == [512, 512, 512, 512, 256, 128, 64]
    # pix2pix's generator for 256² with 3 + 3 channels has 54.41 M parameters; this one has 1 + 2 and other offsets.
    assert 54.2e6 < count(network) < 54.5e6


@pytest.mark.parametrize(("image_size", "patch"), [(256, 70), (128, 34), (64, 16), (32, 16)])
def test_the_patch_has_the_receptive_field_of_the_image_size(image_size: int, patch: int) -> None:
    torch.manual_seed(0)
    network = PatchGAN(image_size, 4).eval()
    L = torch.zeros(1, 1, image_size, image_size, requires_grad=True)
    logits = network(L, torch.zeros(1, 2, image_size, image_size))
    height, width = logits.shape[-2:]
    (gradient,) = torch.autograd.grad(logits[0, 0, height // 2, width // 2], L)
    rows = gradient[0, 0].abs().sum(dim=1).nonzero()
    seen = int(rows.max() - rows.min()) + 1
    assert seen == min(patch, image_size) or (seen < patch and image_size == 32)  # at 32² the edge cuts the patch


def test_discriminator_at_256_has_the_papers_size() -> None:
    assert abs(count(PatchGAN(256)) - 2.767e6) < 0.01e6  # pix2pix's has 2.769 M and takes 6 channels, ours takes 3


def test_resnet18_is_torchvisions() -> None:
    models = pytest.importorskip("torchvision.models", reason="torchvision cannot be imported")
    torch.manual_seed(0)
    published = models.resnet18(weights=None).eval()
    ours = ResNet18Encoder().eval()
    ours.load_imagenet(published.state_dict())
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        theirs = published.maxpool(published.relu(published.bn1(published.conv1(x))))
        for level in range(1, 5):
            theirs = getattr(published, f"layer{level}")(theirs)
            torch.testing.assert_close(ours(x)[level], theirs)


def test_pretrained_encoder_is_used_where_its_weights_are_and_skipped_where_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    adapter = load_method("cgan")
    config = adapter.Config.model_validate({"encoder": "resnet18", "base_channels": 64})
    monkeypatch.setattr(weights, "path", lambda name: None)
    assert "bench weights fetch resnet18" in str(adapter.skip(config, tiny_info()))
    state = {name: torch.full_like(value, 0.5) for name, value in ResNet18Encoder().state_dict().items()}
    monkeypatch.setattr(weights, "path", lambda name: Path(name))
    monkeypatch.setattr(weights, "load", lambda name: {**state, "fc.weight": torch.zeros(1)})
    assert adapter.skip(config, tiny_info()) is None
    encoder = build(adapter, config).get_submodule("colorizer.0.encoder")
    assert torch.equal(encoder.get_parameter("conv1.weight"), state["conv1.weight"])


@pytest.mark.parametrize("loss", ["non-saturating", "minimax"])
def test_the_generator_learns_to_be_taken_for_real(loss: str) -> None:
    """With λ = 0 the generator's update must raise the discriminator's logits on its pictures."""
    adapter = load_method("cgan")
    config = adapter.Config.model_validate(
        {"base_channels": 8, "discriminator_channels": 8, "l1_weight": 0, "generator_loss": loss}
    )
    method = build(adapter, config)
    batch = tiny_batch()
    optimizer = method.optimizers("adversarial")["generator"]
    before = _realism(method, batch)
    for _ in range(5):
        updates = method.training_step(batch, "adversarial")
        next(updates)  # the discriminator's update is not applied, so that it judges alike before and after
        generator = next(updates)
        optimizer.zero_grad()
        generator.loss.backward(inputs=list(method.colorizer.parameters()))
        optimizer.step()
    assert _realism(method, batch) > before + 0.01


def _realism(method: Method, batch: Batch) -> float:
    with torch.no_grad():
        fake = scale_ab(method.predict_ab(batch.L))
        logits = method.get_submodule("discriminator")(scale_L(batch.L), fake)
    return float(logits.mean())


OVERFITTED: dict[str, tuple[str, dict[str, object]]] = {
    "l2": ("l2", {"base_channels": 16, "learning_rate": 2e-3}),
    "cgan": ("cgan", {"base_channels": 16, "discriminator_channels": 8, "generator_rate": 2e-3}),
    "cgan with pre-training": (
        "cgan",
        {"base_channels": 16, "discriminator_channels": 8, "generator_rate": 2e-3, "pretrain_share": 0.5},
    ),
    "cgan-resnet18": (
        "cgan",
        {
            "encoder": "resnet18",
            "pretrained": False,
            "base_channels": 8,
            "discriminator_channels": 8,
            "generator_rate": 2e-3,
        },
    ),
    "cgan-lite": ("cgan", {"encoder": "lite0", "discriminator_channels": 8, "generator_rate": 2e-3}),
}


@pytest.mark.parametrize("case", ["l2", *(pytest.param(name, marks=pytest.mark.slow) for name in list(OVERFITTED)[1:])])
def test_overfits_eight_images(case: str, tmp_path: Path) -> None:
    """The ab error falls at least fivefold, so no sign is wrong and no graph is detached."""
    name, settings = OVERFITTED[case]
    adapter = load_method(name)
    method = build(adapter, adapter.Config.model_validate(settings))
    batch = tiny_batch(8)
    error = ab_error(method, batch)
    make_trainer(method, 120 if case == "cgan-resnet18" else 60, tmp_path, images=tiny_images(8), flip=False).run()
    assert ab_error(method, batch) < error / 5


def ab_error(method: Method, batch: Batch) -> float:
    """Returns the mean squared distance in ab of predictions on the training images."""
    with torch.no_grad():
        predicted = method.eval().predict_ab(batch.L)
    return float((predicted - batch.ab).square().sum(dim=1).mean())
