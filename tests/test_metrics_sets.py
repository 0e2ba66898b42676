"""Distances between sets, their networks, and the features kept on disk are right."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import lpips
import numpy as np
import pytest
import pytorch_fid.fid_score
import pytorch_fid.inception
import torch
import torchvision
from PIL import Image
from torch import Tensor, nn

from benchmark.scoring.metrics import distances, sets
from benchmark.scoring.metrics.distances import Gaussian, frechet_distance, kernel_distance
from benchmark.scoring.metrics.pair import Pair
from benchmark.scoring.metrics.sets import InceptionMetrics, set_distances
from benchmark.scoring.networks.features import FeatureStream, Reference, exact_arithmetic
from benchmark.scoring.networks.inception import Inception
from benchmark.scoring.networks.perceptual import Lpips
from benchmark.support.errors import BenchError

CPU = torch.device("cpu")


def gaussian(mean: list[float], deviations: list[float]) -> Gaussian:
    return Gaussian(torch.tensor(mean).double(), torch.tensor(deviations).double().square().diag())


# Fréchet distance ---------------------------------------------------------------------------------------------------


def test_frechet_distance_of_two_gaussians_in_closed_form() -> None:
    # Diagonal covariances give the squared distance of the means plus that of the standard deviations.
    first, second = gaussian([0, 0, 1], [1, 2, 0.5]), gaussian([3, 4, 1], [2, 2, 1.5])
    assert frechet_distance(first, second) == pytest.approx(25 + 1 + 1)
    assert frechet_distance(second, first) == pytest.approx(27)
    assert frechet_distance(first, first) == pytest.approx(0, abs=1e-12)


def test_frechet_distance_does_not_depend_on_the_axes() -> None:
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64))[0]
    first, second = gaussian([0, 0, 1], [1, 2, 0.5]), gaussian([3, 4, 1], [2, 2, 1.5])
    turned = [Gaussian(turn @ one.mean, turn @ one.covariance @ turn.T) for one in (first, second)]
    assert frechet_distance(*turned) == pytest.approx(27)


@pytest.mark.filterwarnings("ignore:The `disp` argument")
@pytest.mark.parametrize("images", [200, 40])  # more than features, and fewer, which makes the covariances singular
def test_frechet_distance_equals_pytorch_fid(images: int) -> None:
    rng = np.random.default_rng(0)
    scales = np.logspace(0, -2, 64)
    first, second = rng.normal(0, scales, (images, 64)), rng.normal(0.05, 1.2 * scales, (images, 64))
    moments = [moment for one in (first, second) for moment in (one.mean(axis=0), np.cov(one, rowvar=False))]
    expected = pytorch_fid.fid_score.calculate_frechet_distance(*moments)
    found = frechet_distance(*(Gaussian.of(torch.from_numpy(one)) for one in (first, second)))
    assert found == pytest.approx(expected, rel=1e-3)


def test_moments_equal_numpy_with_a_large_mean() -> None:
    features = np.random.default_rng(0).normal(1e3, 1e-2, (5000, 7))
    found = Gaussian.of(torch.from_numpy(features))
    np.testing.assert_allclose(found.mean, features.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.covariance, np.cov(features, rowvar=False), atol=1e-10)


def test_a_covariance_of_one_image_is_refused() -> None:
    with pytest.raises(ValueError, match="two images"):
        Gaussian.of(torch.zeros(1, 4))


# Kernel distance ----------------------------------------------------------------------------------------------------


def squared_mmd(x: np.ndarray, y: np.ndarray) -> float:
    """Computes equation 4 of Bińkowski et al. 2018 term by term."""

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return float((a @ b / len(a) + 1) ** 3)

    n = len(x)
    pairs = [(i, j) for i in range(n) for j in range(n)]
    within = sum(kernel(x[i], x[j]) + kernel(y[i], y[j]) for i, j in pairs if i != j) / (n * (n - 1))
    return within - 2 * sum(kernel(x[i], y[j]) for i, j in pairs) / n**2


def test_kernel_distance_equals_its_definition() -> None:
    first, second = np.random.default_rng(0).normal(0, 1, (2, 30, 8)) + np.array([0, 0.5])[:, None, None]
    found = kernel_distance(torch.from_numpy(first), torch.from_numpy(second))
    assert found.mean == pytest.approx(squared_mmd(first, second), rel=1e-9)
    assert (found.subsets, found.subset_size) == (1, 30)


def test_kernel_distance_of_large_sets_is_a_mean_over_subsets(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (distances.KID_SUBSETS, distances.KID_SUBSET_SIZE) == (100, 1000)
    monkeypatch.setattr(distances, "KID_SUBSET_SIZE", 200)
    generator = torch.Generator().manual_seed(0)
    first, second, far = (torch.randn(240, 8, generator=generator) + shift for shift in (0, 0, 0.5))
    same, apart = kernel_distance(first, second), kernel_distance(first, far)
    assert (same.subsets, same.subset_size) == (100, 200)
    assert same.mean == pytest.approx(squared_mmd(first.numpy(), second.numpy()), abs=1e-3)
    assert apart.mean == pytest.approx(squared_mmd(first.numpy(), far.numpy()), rel=0.01)
    assert abs(same.mean) < 0.1 * apart.mean
    assert kernel_distance(first, second) == same


# Both distances of two sets -----------------------------------------------------------------------------------------


def test_distances_of_sets_say_their_floor_and_need_many_images() -> None:
    assert sets.FRECHET_IMAGES == 1000
    generator = torch.Generator().manual_seed(0)
    outputs, truths = torch.randn(2, 1200, 4, generator=generator)
    found = set_distances("fd", "kd", outputs + 1, truths, "a-network")
    assert found.values == {
        "fd": frechet_distance(Gaussian.of(truths), Gaussian.of(outputs + 1)),
        "kd": kernel_distance(outputs + 1, truths).mean,
    }
    floor = sets.truth_floor(truths)
    assert 0 < floor < 0.05 < 3 < found.values["fd"]  # the means are 4 apart
    assert found.notes == {
        "fd": f"N = 1,200; a-network; two halves of the truth: {floor:.3g}",
        "kd": "N = 1,200; a-network; 100 overlapping subsets of 1,000",
    }
    few = set_distances("fd", "kd", outputs[:999], truths[:999])
    assert few.values.keys() == {"kd"}
    assert few.notes == {"fd": "999 images, fewer than 1,000: see kd", "kd": "N = 999"}


def test_the_floor_is_the_distance_of_halves_that_share_no_image() -> None:
    repeated = torch.randn(300, 4, generator=torch.Generator().manual_seed(0)).repeat(2, 1)
    assert sets.truth_floor(repeated) == sets.truth_floor(repeated) > 0
    halves = torch.cat([torch.zeros(500, 2), torch.ones(500, 2)])  # every random half holds some of either
    assert sets.truth_floor(halves) < 0.05


# Features -----------------------------------------------------------------------------------------------------------


class Averages:
    """A network that needs no weights and counts its work."""

    name, sha256, dimensions, batch_sizes = "averages", "0" * 64, 3, (16, 64)

    def __init__(self) -> None:
        self.batches: list[int] = []

    def features(self, images: Tensor) -> Tensor:
        self.batches.append(len(images))
        return images.float().mean(dim=(1, 2))


@pytest.fixture
def images() -> Tensor:
    return torch.randint(0, 256, (70, 5, 6, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("size", [1, 7, 16, 70])
def test_features_come_in_order_whatever_the_batches(size: int, images: Tensor) -> None:
    network = Averages()
    stream = FeatureStream(network, CPU)
    for batch in images.split(size):
        stream.update(batch)
    assert torch.equal(stream.compute(), network.features(images))
    assert network.batches[:-1] == [16, 16, 16, 16, 6]


def test_features_are_kept_and_found(images: Tensor, tmp_path: Path) -> None:
    network, truths = Averages(), Reference(tmp_path / "folder", "f" * 64, len(images))
    cache = truths.file(network, "truth")
    stream = FeatureStream(network, CPU, truths)
    stream.update(images)
    expected = stream.compute()
    done = len(network.batches)
    again = FeatureStream(network, CPU, truths)
    again.update(images)
    assert torch.equal(again.compute(), expected)
    assert len(network.batches) == done

    cache.write_bytes(cache.read_bytes()[:-5])  # the end is cut off
    assert not FeatureStream(network, CPU, truths).known
    np.save(cache, np.zeros((3, 3), np.float32))  # features of another set
    assert not FeatureStream(network, CPU, truths).known


def test_features_of_some_of_the_images_are_not_kept(images: Tensor, tmp_path: Path) -> None:
    stream = FeatureStream(Averages(), CPU, Reference(tmp_path, "f" * 64, len(images)))
    stream.update(images[:9])
    assert len(stream.compute()) == 9
    assert not list(tmp_path.iterdir())


def test_a_cache_that_cannot_be_written_costs_a_warning_only(
    images: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path, content: bytes) -> None:
        raise BenchError(f"cannot write {path}: No space left on device")

    monkeypatch.setattr("benchmark.scoring.networks.features.write_atomically", fail)
    stream = FeatureStream(Averages(), CPU, Reference(tmp_path, "f" * 64, len(images)))
    stream.update(images)
    with pytest.warns(UserWarning, match=r"features are not kept: cannot write .*averages-.*npy: No space"):
        assert len(stream.compute()) == len(images)


@pytest.mark.parametrize("way", ["old", "new"])
def test_arithmetic_is_exact_inside_and_as_it_was_outside(way: str) -> None:
    backends: Any = torch.backends
    matmul = backends.cuda.matmul
    before = matmul.fp32_precision
    try:
        if way == "old":
            torch.set_float32_matmul_precision("high")
        else:
            matmul.fp32_precision = "tf32"
        with torch.autocast("cpu", dtype=torch.bfloat16), exact_arithmetic(CPU):
            assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
            assert matmul.fp32_precision == backends.cudnn.conv.fp32_precision == "ieee"
            assert torch.is_inference_mode_enabled()
        assert matmul.fp32_precision == "tf32"
        assert not torch.is_inference_mode_enabled()
    finally:
        torch.set_float32_matmul_precision("highest")
        matmul.fp32_precision = before


# Inception, with random weights of the same layout ------------------------------------------------------------------


def randomise(network: nn.Module) -> nn.Module:
    """Draws weights that keep the signal's size through all layers, and normalisations that have an effect."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                fan_in = module.weight[0].numel()
                module.weight.normal_(0, (2 / fan_in) ** 0.5, generator=generator)
            elif isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.8, 1.2, generator=generator)
                module.running_mean.normal_(0, 0.1, generator=generator)  # type: ignore[union-attr]
                module.running_var.uniform_(0.8, 1.2, generator=generator)  # type: ignore[union-attr]
    return network


