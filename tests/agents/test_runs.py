"""Runs are numbered, made once, and written by one process at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import latentrl as lrl
from agents.pretrain import newest_encoder
from agents.runs import SCRIPTS, env_folder, locked, make_run, new_run, newest_run, python_script
from latentrl.utils.io import write_json
from tests.helpers import ROOT


def test_runs_are_numbered_and_found():
    assert str(env_folder("vae", "ALE/Pong:v5")) == "runs/vae/ALE_Pong.v5"
    assert newest_run("vae", "X-v0", "model") is None
    paths = [make_run("vae", "X-v0", "pca") for _ in range(3)]
    assert [path.name for path in paths] == ["pca-1", "pca-2", "pca-3"]
    assert new_run("vae", "X-v0", "pca").name == "pca-4"
    (paths[1] / "sub").mkdir()
    (paths[1] / "sub" / "model").touch()
    assert newest_run("vae", "X-v0", "sub/model") == paths[1]
    assert newest_run("vae", "X-v0", "other") is None


def touched(name, age):
    file = env_folder("vae", "X-v0") / name / "model"
    file.parent.mkdir(parents=True)
    file.touch()
    os.utime(file, (1e9 - age, 1e9 - age))


def test_the_newest_of_equal_names_has_the_highest_number():
    for number, age in ((2, 10), (9, 20), (10, 30), (1, 0)):  # a copy changed the times
        touched(f"pca-{number}", age)
    assert newest_run("vae", "X-v0", "model").name == "pca-10"
    touched("beta_vae-3", 25)
    assert newest_run("vae", "X-v0", "model").name == "beta_vae-3"
    assert newest_run("vae", "X-v0", "model", "pca-*").name == "pca-10"
    touched("mine", 24)
    assert newest_run("vae", "X-v0", "model").name == "mine"


def test_each_of_many_processes_makes_a_run_of_its_own():
    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(lambda _: make_run("agents", "X-v0", "ppo"), range(40)))
    assert sorted(paths) == sorted(env_folder("agents", "X-v0").iterdir())
    assert len(set(paths)) == 40


HOLD = """
import sys
from pathlib import Path
from agents.runs import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_run_that_another_process_writes_is_refused_until_that_is_killed(tmp_path):
    path = tmp_path / "run"
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=-1, stdout=-1, text=True) as other:
        assert other.stdout.readline() == "held\n"
        with (
            pytest.raises(ValueError, match=rf"run is being trained by process {other.pid}: wait"),
            locked(path),
        ):
            pass
        other.kill()
    with locked(path):
        (path / "model").touch()
    assert (path / "model").exists()


def test_an_interruption_names_the_run(tmp_path):
    with pytest.raises(KeyboardInterrupt) as caught, locked(tmp_path / "run"):
        (tmp_path / "run" / "training.json").write_text("{}")
        raise KeyboardInterrupt
    assert caught.value.args == (str(tmp_path / "run"),)
    with pytest.raises(KeyboardInterrupt) as caught, locked(tmp_path / "unused"):
        raise KeyboardInterrupt
    assert caught.value.args == ()


def test_an_unused_folder_goes_with_its_lock(tmp_path):
    with pytest.raises(KeyError), locked(tmp_path / "run"):
        raise KeyError
    assert not (tmp_path / "run").exists()


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_forked_worker_does_not_keep_the_lock(tmp_path):
    path = tmp_path / "run"
    started, start = os.pipe()
    with locked(path):
        (path / "model").touch()
        worker = os.fork()
        if worker == 0:
            os.write(start, b".")
            time.sleep(30)
            os._exit(0)
        os.read(started, 1)
    try:
        with locked(path):
            pass
    finally:
        os.kill(worker, signal.SIGKILL)
        os.waitpid(worker, 0)


def test_the_newest_encoder(encoder):
    with pytest.raises(
        FileNotFoundError,
        match=r"no pretrained encoder for X-v0 in runs/vae/X-v0; make one with\n"
        "  python /.*/scripts/pretrain_vae.py --env X-v0",
    ):
        newest_encoder("X-v0")
    for number in (1, 2):
        lrl.save(encoder, env_folder("vae", "X-v0") / f"pca-{number}")
    assert newest_encoder("X-v0").name == "pca-2"


def test_the_newest_encoder_of_a_key(encoder):
    model = lrl.random((8,), 2)
    for number, key in enumerate(("state", "camera"), 1):
        model.metadata["data"] = {"environment": {"id": "X-v0", "key": key}}
        lrl.save(model, env_folder("vae", "X-v0") / f"random-{number}")
    assert newest_encoder("X-v0").name == "random-2"
    assert newest_encoder("X-v0", "state").name == "random-1"
    with pytest.raises(FileNotFoundError, match="--env X-v0 --key depth"):
        newest_encoder("X-v0", "depth")


def test_a_random_encoder_is_the_newest_where_there_is_no_other(encoder):
    lrl.save(lrl.random((8,), 2), env_folder("vae", "X-v0") / "random-1")
    assert newest_encoder("X-v0").name == "random-1"
    lrl.save(lrl.pca((8,), 2), env_folder("vae", "X-v0") / "pca-1")
    lrl.save(lrl.random((8,), 2), env_folder("vae", "X-v0") / "random-2")
    assert newest_encoder("X-v0").name == "pca-1"


def test_a_pretraining_that_saved_nothing_yet_can_be_resumed():
    write_json(env_folder("vae", "X-v0") / "beta_vae-1" / "pretraining.json", {})
    message = (
        r"continue the interrupted pretraining with\n.* --resume --out runs/vae/X-v0/beta_vae-1"
    )
    with pytest.raises(FileNotFoundError, match=message):
        newest_encoder("X-v0")


def test_commands_run_from_any_folder(monkeypatch, tmp_path):
    assert (SCRIPTS / "train_agent.py").is_file()
    monkeypatch.chdir(SCRIPTS.parent)
    assert python_script("train_agent.py") == ["python", "scripts/train_agent.py"]
    monkeypatch.chdir(tmp_path)
    assert python_script("train_agent.py") == ["python", str(SCRIPTS / "train_agent.py")]
