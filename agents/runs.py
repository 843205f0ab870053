"""Folders of results: ``runs/KIND/ENVIRONMENT/NAME``, and locks on those that are written."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

RUNS = Path("runs")
SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
LOCK_FILE = "run.lock"
_HELD: set[int] = set()
"""Descriptors of the locked files of this process."""


def env_folder(kind: str, env_id: str) -> Path:
    """Return the folder of all runs of a kind ("frames", "vae", "agents") on an environment."""
    return RUNS / kind / env_id.replace("/", "_").replace(":", ".")


def new_run(kind: str, env_id: str, name: str) -> Path:
    """Return the first folder of ``name-1``, ``name-2`` and so on that does not exist yet."""
    parent = env_folder(kind, env_id)
    number = 1
    while (parent / f"{name}-{number}").exists():
        number += 1
    return parent / f"{name}-{number}"


def make_run(kind: str, env_id: str, name: str) -> Path:
    """Make the folder that ``new_run`` returns; of two processes at once each makes its own."""
    while True:
        path = new_run(kind, env_id, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            path.mkdir()
            return path


def python_script(name: str) -> list[str]:
    """Return the command of a script, by a path that is right in the current folder."""
    path, here = SCRIPTS / name, Path.cwd()
    return ["python", (path.relative_to(here) if path.is_relative_to(here) else path).as_posix()]


def tensorboard_command(path: Path) -> list[str]:
    """Return the command that shows the curves of a run, beside those of other runs if it can."""
    beside_others = path.resolve().is_relative_to(RUNS.resolve())
    return ["tensorboard", "--logdir", str(RUNS if beside_others else path)]


def newest_run(
    kind: str,
    env_id: str,
    marker: str,
    name: str = "*",
    accept: Callable[[Path], bool] = lambda _: True,
) -> Path | None:
    """Return the newest run that has a file ``marker``, None where there is none.

    Of runs with the same name, the one with the highest number is the newest: a copy of a folder
    changes the times of its files. Only the newest runs of different names are compared by time.

    Args:
        kind: "frames", "vae" or "agents".
        env_id: environment of the runs.
        marker: path of a file inside the run's folder.
        name: glob pattern of the folder's name.
        accept: whether to count the run in a folder.
    """
    newest: dict[str, tuple[int, Path]] = {}
    for file in env_folder(kind, env_id).glob(f"{name}/{marker}"):
        path = file.parents[marker.count("/")]
        if not accept(path):
            continue
        stem, number = _numbered(path.name)
        newest[stem] = max(newest.get(stem, (-1, path)), (number, path))
    paths = [path for _, path in newest.values()]
    return max(paths, key=lambda path: (path / marker).stat().st_mtime, default=None)


def _numbered(name: str) -> tuple[str, int]:
    match = re.fullmatch(r"(.*)-(\d+)", name)
    return (match[1], int(match[2])) if match else (name, 0)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let nothing else write the run in ``path``, a folder that is made if need be.

    The lock ends with the process, however that ends. A folder that holds nothing but the lock at
    the end is removed. An interruption gets the path of any other folder as its argument: the
    newest run need not be the one to resume.

    Raises:
        ValueError: another process, or another call in this one, holds the lock.
    """
    path.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o666)
    _HELD.add(descriptor)
    try:
        _lock(descriptor, path)
        try:
            yield
        except KeyboardInterrupt as interrupt:
            if path.exists() and os.listdir(path) != [LOCK_FILE]:
                interrupt.args = (str(path),)
            raise
        finally:  # inside the lock: afterwards the folder may be another process's
            if path.exists() and os.listdir(path) == [LOCK_FILE]:
                (path / LOCK_FILE).unlink()
                path.rmdir()
    finally:
        _HELD.discard(descriptor)
        os.close(descriptor)


def _lock(descriptor: int, path: Path) -> None:
    try:
        import fcntl
    except ImportError:  # Windows has no locks that end with the process
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 20, 0).decode() or "another process"
        raise ValueError(
            f"{path} is being trained by process {holder}: wait for it, or choose another --out"
        ) from None
    except OSError:  # the file system has no locks
        return
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)


def _close_inherited() -> None:
    """Close the locked files in a forked worker, which else holds them after its parent's death."""
    for descriptor in _HELD:
        os.close(descriptor)
    _HELD.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_inherited)
