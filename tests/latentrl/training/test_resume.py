"""An interrupted and resumed fit gives the bits of an uninterrupted one."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
import torch

import latentrl as lrl
from latentrl.models.autoencoder import Autoencoder
from latentrl.training import trainer
from latentrl.training.resume import RESUME_FILE
from latentrl.utils.io import read_tensors, write_tensors
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
            patched.setattr(torch.optim.AdamW, "step", pressing(torch.optim.AdamW.step))
        else:
            patched.setattr(trainer, "validate", pressing(trainer.validate))
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
        ValueError,
        match=r"has fit.seed=3, the call has fit.seed=4: resume it with its own settings",
    ):
        run(make_vae(), vectors, resume=True, path=tmp_path, config=settings(seed=4))
    with pytest.raises(ValueError, match=r"has frames=\w{16}, the call has frames=\w{16}"):
        run(make_vae(), vectors[:500], resume=True, path=tmp_path)
    with pytest.raises(
        ValueError, match=r"has model\.latent_dim=3, the call has model\.latent_dim=2"
    ):
        run(lrl.vae((8,), 2, backbone=BACKBONE), vectors, resume=True, path=tmp_path)


def test_a_training_in_the_folder_is_not_replaced(vectors: Any, tmp_path: Path) -> None:
    finished, stopped = tmp_path / "finished", tmp_path / "stopped"
    run(make_vae(), vectors, path=finished)
    with pytest.raises(KeyboardInterrupt):
        run(make_vae(), vectors, path=stopped, callbacks=[Recorder(interrupt_at=15)])
    for folder in (finished, stopped):
        before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
        model, recorder = make_vae(), Recorder()
        message = rf"{folder} already holds a training: give resume=True .* choose another path"
        with pytest.raises(ValueError, match=message):
            run(model, vectors, path=folder, callbacks=[recorder])
        assert not model.fitted
        assert not recorder.steps
        assert before == {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_a_model_in_the_folder_is_not_replaced(vectors: Any, tmp_path: Path) -> None:
    run(lrl.pca((8,), 3), vectors, path=tmp_path / "solved")
    lrl.save(make_vae(), tmp_path / "saved")
    for name in ("solved", "saved"):
        with pytest.raises(ValueError, match=rf"{name} already holds a model: choose another path"):
            run(make_vae(), vectors, path=tmp_path / name)


def test_what_a_kill_before_the_first_state_left_is_replaced(
    vectors: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any) -> None:
        raise SystemExit

    with monkeypatch.context() as patched, pytest.raises(SystemExit):
        patched.setattr(trainer, "write_progress", killed)
        run(make_vae(), vectors, path=tmp_path)
    assert (tmp_path / "model.safetensors").is_file()
    again = make_vae()
    run(again, vectors, path=tmp_path)
    assert same_bits(lrl.load(tmp_path, "cpu"), again)
    (tmp_path / RESUME_FILE).unlink()
    (tmp_path / "model.safetensors").write_bytes(b"damaged")
    run(make_vae(), vectors, path=tmp_path)


def test_solved_models_resume_to_the_same(vectors: Any, tmp_path: Path) -> None:
    first, again = lrl.pca((8,), 3), lrl.pca((8,), 3)
    run(first, vectors, path=tmp_path)
    run(again, vectors, path=tmp_path, resume=True)
    assert same_bits(first, again)


@pytest.mark.parametrize("kind", ["optimizer.0.exp_avg", "model.", "best."])
def test_states_that_are_not_finite_are_refused(kind: str, vectors: Any, tmp_path: Path) -> None:
    run(make_vae(), vectors, path=tmp_path)
    tensors, notes = read_tensors(tmp_path / RESUME_FILE, "progress")
    name = next(name for name in sorted(tensors) if name.startswith(kind))
    tensors[name] = torch.full_like(tensors[name], torch.nan)
    write_tensors(tmp_path / RESUME_FILE, tensors, {"progress": notes})
    with pytest.raises(ValueError, match=r"cannot be used: .* has values that are not finite"):
        run(make_vae(), vectors, resume=True, path=tmp_path)
