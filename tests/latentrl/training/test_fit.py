"""fit(): learning, seeds, early stopping, alarms, and models that agree with one another."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import latentrl as lrl
from latentrl.models.autoencoder import Autoencoder
from latentrl.training import fit, health
from tests.latentrl.training.helpers import (
    BACKBONE,
    TOO_SHORT_TO_LEARN,
    InterruptAt,
    Recorder,
    make_vae,
    run,
    same_bits,
    settings,
)


def test_training_learns(vectors: Any) -> None:
    history = run(make_vae(), vectors, config=settings(epochs=8, learning_rate=0.01))
    assert [row["step"] for row in history.epochs] == [15 * n for n in range(1, 9)]
    assert history.epochs[-1]["validation/loss"] < 0.5 * history.epochs[0]["validation/loss"]
    row = history.epochs[-1]
    assert row["train/loss"] == pytest.approx(
        row["train/reconstruction"] + row["train/kl"], rel=1e-5
    )


def test_rows_are_means_over_their_epoch_and_noise_is_fresh(
    vectors: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[tuple[float, bytes]] = []
    losses = Autoencoder.losses

    def spy(self: Autoencoder, *arguments: Any) -> Any:
        terms, batch = losses(self, *arguments)
        if self.training:
            noise = arguments[3]
            steps.append((terms["kl"].item(), noise[:, :4].numpy().tobytes()))
        return terms, batch

    monkeypatch.setattr(Autoencoder, "losses", spy)
    history = run(make_vae(), vectors)
    expected = np.array([kl for kl, _ in steps]).reshape(3, 15).mean(1)
    np.testing.assert_allclose([row["train/kl"] for row in history.epochs], expected, rtol=1e-5)
    assert len({noise for _, noise in steps}) == 45


@TOO_SHORT_TO_LEARN
def test_same_seed_same_bits(case: Any) -> None:
    make, data = case
    models, histories = [], []
    for seed, torch_seed in [(3, 1), (3, 2), (4, 1)]:
        models.append(make())
        torch.manual_seed(torch_seed)  # the global generator has no effect
        histories.append(run(models[-1], data, config=settings(seed=seed)).epochs)
    assert same_bits(models[0], models[1])
    assert histories[0] == histories[1]
    assert not same_bits(models[0], models[2])


def test_the_history_has_the_split(vectors: Any) -> None:
    history = run(make_vae(), vectors)
    training, validation = lrl.as_frames(vectors).split(0.1, 3)
    np.testing.assert_array_equal(history.training.indices, training.indices)
    np.testing.assert_array_equal(history.validation.indices, validation.indices)


@TOO_SHORT_TO_LEARN
def test_frames_are_checked_once_and_validated_once_per_epoch(
    vectors: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def counted(function: Any) -> Any:
        def wrapped(*arguments: Any) -> Any:
            calls.append(function.__name__)
            return function(*arguments)

        return wrapped

    monkeypatch.setattr(fit, "check_learnable", counted(fit.check_learnable))
    monkeypatch.setattr(health, "scaled_batches", counted(health.scaled_batches))
    torch.manual_seed(0)
    run(lrl.dae_beta_vae((8,), 3, backbone=BACKBONE), vectors)  # two stages of three epochs
    assert calls.count("check_learnable") == 1
    assert calls.count("scaled_batches") == 6


def test_stops_early_and_keeps_the_best(vectors: Any) -> None:
    model = lrl.ae((8,), 3, backbone=BACKBONE)
    history = run(
        model,
        vectors,
        config=settings(epochs=40, patience=2, learning_rate=0.3, schedule="constant"),
    )
    losses = [row["validation/loss"] for row in history.epochs]
    assert len(losses) < 40
    assert np.argmin(losses) == len(losses) - 3
    assert history.best_step == history.epochs[-3]["step"]
    _, validation = lrl.as_frames(vectors).split(0.1, 3)
    assert lrl.health(model, validation).loss == pytest.approx(min(losses), rel=1e-6)


def test_steps_replace_epochs(vectors: Any) -> None:
    callback = Recorder()
    run(make_vae(), vectors, config=settings(epochs=100, steps=20), callbacks=[callback])
    assert callback.steps == [15, 20]


def test_epochs_of_one_step_are_validated_after_several(vectors: Any) -> None:
    callback = Recorder()
    history = run(make_vae(), vectors[:70], config=settings(epochs=60), callbacks=[callback])
    assert len(history.training) <= 64
    assert callback.steps == [*range(3, 61, 3)]


def test_beta_one_is_a_vae(vectors: Any) -> None:
    torch.manual_seed(0)
    beta_vae = lrl.beta_vae((8,), 3, beta=1.0, backbone=BACKBONE)
    vae = make_vae()
    assert run(beta_vae, vectors) == run(vae, vectors)
    assert same_bits(beta_vae, vae)


def test_no_capacity_means_no_information(vectors: Any) -> None:
    model = lrl.beta_vae((8,), 3, capacity=0.0, gamma=1000.0, backbone=BACKBONE)
    with pytest.warns(UserWarning, match="the latents have collapsed"):
        history = run(model, vectors, config=settings(epochs=20, learning_rate=0.01))
    assert history.epochs[-1]["kl"] < 0.02


def test_collapse_raises_the_alarm(vectors: Any) -> None:
    with pytest.warns(
        UserWarning,
        match="the latents have collapsed: none varies with the observation; lower beta",
    ):
        run(
            lrl.beta_vae((8,), 3, beta=1e5, backbone=BACKBONE),
            vectors,
            config=settings(epochs=20, learning_rate=0.01),
        )


def test_a_constant_latent_raises_the_alarm(vectors: Any) -> None:
    model = lrl.ae((8,), 3, backbone={"name": "linear"})
    torch.nn.init.zeros_(model.encoder[1].weight)
    with pytest.warns(UserWarning, match="the latents have collapsed"):
        run(model, vectors, config=settings(learning_rate=1e-9))


@pytest.mark.parametrize(("std", "warned"), [(0.01, True), (2.0, False)])
def test_a_denoiser_that_adds_more_than_it_removes(std: float, warned: bool, vectors: Any) -> None:
    model = lrl.denoising_ae((8,), 3, std=std, backbone={"name": "linear"})
    message = "restored observations are farther from the clean ones .* than the corrupted inputs"
    with pytest.warns(match=message) if warned else contextlib.nullcontext():
        history = run(model, vectors, config=settings(epochs=20, learning_rate=0.01))
    assert history.epochs[-1]["input_psnr"] == pytest.approx(-20 * np.log10(std), abs=0.3)


def test_the_scale_of_a_deterministic_latent_is_free(vectors: Any) -> None:
    torch.manual_seed(0)
    model = lrl.contractive_ae((8,), 3, weight=1e4, backbone=BACKBONE)
    run(model, vectors, config=settings(epochs=10))
    assert 0 < model.latent_std.max() < 0.1  # an alarm for a posterior


@TOO_SHORT_TO_LEARN
def test_half_precision_comes_close(images: Any) -> None:
    losses = []
    for precision in ("float32", "bfloat16"):
        torch.manual_seed(0)
        model = lrl.vae((32, 32, 3), 3, backbone={"name": "conv", "channels": (8, 8), "hidden": 32})
        losses.append(
            run(model, images, config=settings(precision=precision)).epochs[-1]["train/loss"]
        )
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.02)


def test_a_random_model_keeps_its_weights(vectors: Any) -> None:
    model = lrl.random((8,), 3)
    before = [p.clone() for p in model.parameters()]
    history = run(model, vectors)
    assert (history.epochs, history.best_step) == ([], 0)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    _, validation = lrl.as_frames(vectors).split(0.1, 3)
    np.testing.assert_allclose(model.latent_std, model.encode(validation[:]).std(0), atol=1e-5)


def test_without_gradient_steps_the_weights_stay_and_statistics_are_measured(images: Any) -> None:
    model = lrl.beta_vae(images.shape[1:], 64, backbone={"name": "spatial"})
    before = [p.clone() for p in model.parameters()]
    history = run(model, images, config=settings(steps=0, validation=0.5))
    assert (history.epochs, history.best_step, model.fitted) == ([], 0, True)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    found = model.encode(history.validation[:]).std(0)
    np.testing.assert_allclose(model.latent_std, found, atol=1e-6)


@pytest.mark.parametrize("steps", [0, 5])
def test_a_trained_model_keeps_its_preprocessing(steps: int, vectors: Any) -> None:
    model = lrl.ae((8,), 3)
    run(model, vectors)
    before = [buffer.clone() for buffer in model.preprocess.buffers()]
    run(model, 100 + 7 * vectors, config=settings(steps=steps))
    after = model.preprocess.buffers()
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_a_solved_model_has_the_preprocessing_of_its_data(vectors: Any) -> None:
    model = lrl.pca((8,), 3)
    for data in (vectors, 100 + 7 * vectors):
        run(model, data)
        np.testing.assert_allclose(model.preprocess.mean, data[:].mean(0), rtol=0.1)


def test_four_images_are_no_collapse() -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)
    model = lrl.ae((16, 16, 3), 8, backbone={"name": "linear"})
    history = run(model, images, config=settings(steps=20, batch_size=4))
    assert len(history.validation) == 1
    assert history.epochs[-1]["active_units"] > 0


def test_a_solved_model_has_a_history(vectors: Any, tmp_path: Path) -> None:
    callback = Recorder()
    history = run(lrl.pca((8,), 3), vectors, callbacks=[callback], path=tmp_path)
    assert len(history.epochs) == 1
    assert callback.steps == [0]
    assert lrl.load(tmp_path).latent_quantiles.any()


def test_denoising_restores_what_was_masked(images: Any) -> None:
    torch.manual_seed(0)
    model = lrl.denoising_ae(
        (32, 32, 3), 16, corruption="salt_and_pepper", fraction=0.3, backbone={"name": "linear"}
    )
    run(model, images, config=settings(epochs=60, learning_rate=0.01))
    x = model.preprocess(torch.from_numpy(images))
    noisy, _ = model.corrupt(x, torch.Generator().manual_seed(0))
    corrupted = (noisy * 255).round().byte().permute(0, 2, 3, 1).numpy()
    restored = model.reconstruct(corrupted).astype(float)
    assert (
        np.square(restored - images).mean()
        < 0.5 * np.square(corrupted.astype(float) - images).mean()
    )


def test_the_model_records_its_data(vectors: Any) -> None:
    model = make_vae()
    run(model, vectors)
    frames = lrl.as_frames(vectors)
    assert model.metadata == {
        "complete": True,
        "frames": 1000,
        "fingerprint": frames.fingerprint,
        "data": frames.metadata,
    }


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("position", [0, 500, 999])
def test_frames_that_are_not_finite_are_refused(position: int, value: float, vectors: Any) -> None:
    vectors = vectors.copy()
    vectors[position, 3] = value
    with pytest.raises(ValueError, match="frames contain NaN or infinity"):
        run(make_vae(), vectors)


def test_a_warning_of_the_data_names_the_callers_line(vectors: Any) -> None:
    vectors = vectors.copy()
    vectors[7, 2] = -1e7
    with pytest.warns(match="value 2 of the observations has -1e") as caught:
        lrl.fit(lrl.ae((8,), 3), vectors, settings(steps=1), progress=False)
    assert {warning.filename for warning in caught} == {__file__}


def test_callbacks_may_be_a_generator(vectors: Any) -> None:
    recorder = Recorder()
    run(make_vae(), vectors, callbacks=(each for each in [recorder]))
    assert recorder.steps


def test_arguments_in_another_order_are_refused(vectors: Any) -> None:
    with pytest.raises(TypeError, match="a model first and its frames second, got ndarray and A"):
        lrl.fit(vectors, make_vae())
    with pytest.raises(TypeError, match=r"config is a FitConfig, such as .*, got \{'steps': 3\}"):
        lrl.fit(make_vae(), vectors, {"steps": 3})
    with pytest.raises(TypeError, match=r"callback is an object with on_epoch_end.*got <built-in"):
        lrl.fit(make_vae(), vectors, callbacks=[print])


def test_other_observations_are_refused(images: Any, vectors: Any) -> None:
    with pytest.raises(
        ValueError, match=r"the model takes observations of \(8,\) float32, .* \(32, 32, 3\) uint8"
    ):
        run(make_vae(), images)


def test_divergence_is_named(vectors: Any) -> None:
    with pytest.raises(
        FloatingPointError,
        match=r"not finite at step 15, at .*; lower learning_rate \(now 1e\+30\)",
    ):
        run(make_vae(), vectors, config=settings(learning_rate=1e30, gradient_clip=None))


def test_divergence_is_noticed_within_an_epoch(vectors: Any, tmp_path: Path) -> None:
    model, data = make_vae(), np.concatenate([vectors] * 2)
    with pytest.raises(
        FloatingPointError, match=r"not finite at step 50, at .*; lower learning_rate"
    ):
        run(
            model,
            data,
            config=settings(batch_size=4, learning_rate=1e30, gradient_clip=None),
            path=tmp_path,
        )
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())
    assert not (tmp_path / "last").exists()


def test_a_diverged_run_is_not_saved_by_an_interruption(vectors: Any, tmp_path: Path) -> None:
    model, config = make_vae(), settings(learning_rate=1e30, gradient_clip=None)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(
            Autoencoder, "losses", lambda self, *args, at=InterruptAt(9): at(self, *args)
        )
        with pytest.raises(FloatingPointError, match="not finite at step 9"):
            run(model, vectors, config=config, path=tmp_path)
    assert not list(tmp_path.iterdir())
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())


def test_schedule_ends_at_a_hundredth(vectors: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[float] = []
    step = torch.optim.AdamW.step

    def spy(self: Any, *args: Any) -> Any:
        rates.append(self.param_groups[0]["lr"])
        return step(self, *args)

    monkeypatch.setattr(torch.optim.AdamW, "step", spy)
    run(make_vae(), vectors, config=settings(steps=100, learning_rate=0.01))
    assert rates[0] == pytest.approx(0.01)
    assert rates[50] == pytest.approx(0.01 * 0.505)
    assert rates[-1] == pytest.approx(0.01 * 0.01, rel=0.05)
    rates.clear()
    run(make_vae(), vectors, config=settings(steps=5, schedule="constant"))
    assert set(rates) == {1e-3}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, on importing its compiler
def test_compiled_equals_eager(vectors: Any) -> None:
    eager, compiled = make_vae(), make_vae()
    expected = run(eager, vectors).epochs[-1]["train/loss"]
    got = run(compiled, vectors, config=settings(compile=True)).epochs[-1]["train/loss"]
    assert got == pytest.approx(expected, rel=1e-3)
    assert compiled.state_dict().keys() == eager.state_dict().keys()
