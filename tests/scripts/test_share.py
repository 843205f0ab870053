"""``scripts/share.py`` on the command line."""

from __future__ import annotations

import latentrl as lrl
from tests.scripts.running import script, succeed


def test_a_card_is_written_and_named(tmp_path):
    lrl.save(lrl.random((32, 32, 3), latent_dim=4), tmp_path / "encoder")
    done = succeed(tmp_path, "share", "--folder", "encoder", "--card")
    assert done.out == "encoder/README.md\n"
    assert "random" in (tmp_path / "encoder" / "README.md").read_text()


def test_mistakes_are_one_line(tmp_path):
    missing = script(tmp_path, "share", "--folder", "nowhere", "--card")
    assert (missing.code, missing.err.count("\n")) == (2, 1)
    assert missing.err.startswith("error: no model at nowhere")
    nothing = script(tmp_path, "share", "--folder", "nowhere")
    assert nothing.err.startswith("error: nothing to do: choose one or more of --card")
    evaluated = script(tmp_path, "evaluate_agent", "--agent", "hf://nobody")
    assert evaluated.err == (
        "error: expected hf://user/name or hf://user/name@revision, got 'hf:/nobody'\n"
    )
