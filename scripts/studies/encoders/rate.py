"""The rate of an encoder: how much beta, and a learned sigma, change what it keeps."""

from __future__ import annotations

from dataclasses import dataclass

from agents.pretrain_choice import WARM_STEPS
from latentrl.training.choice import BETA
from scripts.studies.core import STUDIES
from scripts.studies.encoders.compare import Arm
from scripts.studies.encoders.comparison import Comparison, parts_of

LEARNED = ("likelihood={name: gaussian, learned: true}",)
ARMS = (
    Arm(f"beta {BETA:g}", WARM_STEPS),
    *(
        Arm(f"beta {beta:g}", WARM_STEPS, {"beta": beta})
        for beta in (BETA / 10, 10 * BETA, 100 * BETA)
    ),
    Arm("beta 1, learned sigma", WARM_STEPS, {"beta": 1.0}, LEARNED),
)


@STUDIES.register("rate")
@dataclass(frozen=True)
class Rate(Comparison):
    """Rate of an encoder.

    An encoder that is chosen from frames has a beta of 0.1 and a sigma of 0.1. Beta weighs the KL
    divergence, which is the rate: a larger beta gives a lower rate. With a learned sigma, the noise
    of the likelihood sets the balance (Rybkin et al. 2021, arXiv:2006.13202). Here are encoders of
    six environments of the suite, each trained on 2,000 frames, which differ in these two alone.
    All values are of held-out frames and of one seed; the processor time shows noise alone. Lost
    detail is that of the version that ran the study, which did not leave out what never changes.
    """

    name = "rate"
    arms = ARMS
    parts = parts_of(ARMS)
