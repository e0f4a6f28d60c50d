"""Faults of a model, put into a champion's probabilities: inputs and outcomes are right, so only labels show them.

Each changes the log odds of a probability: ln(p / (1 - p)). Pure.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from level5_monitoring.live_year.fault_injection import FAULTS, Fault

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ModelFault:
    """A fault of a model in three amounts. sizes, targets: as of a Fault.

    change: (log odds, log odds of the base rate, amount) -> wrong log odds, (n,).
    """

    name: str
    amounts: tuple[float, float, float]
    sizes: tuple[str, str, str]
    change: Callable[[Floats, float, float], Floats]
    targets: tuple[str, ...] = ("calibration", "calibration_slope", "skill")

    def apply(self, probability: Floats, base_rate: float, size: int) -> Floats:
        """The probabilities of a model with this fault; size: 1, 2 or 3."""
        return np.asarray(expit(self.change(logit(probability), float(logit(base_rate)), self.amounts[size - 1])))


def _times(odds: Floats, _base: float, factor: float) -> Floats:
    return odds + np.log(factor)


def _sharpened(odds: Floats, _base: float, factor: float) -> Floats:
    return odds * factor


def _squeezed(odds: Floats, base: float, share: float) -> Floats:
    return odds + share * (base - odds)


_ALL = (
    ModelFault("odds too low", (0.61, 0.37, 0.22), ("times 0.61", "times 0.37", "times 0.22"), _times),
    ModelFault("odds too high", (1.65, 2.72, 4.48), ("times 1.65", "times 2.72", "times 4.48"), _times),
    ModelFault("log odds sharpened", (1.5, 2, 2.7), ("times 1.5", "times 2", "times 2.7"), _sharpened),
    ModelFault("log odds squeezed", (0.5, 0.8, 1.0), ("half way", "four fifths", "to the base rate"), _squeezed),
)
MODEL_FAULTS = {fault.name: fault for fault in _ALL}
ALL_FAULTS: dict[str, Fault | ModelFault] = FAULTS | MODEL_FAULTS
