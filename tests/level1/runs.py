"""What three runs of the notebook left behind."""

from dataclasses import dataclass

from level1_notebook.notebook_runner import Run
from shared.settings import Settings


@dataclass(frozen=True)
class Runs:
    """The notebook as it is, once more (it keeps its columns in X.parquet), and on the export in metric units."""

    settings: Settings
    first: Run
    again: Run
    metric: Run
