"""fit(): seeds, interruptions, early stopping, alarms, and models that agree with one another."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import latentrl as lrl
from latentrl.models.autoencoder import Autoencoder
from latentrl.training import fit as training
from latentrl.training.resume import RESUME_FILE

BACKBONE = {"name": "mlp", "hidden": (16,)}
TOO_SHORT_TO_LEARN = pytest.mark.filterwarnings("ignore:the code has collapsed")


def settings(**changes: Any) -> lrl.FitConfig:
    return lrl.FitConfig(
        **{
            "epochs": 3,
            "batch_size": 64,
            "device": "cpu",
            "precision": "float32",
            "seed": 3,
            **changes,
        }
    )


def make_vae() -> Autoencoder:
    torch.manual_seed(0)
    return lrl.vae((8,), 3, backbone=BACKBONE)


def make_denoiser() -> Autoencoder:
    torch.manual_seed(0)
    return lrl.denoising_ae(
        (32, 32, 3),
        3,
        corruption="masking",
        backbone={"name": "conv", "channels": (4,), "hidden": 8},
    )


def run(model: Autoencoder, data: Any, **options: Any) -> lrl.History:
    return lrl.fit(model, data, progress=False, **{"config": settings(), **options})


def same_bits(a: Autoencoder, b: Autoencoder) -> bool:
    first, second = a.state_dict(), b.state_dict()
    return first.keys() == second.keys() and all(
        torch.equal(first[name], second[name]) for name in first
    )


class InterruptAt:
    """Interrupts a fit at a step: in the middle of it, before the weights change."""

    def __init__(self, step: int) -> None:
        self.step, self.losses = step, Autoencoder.losses

    def __call__(self, model: Autoencoder, x: Any, inputs: Any, noise: Any, step: int) -> Any:
        if step == self.step and model.training:
            raise KeyboardInterrupt
        return self.losses(model, x, inputs, noise, step)


class Recorder:
    """A callback that keeps what it heard, and can interrupt."""

    def __init__(self, interrupt_at: int | None = None) -> None:
        self.steps: list[int] = []
        self.interrupt_at = interrupt_at

    def on_epoch_end(self, model: Autoencoder, validation: Any, row: Any, health: Any) -> None:
        assert row["validation/loss"] == health.loss
        self.steps.append(int(row["step"]))
        if row["step"] == self.interrupt_at:
            raise KeyboardInterrupt


@pytest.fixture(params=[make_vae, make_denoiser], ids=["vae", "denoising_ae"])
def case(
    request: pytest.FixtureRequest, vectors: Any, images: Any
) -> tuple[Callable[[], Autoencoder], Any]:
    """A model with noise in its code or its inputs, and 900 or 180 frames to train on."""
    return request.param, vectors if request.param is make_vae else images


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
    seen: list[tuple[float, bytes]] = []
    losses = Autoencoder.losses

    def spy(self: Autoencoder, x: Any, inputs: Any, noise: Any, step: int) -> Any:
        terms, batch = losses(self, x, inputs, noise, step)
        if self.training:
            seen.append((terms["kl"].item(), noise[:, :4].numpy().tobytes()))
        return terms, batch

    monkeypatch.setattr(Autoencoder, "losses", spy)
    history = run(make_vae(), vectors)
    expected = np.array([kl for kl, _ in seen]).reshape(3, 15).mean(1)
    np.testing.assert_allclose([row["train/kl"] for row in history.epochs], expected, rtol=1e-5)
    assert len({noise for _, noise in seen}) == 45


@TOO_SHORT_TO_LEARN
def test_same_seed_same_bits(case: Any) -> None:
    make, data = case
    models, histories = [], []
    for seed, torch_seed in [(3, 1), (3, 2), (4, 1)]:
        models.append(make())
        torch.manual_seed(torch_seed)  # the global generator plays no part
        histories.append(run(models[-1], data, config=settings(seed=seed)).epochs)
    assert same_bits(models[0], models[1])
    assert histories[0] == histories[1]
    assert not same_bits(models[0], models[2])


@TOO_SHORT_TO_LEARN
@pytest.mark.parametrize("step", [0, 2, 4, 7])
def test_interrupted_and_resumed_is_uninterrupted(
    step: int, case: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, data = case
    whole = make()
    expected = run(whole, data)
    interrupted = make()
    with monkeypatch.context() as patched:
        patched.setattr(
            Autoencoder, "losses", lambda self, *args, at=InterruptAt(step): at(self, *args)
        )
        with pytest.raises(KeyboardInterrupt):
            run(interrupted, data, path=tmp_path)
    resumed = make()
    history = run(resumed, data, path=tmp_path, resume=True)
    assert same_bits(resumed, whole)
    assert history == expected
    assert same_bits(lrl.load(tmp_path, "cpu"), whole)


@pytest.mark.parametrize("step", [15, 30, 45])
def test_interrupted_between_epochs(step: int, vectors: Any, tmp_path: Path) -> None:
    whole, resumed = make_vae(), make_vae()
    expected = run(whole, vectors)
    with pytest.raises(KeyboardInterrupt):
        run(make_vae(), vectors, path=tmp_path, callbacks=[Recorder(interrupt_at=step)])
    assert run(resumed, vectors, path=tmp_path, resume=True) == expected
    assert same_bits(resumed, whole)


@pytest.mark.parametrize("where", ["optimizer", "validation"])
def test_control_c_waits_for_a_whole_step(
    where: str, vectors: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0

    def pressing(function: Any) -> Any:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            nonlocal calls
            result = function(*args, **kwargs)
            calls += 1
            if calls == 2:
                signal.raise_signal(signal.SIGINT)
            return result

        return wrapped

    whole, resumed = make_vae(), make_vae()
    expected = run(whole, vectors)
    with monkeypatch.context() as patched:
        if where == "optimizer":
            patched.setattr(torch.optim.Adam, "step", pressing(torch.optim.Adam.step))
        else:
            patched.setattr(training, "health", pressing(training.health))
        with pytest.raises(KeyboardInterrupt):
            run(make_vae(), vectors, path=tmp_path)
    assert calls == 2
    assert run(resumed, vectors, path=tmp_path, resume=True) == expected
    assert same_bits(resumed, whole)


def test_a_finished_run_resumes_to_itself(vectors: Any, tmp_path: Path) -> None:
    first, again = make_vae(), make_vae()
    expected = run(first, vectors, path=tmp_path)
    assert run(again, vectors, path=tmp_path, resume=True) == expected
    assert same_bits(first, again)


def test_the_path_holds_the_best_and_the_last(vectors: Any, tmp_path: Path) -> None:
    model = make_vae()
    history = run(model, vectors, path=tmp_path)
    assert same_bits(lrl.load(tmp_path, "cpu"), model)
    last = lrl.load(tmp_path / "last", "cpu")
    _, validation = lrl.as_frames(vectors).split(0.1, 3)
    assert lrl.health(last, validation).loss == pytest.approx(history.epochs[-1]["validation/loss"])


def test_resuming_is_checked(vectors: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="resume=True needs the path of the run to resume"):
        run(make_vae(), vectors, resume=True)
    with pytest.raises(ValueError, match=rf"nothing to resume in .*: it has no {RESUME_FILE}"):
        run(make_vae(), vectors, resume=True, path=tmp_path)
    run(make_vae(), vectors, path=tmp_path)
    with pytest.raises(
        ValueError, match=r"has fit.seed=3, the call has fit.seed=4: resume it with its own settings"
    ):
        run(make_vae(), vectors, resume=True, path=tmp_path, config=settings(seed=4))
    with pytest.raises(ValueError, match=r"was begun with frames=\w{16}, not \w{16}"):
        run(make_vae(), vectors[:500], resume=True, path=tmp_path)
    with pytest.raises(ValueError, match=r"was begun with model.latent_dim=3, not 2"):
        run(lrl.vae((8,), 2, backbone=BACKBONE), vectors, resume=True, path=tmp_path)


def test_solved_models_resume_to_the_same(vectors: Any, tmp_path: Path) -> None:
    first, again = lrl.pca((8,), 3), lrl.pca((8,), 3)
    run(first, vectors, path=tmp_path)
    run(again, vectors, path=tmp_path, resume=True)
    assert same_bits(first, again)


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


def test_beta_one_is_a_vae(vectors: Any) -> None:
    torch.manual_seed(0)
    beta_vae = lrl.beta_vae((8,), 3, beta=1.0, backbone=BACKBONE)
    vae = make_vae()
    assert run(beta_vae, vectors) == run(vae, vectors)
    assert same_bits(beta_vae, vae)


def test_no_capacity_means_no_information(vectors: Any) -> None:
    model = lrl.beta_vae((8,), 3, capacity=0.0, gamma=1000.0, backbone=BACKBONE)
    with pytest.warns(UserWarning, match="the code has collapsed"):
        history = run(model, vectors, config=settings(epochs=20, learning_rate=0.01))
    assert history.epochs[-1]["kl"] < 0.02


def test_collapse_raises_the_alarm(vectors: Any) -> None:
    with pytest.warns(
        UserWarning, match="the code has collapsed: no unit varies with the observation; lower beta"
    ):
        run(
            lrl.beta_vae((8,), 3, beta=1e5, backbone=BACKBONE),
            vectors,
            config=settings(epochs=20, learning_rate=0.01),
        )


def test_a_point_that_does_not_vary_raises_the_alarm(vectors: Any) -> None:
    model = lrl.ae((8,), 3, backbone={"name": "linear"})
    torch.nn.init.zeros_(model.encoder[1].weight)
    with pytest.warns(UserWarning, match="the code has collapsed"):
        run(model, vectors, config=settings(learning_rate=1e-9))


def test_the_scale_of_a_point_is_free(vectors: Any) -> None:
    torch.manual_seed(0)
    model = lrl.contractive_ae((8,), 3, weight=1e4, backbone=BACKBONE)
    run(model, vectors, config=settings(epochs=10))
    assert 0 < model.latent_std.max() < 0.1  # a posterior of so little variance would be an alarm


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


def test_a_random_model_is_left_alone(vectors: Any) -> None:
    model = lrl.random((8,), 3)
    before = [p.clone() for p in model.parameters()]
    assert run(model, vectors) == lrl.History()
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    _, validation = lrl.as_frames(vectors).split(0.1, 3)
    np.testing.assert_allclose(model.latent_std, model.encode(validation[:]).std(0), atol=1e-5)


def test_a_solved_model_has_a_history(vectors: Any, tmp_path: Path) -> None:
    callback = Recorder()
    history = run(lrl.pca((8,), 3), vectors, callbacks=[callback], path=tmp_path)
    assert len(history.epochs) == 1
    assert callback.steps == [0]
    assert lrl.load(tmp_path).latent_quantiles.any()


def test_denoising_restores_what_was_masked(images: Any) -> None:
    torch.manual_seed(0)
    model = lrl.denoising_ae(
        (32, 32, 3), 16, corruption="salt_and_pepper", share=0.3, backbone={"name": "linear"}
    )
    run(model, images, config=settings(epochs=60, learning_rate=0.01))
    x = model.preprocess(torch.from_numpy(images))
    noisy, _ = model.sample_noise(x, torch.Generator().manual_seed(0))
    damaged = (noisy * 255).round().byte().permute(0, 2, 3, 1).numpy()
    restored = model.reconstruct(damaged).astype(float)
    assert (
        np.square(restored - images).mean() < 0.5 * np.square(damaged.astype(float) - images).mean()
    )


def test_data_leave_their_mark(vectors: Any) -> None:
    model = make_vae()
    run(model, vectors)
    frames = lrl.as_frames(vectors)
    assert model.metadata == {
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


def test_other_observations_are_refused(images: Any, vectors: Any) -> None:
    with pytest.raises(
        ValueError, match=r"the model takes observations of \(8,\) float32, .* \(32, 32, 3\) uint8"
    ):
        run(make_vae(), images)


def test_divergence_is_named(vectors: Any) -> None:
    with pytest.raises(
        FloatingPointError, match=r"not finite at step 15; lower learning_rate \(now 1e\+30\)"
    ):
        run(make_vae(), vectors, config=settings(learning_rate=1e30, gradient_clip=None))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"steps": 0}, "steps must be at least 1 or None, got 0"),
        ({"patience": 0}, "patience must be at least 1 or None, got 0"),
        ({"learning_rate": 0.0}, r"learning_rate must be positive, got 0\.0"),
        ({"learning_rate": float("nan")}, "learning_rate must be positive, got nan"),
        ({"gradient_clip": 0.0}, r"gradient_clip must be positive or None, got 0\.0"),
        ({"schedule": "linear"}, "unknown schedule 'linear'; known: cosine, constant"),
        ({"precision": "bf16"}, "unknown precision 'bf16'; known: auto, bfloat16, float32"),
    ],
)
def test_config_is_checked(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lrl.FitConfig(**wrong)


def test_schedule_ends_at_a_hundredth(vectors: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[float] = []
    step = torch.optim.Adam.step

    def spy(self: Any, *args: Any) -> Any:
        rates.append(self.param_groups[0]["lr"])
        return step(self, *args)

    monkeypatch.setattr(torch.optim.Adam, "step", spy)
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
