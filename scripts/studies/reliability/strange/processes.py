"""Environments that are strange processes: they die, hang, print, or have one owner."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Any

from scripts.studies.reliability.strange.kinds import (
    CHECKED,
    OURS,
    Ordinary,
    in_worker,
    kind,
)

FOREVER = 10_000
"""Seconds of sleep of an environment that hangs."""
DEAD = "environment|worker|process"
_OWNER: list[int] = []
"""Process that made the first context."""


@kind(refused=DEAD, own_error=True, hosts=(*OURS, "subproc"))
class Dies(Ordinary):
    """The 15th step ends the process."""

    def reward(self) -> Any:
        if self.steps == 15:
            os._exit(3)
        return 1.0


@kind(refused=DEAD, own_error=True, hosts=(*OURS, "subproc"))
class Killed(Ordinary):
    """The 15th step kills the process by SIGKILL."""

    def reward(self) -> Any:
        if self.steps == 15:
            os.kill(os.getpid(), signal.SIGKILL)
        return 1.0


@kind(refused=DEAD, own_error=True, hosts=OURS)
class DiesAtStart(Ordinary):
    """The constructor ends the process, if it is a worker."""

    def __init__(self) -> None:
        super().__init__()
        if in_worker():
            os._exit(4)


@kind(refused=DEAD, own_error=True, hosts=OURS)
class HangsInStep(Ordinary):
    """The 15th step of a worker never returns."""

    def reward(self) -> Any:
        if self.steps == 15 and in_worker():
            time.sleep(FOREVER)
        return 1.0


@kind(refused=DEAD, own_error=True, hosts=OURS)
class HangsInReset(Ordinary):
    """The first reset of a worker never returns."""

    def reset(self, **options: Any) -> Any:
        if in_worker():
            time.sleep(FOREVER)
        return super().reset(**options)


@kind(hosts=CHECKED)
class OneOwner(Ordinary):
    """An engine that hangs in a fork of a process that started one."""

    def __init__(self, render_mode: str | None = None) -> None:
        super().__init__(render_mode)
        # An OpenGL context behaves so: the fork inherits its locks but not its threads.
        if _OWNER and _OWNER[0] != os.getpid():
            time.sleep(FOREVER)
        _OWNER[:] = [os.getpid()]


@kind()
class SlowClose(Ordinary):
    """close takes 0.3 seconds."""

    def close(self) -> None:
        time.sleep(0.3)


# The process that describes the environment may close it.
@kind(refused="did not answer", works=True, own_error=True, hosts=OURS)
class HangsInClose(Ordinary):
    """close never returns in a worker."""

    def close(self) -> None:
        if in_worker():
            time.sleep(FOREVER)


@kind(refused="no fuel", own_error=True)
class RaisesInClose(Ordinary):
    """The 15th step raises, and then close does, too."""

    def reward(self) -> Any:
        if self.steps == 15:
            raise RuntimeError("no fuel")
        return 1.0

    def close(self) -> None:
        if self.steps >= 15:
            raise RuntimeError("cannot close")


@kind()
class Prints(Ordinary):
    """Each step prints, on both streams."""

    def reward(self) -> Any:
        print("\x1b[31mstep\x00 %s", self.steps)
        print("warning: %d", file=sys.stderr)
        return 1.0


@kind()
class ChangesFolder(Ordinary):
    """Each reset changes the current folder."""

    def reset(self, **options: Any) -> Any:
        os.chdir("/")
        return super().reset(**options)
