"""What a run of the level printed and left behind."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from level1_notebook.notebook_runner import Run
from tests.silence import Said

Chances = tuple[NDArray[np.float64], ...]  # of the three runs below, for the flights that came after


@dataclass(frozen=True)
class Runs:
    """The command's output, and runs of the notebook: as it is, once more, and on the export in metric units."""

    state: Path
    said: Said
    first: Run
    again: Run
    metric: Run
