"""Agents that were trained on the default colours, evaluated on others."""

from __future__ import annotations

from agents.evaluate import evaluate_agent
from latentrl.utils.io import read_json, write_json
from scripts.studies.agent_runs import logged
from scripts.studies.carracing.arms import SHORT, Run

ARMS = (SHORT, "hue invariance", "cropped", "random hues", "pixels")
"""Arms whose agents are evaluated."""
TRACKS = 50
"""Held-out tracks of each evaluation, the first ones of those in the default colours."""
COLOURS = {
    "hue +0.3": "hue_plus_30",
    "hue -0.2": "hue_minus_20",
    "hue +0.1": "hue_plus_10",
    "domain_randomize": "random_colours",
}
"""Function of ``colours`` for each column of the page."""
KEY = "transfer"
"""Key of the returns in the file of a result."""


def is_missing(run: Run) -> bool:
    """Whether a finished run has an agent here that has not been evaluated on other colours."""
    trained = run.arm in ARMS and run.result.exists() and (run.folder / "agent").is_dir()
    return trained and KEY not in read_json(run.result)


def transfer(run: Run) -> None:
    """Evaluate a run's last agent, deterministic, and add the returns to its result."""
    with logged(run.folder):
        returns = {
            name: evaluate_agent(
                run.folder / "agent",
                TRACKS,
                deterministic=True,
                checkpoint="last",
                env=f"scripts.studies.carracing.colours:{function}",
                progress=False,
                device="cpu",
            ).returns
            for name, function in COLOURS.items()
        }
        write_json(run.result, {**read_json(run.result), KEY: returns})
