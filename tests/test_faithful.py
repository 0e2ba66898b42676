"""A training step equals a plain re-statement of its source: losses and every gradient, in double precision.

The layer tables are those of `models.lua` of Isola et al.'s code and of seed report 003 as docs/sources.md gives it;
the classification loss is that of Zhang et al.'s Caffe code. Only the names of the weights come from `methods/`.
"""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmark.contracts.method import Batch, Method
from benchmark.contracts.registry import load_method
from benchmark.data.ab_bins import centers, class_weights, smooth_prior
from benchmark.data.color import rgb_to_lab
from benchmark.running.conformance import tiny_images, tiny_info

Weights = dict[str, Tensor]
SEED = 3  # of the dropout masks


def made(name: str, image_size: int, **settings: Any) -> tuple[Method, Batch, Weights]:
    """Returns a method in double precision, a batch, and a copy of its weights under their names."""
    torch.manual_seed(0)
    adapter: Any = load_method(name)
    method = adapter(adapter.Config(**settings), tiny_info(image_size)).double().train()
    L, ab = rgb_to_lab(torch.from_numpy(tiny_images(2, image_size)))
    copies = {key: value.detach().clone().requires_grad_() for key, value in method.named_parameters()}
    return method, Batch(L.double(), ab.double()), copies


def step_of(method: Method, batch: Batch, phase: str) -> list[tuple[Tensor, Weights]]:
    """Takes a step as the trainer does; returns each update's loss, and the gradients of its parameters by name."""
    names = {parameter: name for name, parameter in method.named_parameters()}
    optimizers, found = method.optimizers(phase), []
    torch.manual_seed(SEED)
    for update in method.training_step(batch, phase):
        optimizer = optimizers[update.optimizer]
        own = [p for group in optimizer.param_groups for p in group["params"]]
        optimizer.zero_grad()
        update.loss.backward(inputs=own)
        found.append((update.loss.detach(), {names[p]: p.grad.clone() for p in own}))
        optimizer.step()
    return found


def gradients(loss: Tensor, weights: Weights, prefix: str) -> Weights:
    """Returns the gradients of the weights whose names begin so."""
    own = {name: value for name, value in weights.items() if name.startswith(prefix)}
    return dict(zip(own, torch.autograd.grad(loss, list(own.values()), retain_graph=True), strict=True))


def assert_same(found: tuple[Tensor, Weights], loss: Tensor, expected: Weights) -> None:
    torch.testing.assert_close(found[0], loss.detach(), rtol=1e-12, atol=0)
    assert found[1].keys() == expected.keys()
    for name, gradient in expected.items():
        off = (found[1][name] - gradient).abs().max() / gradient.abs().max()
        assert off < 1e-11, name


def normalised(x: Tensor, weights: Weights, name: str) -> Tensor:
    return F.batch_norm(x, None, None, weights[f"{name}.weight"], weights[f"{name}.bias"], training=True)


def pix2pix_generator(L: Tensor, w: Weights, depth: int) -> Tensor:
    """e1 … e8 and d1 … d8 of `defineG_unet` with its dropout, without the offsets that its closures set to zero."""

    def convolve(x: Tensor, level: int) -> Tensor:
        return F.conv2d(x, w[f"colorizer.0.encoder.{level}.0.weight"], stride=2, padding=1)

    e = [convolve(L, 0)]
    for level in range(1, depth - 1):
        e.append(normalised(convolve(F.leaky_relu(e[-1], 0.2), level), w, f"colorizer.0.encoder.{level}.1"))
    d = convolve(F.leaky_relu(e[-1], 0.2), depth - 1)
    for level in range(depth - 1):
        name = f"colorizer.0.decoder.{level}"
        d = F.conv_transpose2d(F.relu(d), w[f"{name}.1.weight"], stride=2, padding=1)
        d = normalised(d, w, f"{name}.2")
        if level < 3:
            d = F.dropout(d, 0.5)
        d = torch.cat([d, e[-1 - level]], dim=1)
    weight, offset = w["colorizer.0.head.1.weight"], w["colorizer.0.head.1.bias"]
    return F.conv_transpose2d(F.relu(d), weight, offset, stride=2, padding=1).tanh()


def pix2pix_discriminator(L: Tensor, ab: Tensor, w: Weights) -> Tensor:
    """Returns logits of `defineD_n_layers` with three layers, as the 70×70 PatchGAN is made."""
    weight, offset = w["discriminator.layers.0.weight"], w["discriminator.layers.0.bias"]
    x = F.leaky_relu(F.conv2d(torch.cat([L, ab], dim=1), weight, offset, stride=2, padding=1), 0.2)
    for place, stride in ((2, 2), (5, 2), (8, 1)):
        x = F.conv2d(x, w[f"discriminator.layers.{place}.weight"], stride=stride, padding=1)
        x = F.leaky_relu(normalised(x, w, f"discriminator.layers.{place + 1}"), 0.2)
    return F.conv2d(x, w["discriminator.layers.11.weight"], w["discriminator.layers.11.bias"], padding=1)


