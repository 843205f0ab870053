"""Changes of files: each one changes something, and edits keep checksums valid."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from latentrl.utils.io import read_tensors, write_tensors
from scripts.studies.reliability import changes, crafted


def rngs():
    """Return new generators, so that no test depends on those before it."""
    return [np.random.default_rng(seed) for seed in range(20)]


TREE = {"format": 2, "config": {"shape": [4, 4], "name": "conv"}, "empty": []}


@pytest.fixture
def tensors(tmp_path):
    file = tmp_path / "model.safetensors"
    write_tensors(file, {"weight": torch.ones(3, 2), "count": torch.arange(3)}, {"note": TREE})
    return file


@pytest.mark.parametrize(
    "change", dict.fromkeys(changes.DAMAGE), ids=lambda change: change.__name__
)
def test_damage_changes_the_file_and_is_no_edit(change, tmp_path):
    file, seen = tmp_path / "file", set()
    for rng in rngs():
        file.write_bytes(bytes(range(256)))
        found = change(file, rng)
        seen.add(file.read_bytes())
        assert found.text
        assert not found.edit
    assert len(seen) > 1
    assert seen != {bytes(range(256))}


def test_special_files_are_no_plain_files(tmp_path):
    sample = tmp_path / "samples"
    changes.make_sparse_file(sample / "sparse")
    assert (sample / "sparse").stat().st_size == changes.SPARSE
    assert (sample / "sparse").stat().st_blocks < 100
    texts = set()
    for number, rng in enumerate(rngs()):
        file = sample / str(number)
        file.write_bytes(b"data")
        found = changes.special(file, rng)
        texts.add(found.text)
        assert found.refused
        assert file.is_symlink() or not file.is_file()
    assert len(texts) > 4


def test_json_is_edited_in_one_place():
    texts = set()
    for rng in rngs():
        tree, text = changes.edited(TREE, rng)
        texts.add(text)
        assert json.dumps(tree) != json.dumps(TREE)
    assert len(texts) > 10
    assert TREE["config"] == {"shape": [4, 4], "name": "conv"}, "the original is not changed"


@pytest.mark.parametrize("name", ["frames", "eval_episodes"])
def test_no_edit_makes_a_run_longer(name):
    values = [changes.edited({name: 5}, np.random.default_rng(i))[0].get(name) for i in range(300)]
    numbers = [value for value in values if isinstance(value, int | float)]
    assert max(numbers) < changes.LARGEST_LENGTH


def test_edits_of_notes_and_tensors_keep_checksums(tensors):
    intact = tensors.read_bytes()
    for change in (changes.edit_notes, changes.edit_tensors):
        for rng in rngs():
            tensors.write_bytes(intact)
            assert change(tensors, rng).edit
            assert tensors.read_bytes() != intact
            try:
                read_tensors(tensors, "note")  # compares the checksums
            except ValueError as error:
                if "nests values more than" not in str(error):
                    raise


def test_weights_that_are_not_finite_are_refused_in_files_of_weights(tensors):
    intact, refused = tensors.read_bytes(), set()
    for seed in range(40):
        tensors.write_bytes(intact)
        found = changes.edit_tensors(tensors, np.random.default_rng(seed))
        finite = all(
            torch.isfinite(each).all() for each in read_tensors(tensors, "note")[0].values()
        )
        assert found.refused == (not finite)
        refused.add(found.refused)
    assert refused == {True, False}


@pytest.mark.parametrize("suffix", crafted.EDITS)
def test_crafted_edits_change_the_file(suffix, tmp_path, tensors, monkeypatch):
    monkeypatch.setattr(crafted, "MEGABYTES", 32)
    contents = {".json": json.dumps(TREE).encode(), ".csv": b"a,b\n1,2\n3,4\n"}
    intact = contents.get(suffix, tensors.read_bytes())
    file = tmp_path / f"file{suffix}"
    for change in dict.fromkeys(crafted.edits_of(file)):
        file.write_bytes(intact)
        assert change(file, np.random.default_rng(1)).text
        assert file.read_bytes() != intact


def test_foreign_files_come_from_other_formats(tmp_path):
    (tmp_path / "samples" / "a").mkdir(parents=True)
    (tmp_path / "samples" / "a" / "model").write_bytes(b"foreign")
    file = tmp_path / "mine"
    file.write_bytes(b"mine")
    assert "a/model" in changes.foreign(file, tmp_path / "samples", rngs()[0]).text
    assert file.read_bytes() == b"foreign"


def test_a_link_leads_to_a_file_of_the_same_size(tmp_path):
    file = tmp_path / "mine"
    file.write_bytes(b"mine")
    found = changes.link_outside(file, tmp_path / "outside")
    assert found.refused
    assert file.is_symlink()
    assert file.read_bytes() == b"\1" * 4
