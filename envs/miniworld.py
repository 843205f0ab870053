"""Family of MiniWorld, rooms in the first person drawn by OpenGL.

Chevalier-Boisvert et al. 2023, arXiv:2306.13831.
"""

from __future__ import annotations

import os
import sys

from envs.families import EnvDefaults, EnvFamily, register_family

if sys.platform == "linux" and not os.environ.get("DISPLAY"):
    # Without a display pyglet draws by EGL, which it has to be asked for before its import.
    os.environ.setdefault("PYGLET_HEADLESS", "1")

register_family(
    EnvFamily(
        "miniworld",
        prefixes=("MiniWorld-",),
        defaults=EnvDefaults(),
        package="miniworld",
        install="latentrl[suite]",
    )
)
