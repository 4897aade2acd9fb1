"""The learning rate over the steps, as a share of its highest value."""

import math
from collections.abc import Callable, Mapping


def one_cycle(step: int, steps: int, warmup: float) -> float:
    """Linear warm-up, then half a cosine to nearly zero (Smith and Topin 2019, doi:10.1117/12.2520589)."""
    rise = max(round(warmup * steps), 1)
    if step < rise:
        return (step + 1) / rise
    return 1e-3 + (1 - 1e-3) * 0.5 * (1 + math.cos(math.pi * (step - rise) / max(steps - rise, 1)))


def constant(step: int, steps: int, warmup: float) -> float:
    """Linear warm-up, then one value."""
    return min((step + 1) / max(round(warmup * steps), 1), 1.0)


SCHEDULES: Mapping[str, Callable[[int, int, float], float]] = {"one_cycle": one_cycle, "constant": constant}
