"""scikit-learn's interface of an outlier detector, which needs no scikit-learn."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
from gymnasium import spaces

from latentrl.data.columns import is_data_frame
from latentrl.data.frames import Frames, as_frames
from latentrl.models.batches import Observations
from latentrl.types import Array

Self = TypeVar("Self", bound="OutlierEstimator")


def as_observations(source: Any, space: spaces.Box | None = None) -> Frames | Array:
    """Return paths and data frames as Frames of ``space``, and all else as an array."""
    if isinstance(source, Frames | str | Path) or is_data_frame(source):
        return as_frames(source, space=space)
    # An array stays as it is: one with masked values is refused later.
    return source if isinstance(source, np.ndarray) else np.asarray(source)


def as_vectors(source: Any) -> Frames | Array:
    """``as_observations``, and rows ``(N, D)`` of whole numbers as floats."""
    observations = as_observations(source)
    if isinstance(observations, Frames):
        return observations
    whole = observations.ndim == 2 and observations.dtype.kind in "iub"
    return observations.astype(np.float64) if whole else observations


class OutlierEstimator:
    """The methods of scikit-learn's outlier detectors, by ``fit``, ``score`` and ``threshold``."""

    parameters: ClassVar[Sequence[str]]
    """Names of the attributes that ``get_params`` returns."""
    threshold: float | None

    def fit(self: Self, observations: Any, y: Any = None) -> Self:
        """Fit the detector to normal observations and return it; ``y`` is ignored."""
        raise NotImplementedError

    def score(self, observations: Observations) -> Array:
        """Score of each observation, high for anomalies, ``(B,)``."""
        raise NotImplementedError

    def require_threshold(self) -> float:
        """Return the threshold.

        Raises:
            ValueError: there is none yet.
        """
        if self.threshold is None:
            raise ValueError(
                "the detector has no threshold: calibrate it with normal observations, or set one"
            )
        return self.threshold

    def score_samples(self, observations: Any) -> Array:
        """Negative ``score``, float64 ``(B,)``: high for normal observations, as in scikit-learn.

        Raises:
            ValueError: shape, dtype or values do not belong to the observation space, or the
                columns of a data frame or table are not those of ``fit``.
        """
        return np.asarray(-self.score(observations))

    def decision_function(self, observations: Any) -> Array:
        """Return ``threshold - score``, float64 ``(B,)``: negative for anomalies.

        Raises:
            ValueError: there is no threshold yet, or the observations do not belong to the space.
        """
        return np.asarray(self.require_threshold() + self.score_samples(observations))

    def predict(self, observations: Any) -> Array:
        """Return -1 for anomalies and 1 for normal observations, int64 ``(B,)``; NaN counts as -1.

        Raises:
            ValueError: there is no threshold yet, or the observations do not belong to the space.
        """
        return np.where(self.decision_function(observations) >= 0, 1, -1)

    def fit_predict(self, observations: Any, y: Any = None) -> Array:
        """Fit the detector and return ``predict`` of the same observations."""
        return self.fit(observations).predict(observations)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the arguments that make an equal, unfitted detector."""
        return {name: getattr(self, name) for name in self.parameters}

    def set_params(self: Self, **parameters: Any) -> Self:
        """Set arguments by name and return the detector.

        Raises:
            ValueError: there is no such argument.
        """
        for name, value in parameters.items():
            if name not in self.parameters:
                known = ", ".join(self.parameters)
                raise ValueError(f"unknown parameter {name!r}; known: {known}")
            setattr(self, name, value)
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return self.threshold is not None

    def __sklearn_tags__(self) -> Any:
        # Only scikit-learn calls this, so that it is installed.
        utils = importlib.import_module("sklearn.utils")
        return utils.Tags(
            estimator_type="outlier_detector",
            target_tags=utils.TargetTags(required=False),
            input_tags=utils.InputTags(three_d_array=True),
        )
