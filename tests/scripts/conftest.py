from __future__ import annotations

import pytest

from tests.scripts.running import PRETRAIN, REACH, succeed


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """A folder with a pretrained encoder, and the output of the script that made it."""
    folder = tmp_path_factory.mktemp("workspace")
    return folder, succeed(folder, "pretrain_vae", *REACH, *PRETRAIN)