@pytest.fixture(scope="module")
def inception_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of random weights, which pytorch-fid finds if TORCH_HOME is the folder's grandparent."""
    folder = tmp_path_factory.mktemp("torch") / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    network = torchvision.models.inception_v3(num_classes=1008, aux_logits=False, weights=None, init_weights=False)
    path = folder / "pt_inception-2015-12-05-6726825d.pth"
    torch.save(randomise(network).state_dict(), path)
    return path


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two folders of PNGs with noise of different contrast."""
    rng = np.random.default_rng(0)
    made = []
    for name, contrast in (("outputs", 30), ("truths", 60)):
        folder = tmp_path_factory.mktemp(name)
        for number in range(6):
            coarse = rng.normal(128, contrast, (8, 8, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(coarse).resize((64, 64), Image.Resampling.BICUBIC).save(folder / f"{number}.png")
        made.append(folder)
    return made[0], made[1]


def read(folder: Path) -> Tensor:
    return torch.from_numpy(np.stack([np.asarray(Image.open(path)) for path in sorted(folder.glob("*.png"))]))


@pytest.mark.slow
def test_inception_equals_pytorch_fid(
    inception_weights: Path, folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(inception_weights.parents[2]))
    reference = pytorch_fid.inception.InceptionV3([3]).eval()
    files = sorted(folders[0].glob("*.png"))
    expected = pytorch_fid.fid_score.get_activations(files, reference, batch_size=3, num_workers=0)
    ours = Inception(inception_weights, CPU)
    with exact_arithmetic(CPU):
        found = ours.features(read(folders[0]))
    scale = np.abs(expected).max()
    assert found.shape == (6, 2048)
    assert expected.std(axis=0).max() > 0.01 * scale  # the weights tell the images apart
    np.testing.assert_allclose(found, expected, atol=1e-5 * scale)


class SecondBlock:
    """The reference network up to its second block, because the root of all 2,048 features takes half a minute."""

    name, sha256, dimensions, batch_sizes = "second-block", "0" * 64, 192, (4, 4)

    def __init__(self) -> None:
        self.network = pytorch_fid.inception.InceptionV3([1]).eval()

    def features(self, images: Tensor) -> Tensor:
        (maps,) = self.network(images.permute(0, 3, 1, 2).float() / 255)
        return maps.mean(dim=(2, 3))


@pytest.mark.slow
def test_fid_equals_the_command_line_of_pytorch_fid(
    inception_weights: Path, folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The distance of two folders is the same; the test above holds that our features are the reference's."""
    monkeypatch.setenv("TORCH_HOME", str(inception_weights.parents[2]))
    monkeypatch.setattr(sets, "FRECHET_IMAGES", 6)
    command = [sys.executable, "-m", "pytorch_fid", *map(str, folders), "--device", "cpu", "--num-workers", "0"]
    printed = subprocess.run([*command, "--dims", "192"], capture_output=True, text=True, check=True).stdout
    metrics = InceptionMetrics(SecondBlock(), CPU, None)
    metrics.update(Pair(read(folders[0]), read(folders[1])))
    found = metrics.compute()
    assert found.values["fid"] == pytest.approx(float(printed.split("FID:")[1]), rel=1e-3)
    assert found.notes["fid"].startswith("N = 6; two halves of the truth: ")


