"""Flags of a training run: what is refused, and what a resumed run may change."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.evaluate import TEST_SEED
from agents.train_config import TrainConfig, resumed_config
from latentrl.novelty import BONUSES

RUN = Path("runs/mine")


@pytest.mark.parametrize(
    "name", ["timesteps", "n_envs", "frame_skip", "stack", "eval_every", "eval_episodes"]
)
def test_numbers_without_a_meaning(name):
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        TrainConfig(**{name: 0})


def test_seeds_of_validation_and_test_are_reserved():
    with pytest.raises(
        ValueError,
        match=r"seed must lie in 0\.\.399999, got 1000000: higher seeds are for validation and",
    ):
        TrainConfig(seed=TEST_SEED)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"novelty": "magic"}, f"unknown novelty 'magic'; known: {', '.join(BONUSES)}"),
        (
            {"novelty": "counts", "latent": False},
            "novelty is computed from latents: remove --no-latent",
        ),
        (
            {"novelty_weight": 0.1, "novelty": None},
            "novelty_weight needs a bonus: add --novelty NAME",
        ),
        (
            {"novelty_weight": 0.1, "shaping": True},
            "novelty_weight needs a bonus: add --novelty NAME",
        ),
        (
            {"episodic_count": True, "latent": False},
            "episodic_count counts latents: remove --no-latent",
        ),
        (
            {"refine_at": (9,), "latent": False},
            "refine_at trains the encoder further: remove --no-latent",
        ),
        (
            {"refine_at": (0,)},
            "refine_at takes timesteps of at least 1 in increasing order, got 0",
        ),
        (
            {"refine_at": (9, 3)},
            "refine_at takes timesteps of at least 1 in increasing order, got 9 3",
        ),
    ],
)
def test_flags_that_contradict_each_other(flags, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - a + in a name is no pattern
        TrainConfig(**flags)
    assert message in str(caught.value)


def test_names_of_runs():
    assert TrainConfig().run_name == "ppo-latent"
    assert TrainConfig(latent=False, algo="dqn").run_name == "dqn-pixels"
    assert TrainConfig(novelty="counts").run_name == "ppo-latent-counts"


def test_flags_that_were_not_given_are_those_of_the_saved_run():
    saved = TrainConfig("PixelReach-v0", stack=3, novelty="counts", novelty_weight=0.1).to_json()
    call = TrainConfig("PixelReach-v0", novelty="counts", timesteps=9, device="cpu", resume=True)
    resumed = resumed_config(call, saved, RUN)
    assert (resumed.stack, resumed.novelty_weight) == (3, 0.1)
    assert (resumed.device, resumed.out) == ("cpu", RUN)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"stack": 4}, "stack=3, the call has stack=4"),
        ({"novelty_weight": 0.5, "novelty": "counts"}, "novelty=auto, the call has novelty=counts"),
        ({"seed": 2}, "seed=1, the call has seed=2"),
    ],
)
def test_flags_that_differ_from_the_saved_ones(flags, message):
    saved = TrainConfig("PixelReach-v0", stack=3, seed=1).to_json()
    with pytest.raises(
        ValueError, match=f"the run in runs/mine has {message}: resume it with the same flags"
    ):
        resumed_config(TrainConfig("PixelReach-v0", resume=True, **flags), saved, RUN)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"seed": 0}, "seed=1, the call has seed=0"),
        ({"latent": True}, "latent=False, the call has latent=True"),
        ({"novelty": "auto"}, "novelty=counts, the call has novelty=auto"),
    ],
)
def test_a_default_that_is_given_is_compared(flags, message):
    saved = TrainConfig("A-v0", seed=1, novelty="counts").to_json()
    if "latent" in flags:
        saved |= {"latent": False, "novelty": None}
    call = TrainConfig("A-v0", resume=True, given=("env", "resume", *flags), **flags)
    with pytest.raises(ValueError, match=f"the run in runs/mine has {message}"):
        resumed_config(call, saved, RUN)


def test_a_value_that_the_run_has_without_its_flag_is_the_same():
    saved = TrainConfig("A-v0").to_json()
    call = TrainConfig("A-v0", resume=True, key="camera", stack=4)
    resumed_config(call, saved, RUN, {"key": "camera", "stack": 4})
    with pytest.raises(ValueError, match="has stack=None, the call has stack=4"):
        resumed_config(call, saved, RUN, {"key": "camera", "stack": 3})


def test_another_encoder_does_not_resume_a_run():
    saved = TrainConfig("A-v0", vae=Path("runs/vae/A-v0/pca-1")).to_json()
    for same in ("runs/vae/A-v0/pca-1/", "runs/vae/../vae/A-v0/pca-1"):
        resumed_config(TrainConfig("A-v0", resume=True, vae=Path(same)), saved, RUN)
    call = TrainConfig("A-v0", resume=True, vae=Path("runs/vae/A-v0/pca-2"))
    message = "has its own encoder, of runs/vae/A-v0/pca-1, the call has --vae .*pca-2: omit --vae"
    with pytest.raises(ValueError, match=message):
        resumed_config(call, saved, RUN)
    pixels = TrainConfig("A-v0", latent=False).to_json()
    with pytest.raises(ValueError, match="the run in runs/mine observes pixels: omit --vae"):
        resumed_config(TrainConfig("A-v0", latent=False, resume=True, vae=Path()), pixels, RUN)


@pytest.mark.parametrize("verdict", [None, "adaptive"])
def test_flags_of_the_first_call_resume_a_run_with_a_verdict(verdict):
    saved = TrainConfig("A-v0", novelty=verdict, self_imitation=False, stack=3).to_json()
    given = ("env", "novelty", "seed", "stack", "save_minutes")
    resumed = resumed_config(TrainConfig("A-v0", resume=True, given=given), saved, RUN)
    assert (resumed.novelty, resumed.stack, resumed.given) == (verdict, 3, ())


def test_names_of_given_flags_are_not_saved():
    assert "given" not in TrainConfig(given=("seed",)).to_json()


def test_the_bonus_with_which_a_training_starts():
    assert TrainConfig().bonus == TrainConfig(novelty="adaptive").bonus == "adaptive"
    for flags in ({"novelty": None}, {"latent": False}, {"shaping": True}):
        assert TrainConfig(**flags).bonus is None
    assert TrainConfig(novelty="counts", shaping=True).bonus == "counts"
