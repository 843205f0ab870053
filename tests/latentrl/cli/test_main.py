"""The command line: ``latentrl``, ``python -m latentrl.cli`` and ``scripts/autoencode.py``."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import latentrl as lrl
from latentrl.cli import VERBS
from latentrl.cli.__main__ import report
from latentrl.cli.base import Report
from tests.helpers import ROOT

COMMANDS = [["-m", "latentrl.cli"], [ROOT / "scripts" / "autoencode.py"]]


def start(command, cwd, *words):
    environment = {"PYTHONPATH": str(ROOT), "PATH": ""}
    return subprocess.run(
        [sys.executable, *command, *words],
        capture_output=True,
        text=True,
        cwd=cwd,
        check=False,
        env=environment,
    )


@pytest.mark.parametrize("command", COMMANDS, ids=["module", "script"])
def test_error_is_one_line_and_status_2(command, models, tmp_path):
    done = start(command, tmp_path, "sample", "--model", models / "pca")
    assert done.returncode == 2
    assert done.stderr.startswith("error: the 'pca' model cannot be sampled: ")
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_help_lists_every_verb(tmp_path):
    done = start(COMMANDS[0], tmp_path, "--help")
    assert done.returncode == 0
    for verb in VERBS:
        assert f" {verb} " in done.stdout


def test_a_plugin_adds_a_verb(tmp_path):
    (tmp_path / "verb_of_mine.py").write_text(
        "from latentrl.cli import VERBS\n"
        "from latentrl.cli.reconstruct import Reconstruct\n"
        "VERBS.register('reconstruct_mine')(type('Mine', (Reconstruct,), {'__doc__': 'Mine.'}))\n"
    )
    done = start(COMMANDS[0], tmp_path, "--plugin", "verb_of_mine", "--help")
    assert done.returncode == 0
    assert " reconstruct_mine " in done.stdout


def test_flags_from_a_file(models, tmp_path, use):
    (tmp_path / "mine.yaml").write_text("count: 3\nseed: 5\n")
    flags = ["--config", tmp_path / "mine.yaml", "--count", 2, "--out", tmp_path]
    use("sample", models / "vae", *flags)
    expected = lrl.sample(lrl.load(models / "vae"), 2, seed=5)
    assert np.array_equal(np.load(tmp_path / "samples.npy"), expected)


def test_report_aligns_metrics(capsys, tmp_path):
    model = lrl.random((8, 8), latent_dim=4)
    report(Report("verb", model, {"a": 0.123456, "long name": 3}, [tmp_path], ["a note"]))
    expected = "  a          0.1235\n  long name  3\na note\nwritten:\n"
    assert capsys.readouterr().out == f"verb with random\n{expected}  {tmp_path}\n"
