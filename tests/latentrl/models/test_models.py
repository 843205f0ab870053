"""Every registered model builds, trains, saves, copies, resumes and encodes for an agent."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces

import latentrl as lrl
from latentrl.models import MODELS, make
from latentrl.models.autoencoder import Autoencoder
from latentrl.models.config import AutoencoderConfig
from latentrl.types import as_space

SPACES = [as_space(shape) for shape in [(16, 16, 1), (17, 31, 3), (64, 96, 12), (20, 20), (8,)]]
SEQUENCE = spaces.Box(-np.inf, np.inf, (12, 4), np.float32)
KINDS = [as_space((17, 31, 3)), SEQUENCE, as_space((8,))]
MODEL = pytest.mark.parametrize("name", list(MODELS))
GRADIENT = [name for name in MODELS if make(name, (8,), latent_dim=2).config.training == "gradient"]
TOO_SHORT = pytest.mark.filterwarnings(
    "ignore:the (latents have collapsed|restored observations are farther)"
)


def by_shape(space: spaces.Box) -> str:
    return str(space.shape)


def observations(space: spaces.Box, count: int = 3) -> Any:
    rng = np.random.default_rng(0)
    if space.dtype == np.uint8:
        return rng.integers(0, 256, (count, *space.shape), dtype=np.uint8)
    return rng.standard_normal((count, *space.shape)).astype(np.float32)


@pytest.fixture(scope="module")
def waves() -> Any:
    """Sequences of two sines of random phase, ``(300, 12, 4)`` float32."""
    phases = np.random.default_rng(0).uniform(0, 6, (300, 1, 2))
    angles = np.arange(12)[None, :, None] / [2.0, 3.0] + phases
    return np.concatenate([np.sin(angles), np.cos(angles)], 2).astype(np.float32)


@pytest.mark.parametrize("space", [*SPACES, SEQUENCE], ids=by_shape)
@MODEL
def test_builds_and_runs(name: str, space: spaces.Box) -> None:
    torch.manual_seed(0)
    model = make(name, space, latent_dim=5)
    x = observations(space)
    latents = model.encode(x)
    assert (latents.shape, latents.dtype) == ((3, 5), np.float32)
    assert np.isfinite(latents).all()
    outputs = model.encoder(model.preprocess(torch.from_numpy(x)))
    # The outputs, as three observations may have the same bits.
    assert len({row.detach().numpy().tobytes() for row in outputs}) == 3
    if model.decoder is not None:
        restored = model.reconstruct(x)
        assert restored.shape == x.shape
        assert restored.dtype == x.dtype


@MODEL
def test_largest_images(name: str) -> None:
    model = make(name, (256, 256, 3))
    assert model.encode(observations(as_space((256, 256, 3)), 1)).shape == (1, model.latent_dim)


@pytest.mark.parametrize("space", KINDS, ids=by_shape)
@MODEL
def test_disk_keeps_every_bit(name: str, space: spaces.Box, tmp_path: Path) -> None:
    model = make(name, space, latent_dim=5)
    loaded = lrl.load(lrl.save(model, tmp_path / "model"), device="cpu")
    assert loaded.state_dict().keys() == model.state_dict().keys()
    assert all(
        torch.equal(a, b)
        for a, b in zip(loaded.state_dict().values(), model.state_dict().values(), strict=True)
    )
    np.testing.assert_array_equal(
        loaded.encode(observations(space)), model.encode(observations(space))
    )


@pytest.mark.parametrize("space", KINDS, ids=by_shape)
@MODEL
def test_config_survives_json(name: str, space: spaces.Box) -> None:
    config = make(name, space, latent_dim=5).config
    again = AutoencoderConfig.from_json(json.loads(json.dumps(config.to_json())))
    assert json.dumps(again.to_json()) == json.dumps(config.to_json())
    assert lrl.Autoencoder(again).config.model == name


@pytest.mark.parametrize("space", KINDS, ids=by_shape)
@MODEL
def test_a_latent_is_never_a_sample(name: str, space: spaces.Box) -> None:
    model, x = make(name, space, latent_dim=5), observations(space)
    latents = model.encode(x)
    torch.manual_seed(1)
    np.testing.assert_array_equal(model.train().encode(x), latents)
    with torch.no_grad():
        posterior = model.head(model.encoder(model.preprocess(torch.from_numpy(x))))
    np.testing.assert_allclose(latents, posterior.mean.numpy(), atol=1e-5)


@MODEL
def test_a_copy_shares_no_weights(name: str, vectors: Any) -> None:
    torch.manual_seed(0)
    model = make(name, (8,), latent_dim=3)
    x = torch.from_numpy(vectors[:16])
    noise = model.sample_noise(x, torch.Generator().manual_seed(0))
    copied, latents = copy.deepcopy(model), model.encode(vectors[:16])
    if model.decoder is not None:
        terms, again = model.losses(x, *noise, 0)[0], copied.losses(x, *noise, 0)[0]
        assert all(torch.equal(again[term], value) for term, value in terms.items())
        if model.config.training == "gradient":
            torch.stack(list(again.values())).sum().backward()
    with torch.no_grad():
        for parameter in copied.parameters():
            parameter.add_(1.0)
    assert all(p.grad is None for p in model.parameters())
    np.testing.assert_array_equal(model.encode(vectors[:16]), latents)
    assert not np.array_equal(copied.encode(vectors[:16]), latents)


@TOO_SHORT
@pytest.mark.parametrize("kind", ["vectors", "waves"])
@MODEL
def test_one_fit_trains_every_model(name: str, kind: str, request: pytest.FixtureRequest) -> None:
    data = request.getfixturevalue(kind)
    torch.manual_seed(0)
    model = make(name, spaces.Box(-np.inf, np.inf, data.shape[1:], np.float32), latent_dim=3)
    before = [weight.clone() for weight in model.encoder.parameters()]
    config = lrl.FitConfig(
        epochs=3, batch_size=32, learning_rate=5e-3, device="cpu", precision="float32"
    )
    history = lrl.fit(model, data, config, progress=False)
    assert model.fitted
    assert model.latent_std.max() > 0
    moved = [not torch.equal(a, b) for a, b in zip(before, model.encoder.parameters(), strict=True)]
    assert all(moved) if model.config.training != "none" else not any(moved)
    if model.config.training == "gradient":
        # The whole loss of a model with a codebook first rises, as its latents leave the levels.
        first, *_, last = (row["validation/reconstruction"] for row in history.epochs)
        assert last < first


class InterruptAt:
    """Interrupts a fit at a training step, counted over both stages of a model that has two."""

    def __init__(self, step: int) -> None:
        self.step, self.done, self.losses = step, 0, Autoencoder.losses

    def __call__(self, model: Autoencoder, *arguments: Any) -> Any:
        self.done += model.training
        if self.done > self.step:
            raise KeyboardInterrupt
        return self.losses(model, *arguments)


def fit_few(
    name: str, data: Any, path: Path | None = None, **options: Any
) -> tuple[Autoencoder, lrl.History]:
    torch.manual_seed(0)
    model = make(
        name,
        (8,),
        latent_dim=2,
        backbone=None if name == "psd_ae" else {"name": "mlp", "hidden": (8,)},
    )
    config = lrl.FitConfig(epochs=2, batch_size=64, device="cpu", precision="float32")
    return model, lrl.fit(model, data, config, path=path, progress=False, **options)


@TOO_SHORT
@pytest.mark.parametrize("step", [2, 5])
@pytest.mark.parametrize("name", GRADIENT)
def test_interrupted_and_resumed_is_uninterrupted(
    name: str, step: int, vectors: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = vectors[:250]  # four steps an epoch
    whole, expected = fit_few(name, data)
    with monkeypatch.context() as patched:
        interrupt = InterruptAt(step)
        patched.setattr(Autoencoder, "losses", lambda *arguments: interrupt(*arguments))
        with pytest.raises(KeyboardInterrupt):
            fit_few(name, data, tmp_path)
    resumed, history = fit_few(name, data, tmp_path, resume=True)
    assert history == expected
    first, second = whole.state_dict(), resumed.state_dict()
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)


@MODEL
def test_an_agent_observes_latents(name: str) -> None:
    torch.manual_seed(0)
    for stack in (1, 4):
        env = gym.make("CartPole-v1")
        env = env if stack == 1 else gym.wrappers.FrameStackObservation(env, stack)
        model = make(name, env.observation_space, latent_dim=3)
        wrapped = lrl.wrap(env, model)
        raw = env.reset(seed=0)[0]
        latents = [wrapped.reset(seed=0)[0]]
        np.testing.assert_array_equal(latents[0], model.encode(np.asarray(raw, np.float32)))
        latents += [wrapped.step(step % 2)[0] for step in range(4)]
        assert all(wrapped.observation_space.contains(latent) for latent in latents)
        wrapped.close()


def test_options_choose_the_components() -> None:
    assert lrl.beta_vae((8,), 3, beta=2.0).config.losses == [
        {"name": "kl", "beta": 2.0, "free_bits": 0.0}
    ]
    capacity = {"name": "capacity", "gamma": 5.0, "capacity": 9.0, "steps": 7}
    model = lrl.beta_vae((8,), 3, capacity=9.0, gamma=5.0, capacity_steps=7)
    assert model.config.losses == [capacity]
    assert lrl.sparse_ae((8,), 3, prior="kl").config.head == {
        "name": "point",
        "activation": "sigmoid",
    }
    assert lrl.contractive_ae((8,), 3, tied=True).config.backbone == {
        "name": "sigmoid",
        "tied": True,
    }
    assert lrl.binary_ae((8,), 3, noise=2.0).config.head == {"name": "binary", "noise": 2.0}
    assert lrl.beta_tcvae((8,), 3, beta=6.0).config.losses[1] == {
        "name": "total_correlation",
        "weight": 5.0,
    }
    first, second = (
        lrl.dip_vae((8,), 3, version=version).config.losses[1] for version in ("i", "ii")
    )
    assert first == {"name": "moments", "off_diagonal": 10.0, "diagonal": 100.0, "of": "mean"}
    assert second == {"name": "moments", "off_diagonal": 10.0, "diagonal": 10.0, "of": "sample"}
    features = lrl.dae_beta_vae((8,), 3, fraction=0.3).config.reconstruction["model"]
    assert features["corruptions"] == [{"name": "masking", "fraction": 0.3}]


@pytest.mark.parametrize(
    ("shape", "options", "features"),
    [
        ((40, 40, 3), {}, 100),
        ((40, 40, 3), {"backbone": {"name": "spatial"}}, 100),
        ((64, 64, 3), {"backbone": {"name": "spatial"}}, 64),
        ((8, 8, 1), {}, 64),
        ((100, 200, 3), {"backbone": {"name": "spatial"}}, 12 * 25),
    ],
)
def test_features_of_darla_fit_the_grid(shape, options, features) -> None:
    model = lrl.dae_beta_vae(shape, features, **options)
    assert model.config.reconstruction["model"]["latent_dim"] == features


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backbone": torch.nn.Linear(3, 3)}, "the name of a part or a dict .*, got Linear"),
        ({"losses": [3]}, "the name of a part or a dict .*, got 3: register your own parts"),
        ({"preprocessing": {"size": (8, 8)}}, "preprocessing is a Preprocessing, got {'size': "),
        ({"latent_dim": True}, "latent_dim is a whole number, got True"),
    ],
)
def test_options_of_another_type_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        lrl.ae((16, 16, 3), **options)


def test_one_loss_or_corruption_needs_no_list() -> None:
    alone = lrl.ae((8,), 3, losses="hole", corruptions={"name": "masking"})
    assert alone.config == lrl.ae((8,), 3, losses=["hole"], corruptions=["masking"]).config


def test_options_are_checked() -> None:
    with pytest.raises(
        ValueError, match="tied=True chooses the networks itself; give either it or backbone"
    ):
        lrl.contractive_ae((8,), 3, tied=True, backbone={"name": "mlp"})
    with pytest.raises(
        ValueError, match=r"beta must be at least 1, the weight of .* in a vae; got 0\.5"
    ):
        lrl.beta_tcvae((8,), 3, beta=0.5)
    with pytest.raises(ValueError, match="unknown version 'iii'; known: i, ii"):
        lrl.dip_vae((8,), 3, version="iii")
    with pytest.raises(ValueError, match="prior of loss 'sparsity' is one of 'l1', 'l2', 'kl'"):
        lrl.sparse_ae((8,), 3, prior="l0")
    with pytest.raises(ValueError, match=r"cutout needs 0 < smallest <= largest < 1"):
        lrl.inpainting_ae((8,), 3, smallest=0.9)


@pytest.mark.parametrize("name", ["sparse_ae", "contractive_ae", "psd_ae"])
def test_penalised_latents_may_be_larger_than_the_observation(name: str) -> None:
    assert make(name, (8,), latent_dim=20).encode(observations(as_space((8,)))).shape == (3, 20)


def test_components_are_given_by_name_or_spec(small_backbone: dict[str, Any]) -> None:
    model = lrl.vae((16, 16, 3), 3, likelihood="bernoulli", backbone=small_backbone)
    assert model.config.likelihood == {"name": "bernoulli"}
    assert lrl.vae((8,), 3, backbone="linear").config.backbone == {"name": "linear"}
    model = lrl.vae((16, 16, 3), 3, likelihood={"name": "gaussian", "sigma": 0.5})
    assert float(model.likelihood.log_sigma.exp()) == pytest.approx(0.5)


def test_corruption_takes_its_parameters() -> None:
    assert lrl.denoising_ae((8,), 3, std=0.5).config.corruptions == [
        {"name": "gaussian_noise", "std": 0.5}
    ]
    assert make("denoising_ae", (8,), latent_dim=3, std=0.5).config.corruptions[0]["std"] == 0.5
    masking = {"name": "masking", "fraction": 0.4}
    assert lrl.denoising_ae((8,), 3, corruption=masking).config.corruptions == [masking]
    with pytest.raises(
        ValueError, match="corruption 'gaussian_noise' has no 'fraction'; it takes: std"
    ):
        lrl.denoising_ae((8,), 3, fraction=0.5)
    with pytest.raises(ValueError, match="unknown corruption 'fog'; known: "):
        lrl.denoising_ae((8,), 3, corruption="fog")
    with pytest.raises(
        ValueError, match="'std' goes into the specs in corruption, not beside them"
    ):
        lrl.denoising_ae((8,), 3, corruption=[{"name": "gaussian_noise"}], std=0.5)


def test_make_keeps_defaults_and_names_mistakes() -> None:
    assert make("vae", (64, 64, 3), latent_dim=None).latent_dim == 32
    with pytest.raises(ValueError, match="unknown model 'gan'; known: ae, "):
        make("gan", (8,))
    with pytest.raises(ValueError, match="model 'vae' has no 'beta'; it takes: latent_dim, "):
        make("vae", (8,), beta=2.0)
    with pytest.raises(ValueError, match=r"model 'vae' has no 'losess'; .* losses, corruptions$"):
        lrl.vae((8,), losess=["topk"])
