"""Family of the Arcade Learning Environment."""

from __future__ import annotations

from envs.families import EnvDefaults, EnvFamily, register_family

# On Gymnasium alone: EnvPool's Atari returns stacks of grey 84 by 84 images with rewards of other
# rules, not the raw frames that the encoder is trained on.
register_family(
    EnvFamily(
        "ale",
        prefixes=("ALE/",),
        defaults=EnvDefaults(stack=4, pixel_stack=4, native_frame_skip=True),
        package="ale_py",
        install="latentrl[atari]",
    )
)
