"""Random network distillation: normalised inputs, a fixed target, a trained fraction, one pass."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from latentrl.novelty import RND
from latentrl.novelty.prediction import CLIP, RunningNormalizer
from tests.latentrl.novelty.cases import B, between, states, transitions


def networks(bonus):
    """Return the networks, built for latents of the cases if they are not built yet."""
    return bonus.networks(torch.zeros(1, 4))


def test_inputs_are_normalised_by_the_statistics_of_the_stream_and_clipped():
    rng = np.random.default_rng(0)
    stream = (rng.standard_normal((40, 8, 3)) * [1, 10, 0.1] + [5, -3, 0]).astype(np.float32)
    normalizer = RunningNormalizer((3,))
    for batch in stream:
        normalizer.update(torch.from_numpy(batch))
    flat = stream.reshape(-1, 3).astype(np.float64)
    assert normalizer.mean.numpy() == pytest.approx(flat.mean(0), rel=1e-4)
    assert normalizer.variance.numpy() == pytest.approx(flat.var(0), rel=1e-4)
    far = torch.from_numpy(stream[0]) + 1e4
    assert normalizer(far).unique().tolist() == [CLIP] == [5.0]
    assert normalizer(-far).unique().tolist() == [-CLIP]
    expected = np.clip((stream[0] - flat.mean(0)) / flat.std(0), -5, 5)
    assert normalizer(torch.from_numpy(stream[0])).numpy() == pytest.approx(expected, abs=1e-3)


def test_every_state_counts_in_the_statistics():
    bonus = RND(fraction=0.01)
    for seed in range(5):
        bonus.step(transitions(seed))
    latents = np.concatenate([states(seed)[1] for seed in range(5)])
    normalizer = networks(bonus)["normalizer"]
    assert normalizer.mean.numpy() == pytest.approx(latents.mean(0), rel=1e-3, abs=1e-3)
    assert normalizer.variance.numpy() == pytest.approx(latents.var(0), rel=1e-3)


@pytest.mark.parametrize("of", ["latents", "pixels"])
def test_the_predictor_learns_visited_states_and_the_target_stays(of):
    bonus = RND(of=of, fraction=1.0, learning_rate=1e-3)
    bonus.step(transitions(0))
    before = bonus.state_dict()
    known = bonus.score(transitions(0)).mean()
    for _ in range(60):
        bonus.step(transitions(0))
    after = bonus.state_dict()
    for name in (name for name in before if name.startswith("networks.")):
        kept = name.startswith("networks.target")
        assert torch.equal(before[name], after[name]) == kept or "normalizer" in name
    assert bonus.score(transitions(0)).mean() < 0.1 * known
    assert bonus.score(transitions(1)).min() > 3 * bonus.score(transitions(0)).max()
    error = bonus.metrics()["prediction_error"]
    assert error == pytest.approx(bonus.score(transitions(0)).mean(), rel=0.5)


def test_weights_start_orthogonal():
    layers = [
        layer
        for layer in networks(RND(features=16)).modules()
        if isinstance(layer, torch.nn.Linear)
    ]
    assert len(layers) == 9
    for layer in layers:
        weight = layer.weight.detach().numpy()
        small = weight @ weight.T if len(weight) <= weight.shape[1] else weight.T @ weight
        assert small == pytest.approx(2 * np.eye(len(small)), abs=1e-4)
        assert not layer.bias.any()


def test_a_fraction_of_the_states_trains_and_each_state_is_predicted_once():
    bonus, passed, trained = RND(fraction=0.25), {"predictor": 0, "target": 0}, []
    for name in passed:
        networks(bonus)[name].register_forward_hook(
            lambda network, inputs, output, name=name: passed.update(
                {name: passed[name] + len(output)}
            )
        )
    networks(bonus)["predictor"].register_forward_hook(
        lambda network, inputs, output: trained.append(len(output) * output.requires_grad)
    )
    for seed in range(50):
        bonus.step(transitions(seed, 20))
    assert passed == {"predictor": 1000, "target": 1000}
    assert sum(trained) / 1000 == pytest.approx(0.25, abs=0.05)


def test_pixels_may_be_grey_and_must_be_images():
    frames, latents = states(0)
    grey = frames[..., 0], latents
    assert RND(of="pixels").step(between(grey, grey)).shape == (B,)
    message = r"of='pixels' needs images \(B, H, W, C\), got shape \(6, 4\); use of='latents'"
    vectors = latents, latents
    with pytest.raises(ValueError, match=message):
        RND(of="pixels").score(between(vectors, vectors))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"of": "codes"}, "unknown inputs 'codes'; known: latents, pixels"),
        ({"learning_rate": 0.0}, r"learning_rate must be positive, got 0\.0"),
        (
            {"features": 0},
            r"RND needs features >= 1 and a fraction in \(0, 1\], got features=0, fraction=0\.25",
        ),
        ({"fraction": 0.0}, r"got features=64, fraction=0\.0"),
        ({"fraction": 1.5}, r"fraction=1\.5"),
    ],
)
def test_values_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        RND(**options)
