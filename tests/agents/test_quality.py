"""The check after pretraining: data card, image, curves, and the warning of a poor encoder."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch

import latentrl as lrl
from agents.pretrain_choice import LEARNING_RATE, STEPS
from agents.pretrain_config import FLAGS_FILE, IMAGE_BATCH_SIZE
from agents.quality import (
    CHECKED,
    check_quality,
    describe_factors,
    warn_if_interrupted,
    warn_if_poor,
)
from latentrl.data.factors import with_factors
from latentrl.latents.known_factors import score_frames
from latentrl.share.card import card_vector_quality
from latentrl.training.quality import Quality
from latentrl.training.vector_quality import VectorQuality
from latentrl.viz.tensorboard import TensorBoardCallback
from tests.agents.small import tiny_train
from tests.helpers import read_events
from tests.latentrl.training.ball import ball_frames

POOR = {
    "explained": 0.9,
    "changing": 0.4,
    "psnr": 30.0,
    "mean_psnr": 20.0,
    "used_dimensions": 3,
    "latent_dim": 4,
    "lost_detail": 0.1,
    "probe": [],
}


def carded(card, latent_dim=4):
    model = lrl.ae((32, 32, 3), latent_dim, backbone={"name": "mlp", "hidden": (8,)})
    model.metadata["quality"] = card
    return model


def test_the_check_writes_card_image_and_curves(tmp_path):
    torch.manual_seed(0)
    model = lrl.pca((32, 32, 3), 2)
    history = lrl.fit(model, ball_frames(150).frames, path=tmp_path, progress=False)
    with pytest.warns(UserWarning, match=r"of a detail, such.* \(see .*/lost_details\.png\)"):
        measured = check_quality(model, history, tmp_path)
    assert measured == lrl.quality(model, history.validation)
    card = lrl.load(tmp_path).metadata["quality"]
    assert card["changing"] == measured.changing
    assert json.loads(json.dumps(card)) == card
    assert (tmp_path / "lost_details.png").stat().st_size > 100
    events = read_events(tmp_path)
    assert events.Scalars("quality/lost_detail")[0].value == pytest.approx(measured.lost_detail)
    assert len(events.Images("quality/lost_details")) == 1


@pytest.mark.parametrize("data", [{}, {"environment": {"id": "X-v0"}}])
def test_the_check_of_vectors(tmp_path, data, recwarn):
    x = np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32)
    model = lrl.pca((4,), 2)
    history = lrl.fit(model, x, path=tmp_path, progress=False)
    model.metadata["data"] = data
    measured = check_quality(model, history, tmp_path)
    assert tuple(card_vector_quality(lrl.load(tmp_path)).explained) == measured.explained
    worst = int(np.argmin(measured.explained))
    (line,) = measured.summary()
    assert line.endswith(f"of value {worst}, the least")
    # No agent observes an array, whose latents may be meant to lose values.
    words = [str(warning.message) for warning in recwarn]
    expected = f"of the variance of value {worst} is kept (at least 50 %). Pretrain again with"
    assert len(words) == len(data)
    assert all(expected in word for word in words)
    assert all("--latent-dim 4, or longer with --steps" in word for word in words)


def test_the_check_of_sequences_names_a_remedy(tmp_path):
    x = np.random.default_rng(0).normal(size=(300, 6, 2)).astype(np.float32)
    model = lrl.pca(lrl.as_frames(x).space, 4)
    history = lrl.fit(model, x, path=tmp_path, progress=False)
    model.metadata["data"] = {"environment": {"id": "X-v0"}}
    with pytest.warns(UserWarning, match=r"value . is kept .* with --latent-dim 8, or longer"):
        check_quality(model, history, tmp_path)


def fitted(model, frames, path):
    return lrl.fit(model, frames, path=path, progress=False)


def test_what_cannot_be_checked_has_no_metrics(tmp_path, capsys):
    never_trained = lrl.random((32, 32, 3), 4)
    frames = lrl.as_frames(ball_frames(60).observations)
    history = fitted(never_trained, frames, tmp_path / "random")
    assert check_quality(never_trained, history, tmp_path / "random") is None
    few = lrl.pca((32, 32, 3), 2)
    history = fitted(few, ball_frames(80).frames.subset(np.arange(46, 54)), tmp_path / "few")
    assert check_quality(few, history, tmp_path / "few") is None
    expected = f"{len(history.validation)} distinct frames are held out, fewer than 10: what the"
    assert expected in capsys.readouterr().err
    for name in ("random", "few"):
        assert not (tmp_path / name / "lost_details.png").exists()
        assert "quality" not in lrl.load(tmp_path / name).metadata
    warn_if_poor(never_trained)
    warn_if_poor(carded({**POOR, "changing": 0.8}))
    warn_if_poor(carded({**POOR, "changing": None}))


def test_a_world_of_few_images_is_checked_on_all_of_them(tmp_path, capsys):
    model = lrl.pca((32, 32, 3), 2)
    frames = ball_frames(80).frames.subset(np.arange(43, 57))
    history = fitted(model, frames, tmp_path)
    with pytest.warns(UserWarning, match="of a detail"):
        measured = check_quality(model, history, tmp_path)
    assert "10: the check is on all 14, which the encoder was trained on" in capsys.readouterr().err
    assert measured.explained == pytest.approx(lrl.quality(model, frames).explained)
    assert (tmp_path / "lost_details.png").exists()


def test_a_pretraining_that_ended_before_the_check_is_interrupted(tmp_path):
    model = lrl.pca((32, 32, 3), 2)
    fitted(model, ball_frames(150).frames, tmp_path)
    warn_if_interrupted(lrl.load(tmp_path))  # of an older version, which has no mark
    model.metadata[CHECKED] = False
    history = lrl.fit(model, ball_frames(150).frames, path=tmp_path, resume=True, progress=False)
    (tmp_path / FLAGS_FILE).write_text('{"env": "X-v0"}')
    with pytest.warns(UserWarning, match="not yet checked: its training was interrupted; .*--resu"):
        warn_if_interrupted(lrl.load(tmp_path))
    with pytest.warns(UserWarning, match="of a detail"):
        check_quality(model, history, tmp_path)
    warn_if_interrupted(lrl.load(tmp_path))


def test_a_damaged_card_is_refused():
    with pytest.raises(ValueError, match=r"explained of quality in a model's data card is a"):
        warn_if_poor(carded({**POOR, "explained": "much"}))


@pytest.mark.parametrize(
    ("changes", "remedy"),
    [
        ({}, r"40 % of the variance of changing.*--option 'backbone=\{name: spatial\}'"),
        ({"used_dimensions": 0}, "collapsed.*Pretrain again with a lower --beta, or longer"),
    ],
)
def test_the_warning_names_a_remedy(changes, remedy):
    with pytest.warns(UserWarning, match=f"the encoder may miss something: .*{remedy}"):
        warn_if_poor(carded({**POOR, **changes}))


def test_the_remedy_has_a_latent_size_that_the_grid_divides():
    model = lrl.beta_vae((84, 84, 3), 32)
    model.metadata["quality"] = {**POOR, "latent_dim": 32}
    with pytest.warns(UserWarning, match=r"spatial\}' --latent-dim 400; "):
        warn_if_poor(model)
    assert lrl.beta_vae((84, 84, 3), 400, backbone="spatial").latent_layout.grid == (10, 10)


def test_the_remedy_is_no_latent_as_large_as_the_image():
    model = lrl.ae((16, 16, 1), 4, backbone={"name": "mlp", "hidden": (8,)})
    model.metadata["quality"] = POOR
    with pytest.warns(UserWarning, match="Pretrain again longer with --steps; docs"):
        warn_if_poor(model)


def test_the_remedy_of_a_vector_is_the_chosen_encoder():
    model = carded(POOR)
    model.metadata["data"] = {"environment": {"id": "PixelReach-v0"}}
    remedy = "Pretrain again without --latent-dim, --beta, --likelihood and --option"
    with pytest.warns(UserWarning, match=f"{remedy}, for a grid of cells that is chosen"):
        warn_if_poor(model)


def test_a_collapsed_vector_of_an_environment_has_the_same_remedy():
    model = carded({**POOR, "used_dimensions": 0})
    model.metadata["data"] = {"environment": {"id": "PixelReach-v0"}}
    with pytest.warns(UserWarning, match="collapsed.*Pretrain again without --latent-dim, --beta"):
        warn_if_poor(model)


def test_a_model_in_closed_form_has_one_remedy():
    model = lrl.pca((32, 32, 3), 4)
    model.metadata["quality"] = POOR
    with pytest.warns(UserWarning, match="Pretrain again without --model pca; docs/guide"):
        warn_if_poor(model)


@pytest.mark.parametrize("used", [0, 3])
def test_no_remedy_replaces_a_chosen_encoder_by_one_vector(used):
    model = lrl.beta_vae((32, 32, 3), **lrl.choose(ball_frames(60).frames).arguments)
    model.metadata["quality"] = {**POOR, "used_dimensions": used}
    with pytest.warns(UserWarning, match="again with --size 96, for more cells, or longer"):
        warn_if_poor(model)


def test_no_remedy_enlarges_an_image_for_the_cells_it_has():
    frames = lrl.as_frames(np.random.default_rng(0).integers(0, 255, (9, 96, 96, 3), np.uint8))
    model = lrl.beta_vae((96, 96, 3), **lrl.choose(frames).arguments)
    model.metadata["quality"] = POOR
    with pytest.warns(UserWarning, match="Pretrain again longer with --steps; docs"):
        warn_if_poor(model)


def test_training_repeats_the_warning(capsys):
    with pytest.warns(UserWarning, match=r"changing pixels"):
        tiny_train(carded(POOR))


def test_the_warning_names_the_image_where_there_is_one(tmp_path):
    model = carded(POOR)
    for named in (False, True):
        with pytest.warns(UserWarning, match=r"changing pixels") as caught:
            warn_if_poor(model, tmp_path)
        assert (f"(see {tmp_path / 'lost_details.png'})" in str(caught[0].message)) == named
        (tmp_path / "lost_details.png").write_bytes(b"image")


def test_description_has_every_metric():
    lines = "\n".join(Quality(**POOR).summary())
    for text in ("90% of all pixels, 40% of changing pixels", "30.0 dB", "20.0 dB", "3 of 4"):
        assert text in lines
    unordered = Quality(**{**POOR, "changing": None}).summary()
    assert unordered[0] == "explained variance: 90% of all pixels"
    worse = Quality(**{**POOR, "explained": -968.0, "changing": -9.0}).summary()
    assert worse[0] == "explained variance: below 0% of all pixels, below 0% of changing pixels"


@pytest.mark.slow
def test_the_default_encoder_keeps_the_ball():
    frames = ball_frames(2_000).frames
    chosen = lrl.choose(frames).arguments
    model = lrl.beta_vae(frames.observation_space, **chosen)
    config = lrl.FitConfig(steps=STEPS, batch_size=IMAGE_BATCH_SIZE, learning_rate=LEARNING_RATE)
    history = lrl.fit(model, frames, config, progress=False)
    assert lrl.quality(model, history.validation).problems() == []


def test_scores_by_known_factors_are_in_the_card_and_in_tensorboard(tmp_path, vectors):
    latent = np.random.default_rng(0).normal(size=(1_200, 2)).astype(np.float32)
    observations = latent @ np.random.default_rng(1).normal(size=(2, 8)).astype(np.float32)
    known = {"first": latent[:, 0], "second": latent[:, 1], "constant": np.ones(1_200)}
    frames = with_factors(lrl.as_frames(observations), known)
    model = lrl.pca((8,), 2)
    with TensorBoardCallback(tmp_path, {}) as board:
        history = lrl.fit(model, frames, path=tmp_path, callbacks=[board], progress=False)
    assert isinstance(check_quality(model, history, tmp_path), VectorQuality)
    card = lrl.load(tmp_path).metadata["factors"]
    assert card == dataclasses.asdict(score_frames(model, history.validation, history.training))
    assert list(card["probe"]) == ["first", "second"]
    assert min(card["probe"].values()) > 0.99
    events = read_events(tmp_path)
    for name, r2 in card["probe"].items():
        assert events.Scalars(f"factors/probe_r2/{name}")[0].value == pytest.approx(r2)
    assert events.Scalars("factors/mig")[0].value == pytest.approx(card["disentanglement"]["mig"])
    lines = describe_factors(model)
    assert lines[0] == "R2 of a linear probe: first 1.00, second 1.00"
    assert lines[1].startswith("disentanglement: mig 0.")
    model.metadata["factors"]["probe"] = {"first": -36.97, "second": 0.5}
    assert describe_factors(model)[0] == "R2 of a linear probe: first below 0, second 0.50"
    plain = lrl.pca((8,), 3)
    check_quality(plain, lrl.fit(plain, vectors, progress=False), tmp_path)
    assert describe_factors(plain) == []
    model.metadata["factors"] = {"probe": 3}
    with pytest.raises(ValueError, match="probe of factors in a model's data card"):
        describe_factors(model)
