"""The nll of a live model: floor, baseline, training, and what noise earns."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

import latentrl as lrl
from latentrl.models import MODELS
from latentrl.novelty import OnlineTraining, ReconstructionNovelty
from tests.latentrl.novelty.cases import (
    DIM,
    EAGER,
    MLP,
    B,
    between,
    on_disk,
    states,
    tiny_model,
    transitions,
    visited,
)


def reaching(frames):
    latents = np.zeros((len(frames), DIM), np.float32)
    return between((frames, latents), (frames, latents))


def weights_of(model):
    return {name: weight.clone() for name, weight in model.state_dict().items()}


def differing(model, weights):
    state = model.state_dict().items()
    return {name for name, weight in state if not torch.equal(weight, weights[name])}


@pytest.mark.parametrize("name", ["beta_vae", "binary_ae", "pca"])
def test_the_live_copy_is_trained_as_fit_would_and_the_given_model_stays(name):
    torch.manual_seed(0)
    model = MODELS[name]((8, 8, 3), latent_dim=DIM, **({} if name == "pca" else {"backbone": MLP}))
    model.decoder.requires_grad_(False)  # an agent's frozen model
    before = weights_of(model)
    bonus = ReconstructionNovelty(model, EAGER)
    for _ in range(4):
        bonus.step(transitions(0))
    assert not differing(model, before)
    changed = differing(bonus.live, before)
    assert {weight.split(".")[0] for weight in changed} == {"encoder", "decoder"}
    assert not any(weight.requires_grad for weight in model.decoder.parameters())


def test_a_learned_sigma_is_trained():
    bonus = ReconstructionNovelty(tiny_model({"name": "gaussian", "learned": True}), EAGER)
    before = weights_of(bonus.live)
    for _ in range(2):
        bonus.step(transitions(0))
    assert "likelihood.log_sigma" in differing(bonus.live, before)


def test_the_score_is_the_nll_above_the_floor():
    model = tiny_model()
    bonus = ReconstructionNovelty(model, EAGER, floor=100.0)
    nll = model.pixel_nll(states(0)[0]).reshape(B, -1).sum(1)
    assert bonus.score(transitions(0)) == pytest.approx(np.maximum(nll - 100, 0), rel=1e-4)
    assert not ReconstructionNovelty(model, EAGER, floor=1e6).score(transitions(0)).any()


def test_latent_kl_is_added_with_its_weight():
    model = tiny_model()
    with torch.no_grad():
        for weight in model.encoder.parameters():
            weight.mul_(2)
    plain, with_kl = (
        ReconstructionNovelty(model, floor=0.0, latent_kl=weight) for weight in (0.0, 20.0)
    )
    x = model.preprocess(torch.from_numpy(states(0)[0]))
    with torch.no_grad():
        kl = model(x)[0].kl().sum(1).numpy()
    added = with_kl.score(transitions(0)) - plain.score(transitions(0))
    assert added == pytest.approx(20 * kl, rel=1e-2)


def test_the_baseline_is_a_low_quantile_of_the_newest_also_after_resuming(tmp_path):
    never = OnlineTraining(learning_starts=10**9)
    bonus, stream = ReconstructionNovelty(tiny_model(), never), []
    for seed in range(5):
        bonus.step(transitions(seed))
        stream.append(tiny_model().pixel_nll(states(seed)[0]).reshape(B, -1).sum(1))
    assert bonus.baseline_nll == pytest.approx(np.quantile(stream, 0.1), rel=1e-4)
    assert bonus.metrics()["nll"] == pytest.approx(np.mean(stream[-1]), rel=1e-4)
    familiar = bonus.score(transitions(0)) == 0
    assert familiar.any()
    assert not familiar.all()
    restored = ReconstructionNovelty(tiny_model(), never)
    restored.load_state_dict(on_disk(bonus.state_dict(), tmp_path))
    for each in (bonus, restored):
        each.step(transitions(5))
    assert restored.baseline_nll == pytest.approx(bonus.baseline_nll)
    assert bonus.metrics()["baseline_nll"] == bonus.baseline_nll


def test_the_png_size_is_subtracted_with_its_weight():
    model, frames = tiny_model(), np.stack([np.zeros((8, 8, 3), np.uint8), states(0)[0][0]])
    sizes = [8 * np.log(2) * len(cv2.imencode(".png", frame)[1]) for frame in frames]
    assert sizes[1] > sizes[0]
    plain, corrected = (
        ReconstructionNovelty(model, floor=-1e5, complexity=weight) for weight in (0.0, 0.5)
    )
    scores = (bonus.score(reaching(frames)).astype(float) for bonus in (plain, corrected))
    np.testing.assert_allclose(next(scores) - next(scores), 0.5 * np.array(sizes), atol=0.1)


def region(seed, count, dims):
    """Return vectors with values in ``dims`` of 16 dimensions, and zeros elsewhere."""
    x = np.zeros((count, 16), np.float32)
    x[:, dims] = np.random.default_rng(seed).standard_normal((count, len(dims)))
    return x


@pytest.mark.parametrize("learning_rate", [3e-3, 1e-12])
def test_the_bonus_of_a_region_falls_by_training_alone(learning_rate):
    online = OnlineTraining(1000, 0, 16, 4, 32, learning_rate)
    bonus = ReconstructionNovelty(tiny_model(size=(16,)), online, floor=-1e6)
    regions = region(0, 64, range(3)), region(1, 64, range(13, 16))
    # So that differences are errors of the reconstruction.
    offset = bonus.score(reaching(np.zeros((1, 16), np.float32)))[0] - 20
    known, unknown = (bonus.score(reaching(x)).mean() - offset for x in regions)
    for step in range(120):
        bonus.update(reaching(region(2 + step, 16, range(3))))
    known_later, unknown_later = (bonus.score(reaching(x)).mean() - offset for x in regions)
    if learning_rate > 1e-6:
        assert known_later < 0.3 * known
        assert unknown_later > 0.7 * unknown
    else:
        assert (known_later, unknown_later) == pytest.approx((known, unknown), rel=1e-4)


def test_training_starts_late_and_is_periodic():
    online = OnlineTraining(100, learning_starts=30, train_freq=12, gradient_steps=3)
    bonus, steps = ReconstructionNovelty(tiny_model(), online), []
    for _ in range(10):
        bonus.step(transitions(0))
        steps.append(bonus.gradient_steps)
    assert steps == [0, 0, 0, 0, 0, 3, 3, 6, 6, 9]


def test_schedules_of_the_loss_are_at_their_end():
    torch.manual_seed(0)
    model = lrl.beta_vae((8, 8, 3), DIM, capacity=20.0, backbone=MLP)
    bonus, targets = ReconstructionNovelty(model, EAGER), []
    term = bonus.live.loss_terms[0]
    bonus.live.loss_terms[0] = lambda batch: targets.append(term.target(batch.step)) or term(batch)
    bonus.step(transitions(0))
    assert targets == [20.0] * EAGER.gradient_steps


def test_a_step_encodes_each_frame_once():
    never = OnlineTraining(learning_starts=10**9)
    bonus, frames = ReconstructionNovelty(tiny_model(), never), []
    bonus.live.encoder.register_forward_hook(
        lambda network, inputs, output: frames.append(len(inputs[0]))
    )
    for seed in range(3):
        bonus.step(transitions(seed))
    assert frames == [B] * 3


def test_the_live_model_its_optimizer_and_the_buffer_survive_a_resumption(tmp_path):
    def make():
        return ReconstructionNovelty(tiny_model(), EAGER, floor=0.0)

    bonus, restored = visited(make, times=15), make()
    restored.load_state_dict(on_disk(bonus.state_dict(), tmp_path))
    for each in (bonus, restored):
        assert (each.gradient_steps, each.buffer.added) == (60, 15 * B)
    frames = {frame.tobytes() for frame in states(0)[0]}
    assert {frame.tobytes() for frame in restored.buffer.sample(200)} == frames
    before, after = (each.optimizer.state_dict()["state"] for each in (bonus, restored))
    assert before.keys() == after.keys() != set()
    assert all(torch.equal(before[i][key], after[i][key]) for i in before for key in before[i])
    for each in (bonus, restored):
        each.step(transitions(1))
    assert restored.gradient_steps == bonus.gradient_steps > 60


@pytest.mark.slow
def test_noise_in_a_region_earns_less_where_the_decoder_has_a_variance_for_each_value():
    """Of 16 values four are noise in one of six rooms; four rooms have never been visited."""
    fractions = {}
    for likelihood in ("gaussian", "diagonal_gaussian"):
        rng = np.random.default_rng(0)
        maps = rng.standard_normal((10, 12)).astype(np.float32)

        def observe(rooms, rng=rng, maps=maps):
            x = np.concatenate([np.zeros((len(rooms), 4), np.float32), maps[rooms]], 1)
            x[rooms == 0, :4] = rng.standard_normal(((rooms == 0).sum(), 4))
            return reaching(x)

        online = OnlineTraining(2000, 0, 16, 4, 64, 5e-3)
        bonus = ReconstructionNovelty(tiny_model(likelihood, (16,)), online)
        noise = []
        for step in range(400):
            score = bonus.step(observe(np.array([0, 0, *rng.integers(1, 6, 6)])))
            noise += [score[:2].mean()] * (step >= 300)
        fractions[likelihood] = np.mean(noise) / bonus.score(observe(rng.integers(6, 10, 8))).mean()
    assert fractions["diagonal_gaussian"] < 0.2 * fractions["gaussian"]
    assert fractions["diagonal_gaussian"] < 0.01


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: ReconstructionNovelty(lrl.random((8,), DIM)),
            "a 'random' model has no decoder, and so no reconstruction error",
        ),
        (
            lambda: ReconstructionNovelty(lrl.dae_beta_vae((8, 8, 3), latent_dim=2, backbone=MLP)),
            "a 'dae_beta_vae' model has a likelihood of features, and none of pixels",
        ),
        (
            lambda: ReconstructionNovelty(lrl.ae((8,), DIM), latent_kl=1.0),
            "latent_kl needs a model with a Gaussian posterior, such as 'beta_vae'",
        ),
        (
            lambda: ReconstructionNovelty(lrl.vae((5,), latent_dim=2), complexity=1.0),
            "complexity is the PNG size of uint8 images; set it to 0",
        ),
        *(
            (lambda name=name: OnlineTraining(**{name: 0}), f"{name} must be at least 1, got 0")
            for name in ("buffer_size", "train_freq", "gradient_steps", "batch_size")
        ),
        (lambda: OnlineTraining(learning_starts=-1), "learning_starts=-1, learning_rate=0.0003"),
        (
            lambda: OnlineTraining(learning_rate=0.0),
            r"online training needs .* positive learning_rate, .* learning_rate=0\.0",
        ),
    ],
)
def test_unsuitable_models_and_values_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