@pytest.mark.slow
def test_loading_inception_leaves_no_traces(inception_weights: Path) -> None:
    download = pytorch_fid.inception.load_state_dict_from_url
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    Inception(inception_weights, CPU)
    assert torch.rand(1) == expected
    assert pytorch_fid.inception.load_state_dict_from_url is download


def test_fid_and_kid_of_a_set_and_itself(images: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sets, "FRECHET_IMAGES", len(images))
    network, reference = Averages(), Reference(tmp_path, "f" * 64, len(images))
    metrics = InceptionMetrics(network, CPU, reference)
    metrics.update(Pair(images, images))
    found = metrics.compute()
    assert found.values["fid"] == pytest.approx(0, abs=1e-9)
    assert [path.name for path in tmp_path.iterdir()] == [
        "averages-0000000000000000-ffffffffffffffff-truth-float32.npy"
    ]

    network.batches.clear()
    again = InceptionMetrics(network, CPU, reference)
    again.update(Pair(images, images))
    assert again.compute() == found
    assert sum(network.batches) == len(images)  # only the outputs' features are computed


# LPIPS, with a random AlexNet ---------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The parameter 'pretrained'", "ignore:Arguments other than a weight enum")
def test_lpips_equals_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alexnet = randomise(torchvision.models.alexnet(weights=None))
    state = {name: tensor for name, tensor in alexnet.state_dict().items() if name.startswith("features.")}
    torch.save(state, tmp_path / "alexnet.pth")
    monkeypatch.setattr(torchvision.models, "alexnet", lambda pretrained: alexnet)
    reference = lpips.LPIPS(net="alex", verbose=False)
    monkeypatch.undo()
    for size in (32, 64):
        generator = torch.Generator().manual_seed(size)
        first, second = torch.randint(0, 256, (2, 3, size, size, 3), dtype=torch.uint8, generator=generator)
        scaled = [lpips.im2tensor(image.numpy()) for image in (first[0], second[0])]
        found = Lpips(tmp_path / "alexnet.pth", CPU).distance(first, second)
        assert found.shape == (3,)
        assert found[0].item() == pytest.approx(reference(*scaled).item(), rel=1e-4)
        assert Lpips(tmp_path / "alexnet.pth", CPU).distance(first, first).tolist() == [0, 0, 0]
