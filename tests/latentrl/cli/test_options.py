"""Options of model functions in words: kinds from annotations, and what users mistype."""

from __future__ import annotations

import pytest

from latentrl.cli.options import default_latent_dim, has_argument, parse_options, parse_value
from latentrl.models import MODELS
from latentrl.types import as_space


@pytest.mark.parametrize("model", [name for name in MODELS if name not in ("pca", "random")])
def test_every_model_takes_the_shared_options(model: str) -> None:
    words = [
        "losses=[topk, {name: hole, weight: 2}]",
        "corruptions=[masking]",
        "likelihood=bernoulli",
        "backbone={name: mlp, hidden: [8]}",
    ]
    assert parse_options(model, words) == {
        "losses": ["topk", {"name": "hole", "weight": 2}],
        "corruptions": ["masking"],
        "likelihood": "bernoulli",
        "backbone": {"name": "mlp", "hidden": [8]},
    }


def test_values_are_yaml() -> None:
    words = ["beta=1e-3", "capacity=null", "capacity-steps=100"]
    assert parse_options("beta_vae", words) == {
        "beta": 1e-3,
        "capacity": None,
        "capacity_steps": 100,
    }
    assert parse_value("[1, {a: b}]") == [1, {"a": "b"}]


@pytest.mark.parametrize(
    ("model", "words", "message"),
    [
        ("beta_vae", ["beta"], "expected --option NAME=VALUE, got 'beta'"),
        ("beta_vae", ["=1"], "expected --option NAME=VALUE, got '=1'"),
        ("beta_vae", ["beta=1", "beta=2"], "option 'beta' is given twice"),
        ("beta_vae", ["latent-dim=3"], "latent_dim has a flag of its own: --latent-dim"),
        ("beta_vae", ["beta=[1"], "is not YAML"),
        ("beta_vae", ["beta=high"], "option 'beta' of 'beta_vae' takes a number, got 'high'"),
        ("beta_vae", ["beta=true"], "option 'beta' of 'beta_vae' takes a number, got True"),
        ("beta_vae", ["capacity_steps=1.5"], r"takes a whole number, got 1\.5"),
        (
            "vae",
            ["losses=3"],
            "option 'losses' of 'vae' takes a name or a mapping .* or a list, got 3",
        ),
        (
            "vae",
            ["backbone=3"],
            "option 'backbone' of 'vae' takes a name or a mapping such as {name: mlp} or null",
        ),
        ("contractive_ae", ["tied=1"], "option 'tied' of 'contractive_ae' takes true or false"),
        ("sparse_ae", ["prior=l3"], "option 'prior' of 'sparse_ae' takes one of l1, l2, kl"),
        (
            "dae_beta_vae",
            ["features=x"],
            "option 'features' of 'dae_beta_vae' takes an object of class Autoencoder or null",
        ),
        ("gan", ["beta=1"], "unknown model 'gan'; known: ae"),
    ],
)
def test_mistakes_are_named(model: str, words: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_options(model, words)


def test_unknown_names_are_left_to_the_model_function() -> None:
    assert parse_options("vae", ["sparsity=1"]) == {"sparsity": 1}
    assert parse_options("denoising_ae", ["std=0.5"]) == {"std": 0.5}


def test_arguments_include_the_shared_options() -> None:
    assert has_argument("beta_vae", "beta")
    assert not has_argument("vae", "beta")
    assert has_argument("vae", "losses")
    assert has_argument("vae", "likelihood")
    assert not has_argument("pca", "likelihood")


def test_the_default_latent_size_is_at_most_half_the_observation() -> None:
    assert default_latent_dim("vae") == 32
    assert default_latent_dim("vae", as_space((8,))) == 4
    assert default_latent_dim("vae", as_space((1,))) == 1
    assert default_latent_dim("sparse_ae", as_space((64, 64, 3))) == 64