@pytest.mark.slow
def test_a_step_of_cgan_is_that_of_pix2pix() -> None:
    method, batch, w = made("cgan", 256, base_channels=4, discriminator_channels=4, dropout=0.5)
    judging, coloring = step_of(method, batch, "adversarial")

    L, ab = batch.L / 50 - 1, batch.ab / 110
    torch.manual_seed(SEED)
    fake = pix2pix_generator(L, w, depth=8)
    true, false = (pix2pix_discriminator(L, colors, w) for colors in (ab, fake.detach()))
    loss = 0.5 * (-F.logsigmoid(true).mean() - F.logsigmoid(-false).mean())
    expected = gradients(loss, w, "discriminator")
    assert_same(judging, loss, expected)

    for name, gradient in expected.items():  # Adam's first step, whose moments are the gradient and its square
        w[name] = (w[name] - 2e-4 * gradient / (gradient.abs() + 1e-8)).detach()
    loss = -F.logsigmoid(pix2pix_discriminator(L, fake, w)).mean() + 100 * (fake - ab).abs().mean()
    assert_same(coloring, loss, gradients(loss, w, "colorizer"))


def test_a_step_of_l2_is_that_of_its_report() -> None:
    method, batch, w = made("l2", 32, base_channels=4)
    (found,) = step_of(method, batch, "train")
    x, mirrors = batch.L / 50 - 1, []
    for level in range(4):  # 32² → 2²
        name = f"colorizer.0.encoder.{level}"
        x = F.conv2d(x, w[f"{name}.0.weight"], stride=2, padding=1)
        x = F.leaky_relu(normalised(x, w, f"{name}.1"), 0.2)
        mirrors.append(x)
    mirrors.pop()
    for name in (*(f"colorizer.0.decoder.{level}" for level in range(3)), "colorizer.0.last"):
        x = F.conv_transpose2d(x, w[f"{name}.up.weight"], stride=2, padding=1)
        if mirrors:
            x = torch.cat([x, mirrors.pop()], dim=1)
        x = F.relu(normalised(x, w, f"{name}.norm.0"))
    x = F.conv2d(x, w["colorizer.0.head.weight"], w["colorizer.0.head.bias"]).tanh()
    loss = (x - torch.cat([batch.L / 50 - 1, batch.ab / 110], dim=1)).square().mean()
    assert_same(found, loss, gradients(loss, w, "colorizer"))


def rebalanced_loss(logits: Tensor, ab: Tensor) -> Tensor:
    """Computes Zhang et al.'s loss from dense targets: a sum over places, divided by the batch alone."""
    pixels = ab.movedim(1, -1).reshape(-1, 2)
    squared = torch.cdist(pixels, centers().to(ab)).square()
    nearest = squared.topk(5, largest=False)
    weights = torch.exp(nearest.values / (-2 * 5.0**2))
    targets = torch.zeros_like(squared).scatter(1, nearest.indices, weights / weights.sum(1, keepdim=True))
    factor = class_weights(smooth_prior(tiny_info().ab_prior), 0.5)[nearest.indices[:, 0]]
    log_p = logits.movedim(1, -1).reshape(-1, 313).log_softmax(1)
    return (factor * -(targets * log_p).sum(1)).sum() / len(ab)


@pytest.mark.parametrize("image_size", [32, 36])
def test_the_loss_of_eccv16_is_a_sum_over_places_divided_by_the_batch(image_size: int) -> None:
    method, batch, _ = made("eccv16", image_size, width=0.0625)
    method.float()
    batch = Batch(batch.L.float(), batch.ab.float())
    ((loss, found),) = step_of(method, batch, "train")
    again, _, _ = made("eccv16", image_size, width=0.0625)
    logits = again.float().get_submodule("colorizer")(batch.L)[..., : image_size // 4, : image_size // 4]
    expected = rebalanced_loss(logits, batch.ab[..., ::4, ::4])
    torch.testing.assert_close(loss, expected.float(), rtol=1e-4, atol=0)
    expected.backward()
    wanted = again.get_parameter("colorizer.model8.6.weight").grad
    assert wanted is not None
    off = (found["colorizer.model8.6.weight"] - wanted).abs().max() / wanted.abs().max()
    assert off < 1e-4


@pytest.mark.parametrize(
    ("name", "settings", "factors"),
    [
        ("cgan", {"base_channels": 4}, {0.0: 1.0, 0.5: 1.0, 0.75: 0.5, 1.0: 0.0}),
        ("cgan", {"base_channels": 4, "decay_from": 1.0}, {0.0: 1.0, 0.99: 1.0}),
        ("eccv16", {"width": 0.0625}, {0.0: 1.0, 0.42: 1.0, 0.43: 0.316, 0.85: 0.316, 0.86: 0.316**2}),
        ("l2", {"base_channels": 4}, {0.99: 1.0}),
    ],
)
def test_rates_follow_the_sources_schedules(name: str, settings: dict[str, Any], factors: dict[float, float]) -> None:
    method, _, _ = made(name, 32, **settings)
    assert {at: method.learning_rate("generator", at) for at in factors} == pytest.approx(factors)
