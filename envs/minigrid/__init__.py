"""Family of MiniGrid: the agent's partial view as pixels, on Gymnasium and on EnvPool."""

from __future__ import annotations

from envs.envpool import refuse_unknown
from envs.families import (
    EnvDefaults,
    EnvFamily,
    EnvPoolSupport,
    register_family,
    tile_pretraining,
)
from envs.minigrid.vector import MiniGridVectorEnv, drawn_vector, pixel_view
from envs.minigrid.views import VIEW


def refuse(env_id: str) -> str | None:
    """Return the reason why EnvPool does not serve ``env_id``; None where it does."""
    if env_id.startswith("MiniGrid-MultiRoom-"):
        return "its MultiRoom levels are not MiniGrid's: rooms overlap, many cannot be solved"
    return refuse_unknown(env_id)


register_family(
    EnvFamily(
        "minigrid",
        prefixes=("MiniGrid-", "BabyAI-"),
        # Not the brownian policy, which keeps a discrete action for several steps: the agent would
        # turn on the spot, or pick up what it has picked up.
        defaults=EnvDefaults(
            size=None,
            stack=1,
            episodic_count=True,
            policy="random",
            workers=False,
            pretraining=tile_pretraining(VIEW * VIEW),
        ),
        package="minigrid",
        install="latentrl[minigrid]",
        observe=pixel_view,
        vector=drawn_vector,
        envpool=EnvPoolSupport(MiniGridVectorEnv, refuse),
    )
)
