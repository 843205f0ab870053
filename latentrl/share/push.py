"""push_to_hub(): an encoder with its card and images, in one commit."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from latentrl.models.autoencoder import Autoencoder
from latentrl.share.card import CARD, EXPLORER, IMAGES, model_card
from latentrl.training.checkpoint import WEIGHTS, save
from latentrl.utils.hub import Repository, is_reference

FILES = (WEIGHTS, "config.json", *IMAGES, EXPLORER)
"""What is uploaded of a model's folder, beside the card."""


def push_to_hub(
    model: Autoencoder | str | Path,
    repo: str,
    *,
    private: bool = False,
    license: str | None = None,
) -> str:
    """Upload an encoder to the Hugging Face Hub, from where ``load("hf://user/name")`` reads it.

    Weights, config, images, the explorer and a model card are uploaded, and no other file of the
    folder. The card is a ``README.md`` of your own where the folder has one, else ``model_card``.

    Args:
        model: a model, or the folder of one that ``save`` or a pretraining wrote.
        repo: ``user/name``; the repository is created where there is none.
        private: whether a new repository is private.
        license: the Hub's name of a license, such as ``mit``; None names none.

    Returns:
        The address of the repository's page.

    Raises:
        FileNotFoundError: there is no model in the folder, or the Hub cannot be reached.
        ValueError: ``repo`` is no name of a repository, the model's file is damaged, or a license
            is given beside a card of your own.
        PermissionError: there is no token, or it does not allow to write to ``repo``.
        ImportError: huggingface_hub is missing.
    """
    repository = Repository.parse(repo)
    if isinstance(model, Autoencoder):
        with tempfile.TemporaryDirectory() as temporary:
            return push_to_hub(save(model, temporary), repo, private=private, license=license)
    if is_reference(model):
        raise ValueError(f"load {model} first, and push the model that is loaded")
    folder = Path(model)
    text = model_card(folder, repository.name, license)
    files = {name: folder / name for name in FILES}
    return upload(repository, folder, files, text, private, license)


def upload(
    repository: Repository,
    folder: Path,
    files: Mapping[str, Path],
    card: str,
    private: bool,
    license: str | None,
) -> str:
    """Upload those of ``files`` that exist, and a card.

    Args:
        repository: where to.
        folder: folder that may have a card of its own.
        files: files by their paths in the repository.
        card: the card where the folder has none.
        private: whether a new repository is private.
        license: license in ``card``.

    Returns:
        The address of the repository's page.

    Raises:
        ValueError: the folder has a card, to which the license does not come.
        FileNotFoundError, PermissionError, ImportError: as in ``Repository.upload``.
    """
    existing: dict[str, Path | bytes] = {
        name: file for name, file in files.items() if file.is_file()
    }
    own = folder / CARD
    if own.is_file() and license is not None:
        raise ValueError(f"write the license into the header of {own}, or remove that file")
    return repository.upload({**existing, CARD: own if own.is_file() else card.encode()}, private)
