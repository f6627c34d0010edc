"""Reconstruction against scikit-learn's coefficient of determination and principal components."""

from functools import partial

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.metrics import mean_squared_error, r2_score
from torch import nn

from howdeep.data.batches import Batches
from howdeep.data.examples import Split
from howdeep.errors import UserError
from howdeep.nets.autoencoder import Autoencoder
from howdeep.runs.examples import load_split
from howdeep.tasks.reconstruction import Reconstruction, principal_plane
from howdeep.training.run import train


def autoencoder(in_shape=(1, 3, 2), bottleneck=3) -> Autoencoder:
    torch.manual_seed(0)
    return Autoencoder(
        in_shape=in_shape, depth=2, width=7, bottleneck=bottleneck, kind="dense", stages=3, activation="relu",
        initialisation="he", residual=True, normalisation="batch", dropout=0.5,
    )  # fmt: skip


def reconstruction(net: nn.Module) -> Reconstruction:
    return Reconstruction(net=net, optimizer=partial(torch.optim.SGD, lr=0.1), schedule=lambda _: 1.0)


def images(n: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Pixels of different means and variances, and three classes, 2 first."""
    generator = torch.Generator().manual_seed(seed)
    scale = torch.arange(1.0, 7).view(1, 3, 2)
    return torch.randn(n, 1, 3, 2, generator=generator) * scale + 2 * scale, torch.arange(2, n + 2) % 3


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_measure_is_that_of_scikit_learn_however_the_examples_are_batched(batch_size):
    net, (x, y) = autoencoder(), images(50)
    measured = reconstruction(net).measure(Batches((x, y), batch_size=batch_size))
    truth, output = x.flatten(1).numpy(), net.eval()(x).detach().flatten(1).numpy()
    r2 = r2_score(truth, output, multioutput="variance_weighted")
    assert measured == pytest.approx(
        {"loss": mean_squared_error(truth, output), "mse_ratio": 1 - r2}, rel=1e-5
    )


def test_the_mean_example_scores_1_and_the_example_itself_0():
    x, y = images(50)

    class Mean(nn.Module):
        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            return x.mean(0).expand_as(batch)

    for net, score in ((Mean(), 1.0), (nn.Identity(), 0.0)):
        measured = reconstruction(net).measure(Batches((x, y), batch_size=8))
        assert measured["mse_ratio"] == pytest.approx(score, abs=1e-5)


def test_measure_leaves_the_mode_as_it_was_and_uses_no_dropout():
    task, batches = reconstruction(autoencoder()).train(), Batches(images(20), batch_size=8)
    assert task.measure(batches) == task.measure(batches)
    assert task.net.training


def test_the_target_is_x_and_labels_change_nothing():
    x, y = images(4)
    task = reconstruction(autoencoder())
    assert task.target(x, y) is x
    assert task.loss(x + 2, task.target(x, y)).item() == pytest.approx(4)


def test_an_output_of_another_shape_is_told_in_one_line():
    x, _ = images(4)
    with pytest.raises(UserError) as error:
        reconstruction(nn.Identity()).loss(torch.zeros(4, 10), x)
    assert str(error.value) == (
        "reconstruction expects an output of the shape of x, [1, 3, 2], got [10]: "
        "choose model=autoencoder, or another task"
    )


def test_the_baseline_is_pca_of_the_training_examples_at_the_same_bottleneck():
    train, held_out = images(60), images(40, seed=1)
    found = Reconstruction.baselines(train, held_out, {"bottleneck": 2})
    x, x_held = (part[0].flatten(1).double().numpy() for part in (train, held_out))
    centred = x - x.mean(0)
    directions = np.linalg.eigh(centred.T @ centred)[1][:, -2:]
    lost = (x_held - x.mean(0)) @ (np.eye(6) - directions @ directions.T)
    variance = (x_held - x_held.mean(0)) ** 2
    expected = {"loss": (lost**2).mean(), "mse_ratio": (lost**2).sum() / variance.sum()}
    assert {name: found["PCA"][name] for name in expected} == pytest.approx(expected, rel=1e-4)
    assert float(found["PCA"]["single"].mean()) == pytest.approx(expected["mse_ratio"], rel=1e-4)


@pytest.mark.parametrize("bottleneck", [6, 100])
def test_as_many_components_as_pixels_lose_nothing(bottleneck):
    found = Reconstruction.baselines(images(60), images(40, seed=1), {"bottleneck": bottleneck})
    assert found["PCA"]["mse_ratio"] == pytest.approx(0, abs=1e-6)


def test_digits_in_8_components_lose_a_third_of_the_variance(compose, project):
    cfg = compose("model=autoencoder")
    split = load_split(cfg, project)
    found = Reconstruction.baselines(split.train, split.validation, dict(cfg.model))
    assert found["PCA"]["mse_ratio"] == pytest.approx(1 / 3, abs=0.01)


def test_artifacts_show_each_class_once_and_the_codes_plane():
    validation = images(50)
    task = reconstruction(autoencoder()).eval()
    found = task.artifacts(Split(images(1), validation, None))
    x, y = validation
    first = [1, 2, 0]  # of the classes 0, 1, 2
    assert torch.equal(found["originals"], x[first])  # type: ignore[arg-type]
    torch.testing.assert_close(found["reconstructions"], task.net(x[first]).detach())
    assert torch.equal(found["labels"], y)  # type: ignore[arg-type]
    codes = task.net.encode(x).detach().numpy()  # type: ignore[operator]
    expected = torch.from_numpy(PCA(2).fit_transform(codes))
    torch.testing.assert_close(found["latent"].abs(), expected.abs(), rtol=1e-3, atol=1e-5)  # type: ignore[union-attr]
    again = task.artifacts(Split(images(1), validation, None))
    assert all(torch.equal(found[name], again[name]) for name in found)  # type: ignore[arg-type]


def test_artifacts_of_a_series_have_no_labels():
    x, y = torch.randn(30, 6, 1), torch.randn(30, 1)
    found = reconstruction(autoencoder(in_shape=(6, 1))).eval().artifacts(Split((x, y), (x, y), None))
    assert {name: tuple(value.shape) for name, value in found.items() if not isinstance(value, str)} == {
        "originals": (10, 6, 1),
        "reconstructions": (10, 6, 1),
        "latent": (30, 2),
    }


def test_the_plane_has_the_largest_weights_positive_whatever_the_sign_of_the_codes():
    codes = torch.randn(30, 4, generator=torch.Generator().manual_seed(0))
    directions = torch.linalg.lstsq(codes - codes.mean(0), principal_plane(codes)).solution.T  # (2, 4)
    assert (directions.gather(1, directions.abs().argmax(1, keepdim=True)) > 0).all()
    torch.testing.assert_close(principal_plane(-codes), -principal_plane(codes))


def test_a_bottleneck_of_1_has_a_plane_with_a_second_coordinate_of_0():
    plane = principal_plane(torch.tensor([[1.0], [2.0], [6.0]]))
    torch.testing.assert_close(plane, torch.tensor([[-2.0, 0.0], [-1.0, 0.0], [3.0, 0.0]]))


@pytest.mark.parametrize("options", [[], ["model.kind=convolutional", "model.width=4"], ["data=sunspots"]])
def test_model_autoencoder_chooses_reconstruction_and_trains(compose, project, tmp_path, options):
    cfg = compose(
        "model=autoencoder", "model.depth=2", "trainer.max_epochs=2", "train_examples=100", *options
    )
    split = load_split(cfg, project)
    outcome = train(cfg, split, resume_point=tmp_path / "x.ckpt", identity={})
    assert outcome.state == "finished"
    last = outcome.history.epochs[-1]
    assert last["val/mse_ratio"] == pytest.approx(
        last["val/loss"] / (split.validation[0] - split.validation[0].mean(0)).square().mean().item(),
        rel=1e-4,
    )
    assert set(outcome.artifacts) >= {"originals", "reconstructions", "latent"}
    assert len({row["layer"] for row in outcome.history.gradient_flow}) == 4  # two down, two up
    assert "mse_ratio" in (outcome.gap or {})["best"]
