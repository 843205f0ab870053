"""Time of a gradient step of each model, compared with its arithmetic."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from latentrl.models import MODELS, make
from latentrl.training.optimizer_state import gradient_step
from scripts.studies.core import Row, Study, Table

BATCH, SHAPE = 64, (64, 64, 3)
ROUNDS = 25
EXCESS = 1.25
"""Largest ratio of time to arithmetic, both relative to ``vae``."""
Step = Callable[[], None]
Times = dict[str, list[float]]
"""Seconds of each model's gradient step, by round."""


@dataclass(frozen=True)
class Cost:
    """Cost of a gradient step relative to that of ``vae``."""

    time: float
    """Median over rounds of the ratio of times."""
    flops: float
    """Ratio of floating-point operations in products and convolutions."""
    traffic: float
    """Ratio of the numbers of values that operations write."""

    @property
    def excess(self) -> float:
        """Time per arithmetic: 1 where a model is as efficient as ``vae``."""
        # A step is limited by compute or by memory; the larger ratio is the one that limits it.
        return self.time / max(self.flops, self.traffic)


def study() -> Study:
    """Time of a gradient step, compared with its arithmetic.

    A step takes 64 images of 64x64x3 in float32. Arithmetic is the larger of two ratios to `vae`:
    floating-point operations in products, and values written.
    """
    names = [name for name in MODELS if make(name, SHAPE).config.training == "gradient"]
    steps = {name: _step(name) for name in names}
    work = {name: _work(step) for name, step in steps.items()}
    times = _interleaved(steps)
    costs = {name: _cost(name, times, work) for name in names}
    worst = max(costs, key=lambda name: costs[name].excess)
    excess = costs[worst].excess
    metric = f"time / arithmetic, relative to vae: the largest, {worst}"
    row = Row(metric, excess, goal=f"at most {EXCESS}", reached=excess <= EXCESS)
    cells = [_cells(name, times[name], cost) for name, cost in costs.items()]
    columns = ["model", "ms", "time / vae", "operations / vae", "values written / vae"]
    return Study([row], [Table("Cost of a gradient step", columns, cells)])


def _cells(name: str, seconds: list[float], cost: Cost) -> list[str]:
    ratios = (f"{ratio:.2f}" for ratio in (cost.time, cost.flops, cost.traffic))
    return [name, f"{1000 * statistics.median(seconds):.0f}", *ratios]


def _cost(name: str, times: Times, work: dict[str, tuple[int, int]]) -> Cost:
    # Ratios within a round: other work on the machine slows the steps of one round alike.
    pairs = zip(times[name], times["vae"], strict=True)
    ratio = statistics.median(seconds / reference for seconds, reference in pairs)
    (flops, values), (vae_flops, vae_values) = work[name], work["vae"]
    return Cost(ratio, flops / vae_flops, values / vae_values)


def _step(name: str) -> Step:
    torch.manual_seed(0)
    model = make(name, SHAPE).train()
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.Adam(weights, fused=True)
    height, width, channels = SHAPE
    x = torch.rand(BATCH, channels, height, width).contiguous(memory_format=torch.channels_last)
    generator = torch.Generator().manual_seed(0)

    def step() -> None:
        terms, _ = model.losses(x, *model.sample_noise(x, generator), 0)
        gradient_step(torch.stack(list(terms.values())).sum(), optimizer)

    return step


class _OneModule(contextlib.nullcontext[None]):
    """A module tracker that attributes all operations to one module.

    PyTorch's own cannot follow losses that differentiate twice, such as the contractive one.
    """

    parents = frozenset({"Global"})
    is_bw = False


class _Traffic(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counter of the values that operations write, which bound a step where memory is slow."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.values = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if not func.is_view:  # a view writes nothing
            leaves = tree_leaves(result)
            self.values += sum(leaf.numel() for leaf in leaves if isinstance(leaf, torch.Tensor))
        return result


def _work(step: Step) -> tuple[int, int]:
    """Return the floating-point operations in products and convolutions, and values written."""
    counter = FlopCounterMode(display=False)
    counter.mod_tracker = _OneModule()  # type: ignore[assignment]
    with counter:
        step()
    with _Traffic() as traffic:
        step()
    return int(counter.get_total_flops()), traffic.values


def _interleaved(steps: dict[str, Step]) -> Times:
    durations: Times = {name: [] for name in steps}
    for number in range(ROUNDS + 1):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            if number:  # the first round allocates and tunes
                durations[name].append(time.perf_counter() - start)
    return durations
