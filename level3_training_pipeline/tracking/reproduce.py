"""`make reproduce VERSION=n`: build a version again from its record, and compare every prediction, bit for bit."""

import json
import sys
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from level3_training_pipeline.library_setup import set_up_libraries
from shared.console import console, step
from shared.errors import UserError, command
from shared.settings import Settings, parse_today, read_settings


class NotReproducibleError(UserError):
    """The version's record and what is here do not meet."""


@dataclass(frozen=True)
class Reproduction:
    """How the rebuilt model's predictions compare with the registered one's, on `rows` flights."""

    rows: int
    differing: int
    largest: float  # largest difference of a probability
    changed: list[str]  # what of the record is otherwise here: commit, code, python, …


def reproduce(number: str, settings: Settings) -> Reproduction:
    """Gather, build features and fit again as the record says; raises NotReproducibleError when the data are others."""
    from level2_devops.features import CATEGORIES, NUMBERS
    from level2_devops.model import fit_features, predict_features
    from level3_training_pipeline.pipeline import data
    from level3_training_pipeline.tracking import lineage, mlflow_runs, registry

    client = mlflow_runs.open_tracking(settings)
    version = registry.get(client, number)
    registered = registry.load_version(client, version)
    snapshot = data.gather(replace(settings, today=parse_today(version.tags["today"])))
    if snapshot.digest != version.tags["data_digest"]:
        raise NotReproducibleError(
            f"version {number}: the history as of {snapshot.today} has digest {snapshot.digest[:16]}, its record says "
            f"{version.tags['data_digest'][:16]}. Remedy: FLIGHTS_DATA= the folder with the files whose SHA-256 is in "
            f"raw_files.json of run {version.run_id}, and the code of commit {version.tags['commit']}."
        )
    table = pd.read_parquet(data.build_features(snapshot))
    inputs = table[CATEGORIES + NUMBERS]
    rebuilt = fit_features(inputs, table["late"], **json.loads(version.tags["parameters"]))
    before, after = predict_features(registered, inputs), predict_features(rebuilt, inputs)
    here = {"commit": lineage.commit(), "code_digest": lineage.code_digest(), **lineage.environment()}
    return Reproduction(
        rows=len(table),
        differing=int((before != after).sum()),
        largest=float(np.abs(before - after).max()),
        changed=[
            f"{name} was {version.tags[name]}, is {value}"
            for name, value in here.items()
            if version.tags[name] != value
        ],
    )


def main() -> None:
    """Read the version's number from the command line; exit status 1 when a prediction differs."""
    settings = read_settings()
    set_up_libraries(settings)
    if len(sys.argv) != 2 or not sys.argv[1].isdigit():
        raise UserError("which version? Give its number: make reproduce VERSION=1 (make ui shows them all)")
    with step("Load the libraries"):
        from level3_training_pipeline.tracking import registry  # noqa: F401
    with step(f"Build version {sys.argv[1]} again from its record"):
        result = reproduce(sys.argv[1], settings)
    console.print(
        f"{result.differing:,} of {result.rows:,} predictions differ (largest difference {result.largest:g})."
    )
    for line in result.changed:
        console.print(f"  since then: {line}")
    sys.exit(1 if result.differing else 0)


if __name__ == "__main__":
    command(main)
