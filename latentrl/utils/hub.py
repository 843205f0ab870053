"""Files on the Hugging Face Hub: downloads of single files, and uploads in one commit."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REFERENCE = re.compile(r"(?:hf:/{1,2})?([\w.-]+/[\w.-]+)(?:@(.+))?", re.ASCII)
"""``hf://user/name[@revision]``; a ``Path`` joins the two slashes to one."""


@dataclass(frozen=True)
class Repository:
    """A repository of models on the Hub, at one revision."""

    name: str
    """``user/name``."""
    revision: str | None = None
    """Branch, tag or commit; None is the newest commit."""

    @classmethod
    def parse(cls, reference: str | Path) -> Repository:
        """Return the repository of ``[hf://]user/name[@revision]``.

        Raises:
            ValueError: the reference has another form.
        """
        text = reference if isinstance(reference, str) else reference.as_posix()
        match = REFERENCE.fullmatch(text)
        if match is None:
            raise ValueError(f"expected hf://user/name or hf://user/name@revision, got {text!r}")
        return cls(*match.groups())

    def __str__(self) -> str:
        """Return the reference that ``parse`` takes."""
        return f"hf://{self.name}" + ("" if self.revision is None else f"@{self.revision}")

    def download(self, file: str, into: Path | None = None) -> Path:
        """Download one file, unless it is there already, and return its path.

        Args:
            file: path in the repository.
            into: folder to download to; None is the cache of huggingface_hub.

        Raises:
            FileNotFoundError: the repository, the revision or the file does not exist, or the Hub
                cannot be reached.
            PermissionError: the Hub refuses access.
            ImportError: huggingface_hub is missing.
        """
        hub = _require_hub()
        with _plain_errors(self, file):
            return Path(
                hub.hf_hub_download(self.name, file, revision=self.revision, local_dir=into)
            )

    def upload(self, files: Mapping[str, Path | bytes], private: bool) -> str:
        """Create the repository, where there is none, and add files in one commit.

        Args:
            files: contents, or files that hold them, by their paths in the repository.
            private: whether a new repository is private.

        Returns:
            The address of the repository's page.

        Raises:
            FileNotFoundError: the Hub cannot be reached.
            PermissionError: no token of huggingface_hub allows to write there.
            ImportError: huggingface_hub is missing.
        """
        hub = _require_hub()
        api = hub.HfApi(library_name="latentrl")
        additions = [hub.CommitOperationAdd(name, content) for name, content in files.items()]
        message = "Upload by latentrl"
        with _plain_errors(self):
            page = api.create_repo(self.name, private=private or None, exist_ok=True)
            api.create_commit(self.name, additions, commit_message=message, revision=self.revision)
        return str(page)


def is_reference(path: str | Path) -> bool:
    """Return whether ``path`` begins as ``hf://user/name`` does, and is no path of a file."""
    return str(path).startswith("hf:")


def local_folder(path: str | Path, file: str) -> Path:
    """Return ``path``, or the folder in the cache with the one ``file`` of a repository's.

    Raises:
        FileNotFoundError, PermissionError, ImportError: as in ``Repository.download``.
        ValueError: ``path`` begins as a reference does and is none.
    """
    if not is_reference(path):
        return Path(path)
    return Repository.parse(path).download(file).parents[file.count("/")]


def _require_hub() -> Any:
    try:
        import huggingface_hub
    except ImportError as error:
        raise ImportError(
            "the Hugging Face Hub needs huggingface_hub: pip install 'latentrl[hub]'"
        ) from error
    return huggingface_hub


@contextlib.contextmanager
def _plain_errors(repository: Repository, file: str | None = None) -> Iterator[None]:
    """Replace errors of huggingface_hub, which have several lines, by built-in ones of one."""
    import huggingface_hub.errors

    errors: Any = huggingface_hub.errors  # which does not declare its HTTPError
    try:
        yield
    except errors.GatedRepoError as error:
        raise PermissionError(f"{repository} is gated: accept its terms on its page") from error
    except errors.RepositoryNotFoundError as error:
        raise FileNotFoundError(
            f"there is no {repository}, or it is private and {_token(error)}"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise FileNotFoundError(f"{repository}: there is no such revision") from error
    except errors.RemoteEntryNotFoundError as error:
        raise FileNotFoundError(f"{repository} has no {file}") from error
    except errors.HfHubHTTPError as error:
        if error.response.status_code in (401, 403):
            raise PermissionError(f"{repository} cannot be used: {_token(error)}") from error
        raise OSError(f"{repository}: the Hub replied {error.response.status_code}") from error
    except ValueError as error:  # a wrong name, or a wrong header of a card
        raise ValueError(f"{repository}: {' '.join(str(error).split())}") from error
    except (errors.HTTPError, errors.LocalEntryNotFoundError, ConnectionError) as error:
        missing = "" if file is None else f", and {file} is not in its cache"
        raise FileNotFoundError(f"{repository}: the Hub cannot be reached{missing}") from error


def _token(error: Any) -> str:
    if "authorization" not in error.response.request.headers:
        return "there is no token: log in with hf auth login, or set HF_TOKEN"
    return "the token does not allow it: use one with the right to it"
