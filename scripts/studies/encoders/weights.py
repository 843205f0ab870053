"""General-purpose weights: how they were learned, and what they save on each environment."""

from __future__ import annotations

from dataclasses import dataclass

from agents.pretrain_choice import STEPS, WARM_STEPS
from scripts.studies.core import STUDIES
from scripts.studies.encoders.compare import Arm
from scripts.studies.encoders.comparison import Comparison, parts_of
from scripts.studies.encoders.learn import write_weights

FRESH = {"from_scratch": True}
ARMS = (
    Arm(f"general, {WARM_STEPS} steps", WARM_STEPS, shown=True),
    Arm(f"fresh, {WARM_STEPS} steps", WARM_STEPS, FRESH),
    Arm(f"fresh, {STEPS:,} steps", STEPS, FRESH, shown=True),
    Arm("general, 0 steps", 0),
)


@STUDIES.register("warm_start")
@dataclass(frozen=True)
class WarmStart(Comparison):
    """Initial weights of an encoder.

    An encoder that is chosen from frames starts from general-purpose weights, which were learned
    from random shapes that move over random backgrounds (after Baradad et al. 2021,
    arXiv:2106.05963), without any environment: `python scripts/study.py warm_start --learn` learns
    them. Here are encoders of six environments of the suite, each trained on 2,000 frames from
    these weights and from fresh ones. All values are of held-out frames and of one seed; the same
    frames, losses, learning rate and batch size serve all columns. Lost detail is that
    of the version that ran the study, which did not leave out what never changes.
    """

    name = "warm_start"
    arms = ARMS
    parts = parts_of(ARMS)

    learn: bool = False
    """Learn the weights again and write them into the package; compare nothing."""

    def run(self) -> None:
        """Learn the weights, or run the parts without a result."""
        if self.learn:
            print(write_weights())
        else:
            super().run()
