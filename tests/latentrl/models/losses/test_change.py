"""The loss of changing pixels, beside a computation by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium import spaces

import latentrl as lrl
from latentrl.data.frames import Frames
from latentrl.models.batches import previous_of
from latentrl.models.losses.change import CHANGE_THRESHOLD, Change, changed_values
from tests.latentrl.models.losses.helpers import X, batch_of, random_posterior


def episodes() -> Frames:
    """Two episodes of grey images whose brightness differs between steps, and not at every step."""
    levels = np.array([10, 10, 90, 200, 200, 7], np.uint8)
    images = np.broadcast_to(levels[:, None, None, None], (6, 16, 16, 1)).copy()
    images[2, 0, 0] = 10
    return Frames(spaces.Box(0, 255, (16, 16, 1), np.uint8), [images], np.array([0, 0, 0, 1, 1, 1]))


def test_a_pixel_changes_where_a_channel_does() -> None:
    x = torch.zeros(2, 3, 4, 5)
    previous = x.clone()
    previous[0, 1, 2, 3] = 1.5 * CHANGE_THRESHOLD
    previous[1, 0, 0, 0] = 0.5 * CHANGE_THRESHOLD
    changed = changed_values(x, previous)
    assert changed.shape == (2, 1, 4, 5)
    assert changed.nonzero().tolist() == [[0, 0, 2, 3]]
    vectors = changed_values(torch.zeros(1, 3), torch.tensor([[0.0, 1.0, 0.0]]))
    assert vectors.tolist() == [[False, True, False]]


def test_changed_values_weigh_more() -> None:
    posterior, _ = random_posterior()
    nll, changed = torch.rand(16, 8), torch.rand(16, 8) < 0.3
    batch = batch_of(posterior, nll=nll, previous=X + changed)
    expected = 3 * sum(float(nll[i][changed[i]].sum()) for i in range(16)) / 16
    assert float(Change(3.0)(batch)) == pytest.approx(expected, rel=1e-5)
    assert Change(3.0)(batch_of(posterior)) == 0


def test_a_negative_weight_is_refused() -> None:
    with pytest.raises(ValueError, match="weight cannot be negative, got -1"):
        Change(-1.0)


def test_predecessors_are_those_of_the_episode() -> None:
    frames, model = episodes(), lrl.beta_vae((16, 16, 1), latent_dim=4, change_weight=2.0)
    x = model.preprocess(torch.from_numpy(frames[:]))
    previous = previous_of(model, frames, slice(None))
    assert previous is not None
    changed = changed_values(x, previous)
    assert changed.flatten(1).float().mean(1).tolist() == [0, 0, 255 / 256, 0, 0, 1]
    assert previous_of(lrl.beta_vae((16, 16, 1), latent_dim=4), frames, slice(None)) is None


@pytest.mark.filterwarnings("ignore:the latents have collapsed")
def test_training_and_validation_have_the_term() -> None:
    torch.manual_seed(0)
    model = lrl.beta_vae((16, 16, 1), latent_dim=4, change_weight=2.0)
    history = lrl.fit(model, episodes(), lrl.FitConfig(steps=2, batch_size=4), progress=False)
    assert history.epochs[-1]["train/change"] != 0
    row, validation = history.epochs[-1], history.validation
    x = model.preprocess(torch.from_numpy(validation[:]))
    previous = previous_of(model, validation, slice(None))
    terms, _ = model.losses(x, x, None, None, 0, previous)
    total = float(torch.stack(list(terms.values())).sum().detach())
    assert row["validation/loss"] == pytest.approx(total, rel=0.05)


@pytest.mark.parametrize("loss", ["change", "hole"])
def test_losses_of_pixels_are_refused_beside_features(loss: str) -> None:
    with pytest.raises(
        ValueError, match=f"loss '{loss}' weighs pixels, and a 'dae_beta_vae' model compares 'feat"
    ):
        lrl.models.dae_beta_vae((16, 16, 3), 8, losses=[loss])
