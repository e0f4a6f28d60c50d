"""Build a version again from its record, and compare every prediction bit for bit."""

import json
from dataclasses import dataclass

import numpy as np

from level2_devops.features import CATEGORIES, NUMBERS
from level2_devops.model import fit_features, predict_features
from level3_training_pipeline.pipeline import data
from level3_training_pipeline.pipeline.average import average
from level3_training_pipeline.tracking import lineage, mlflow_runs, registry
from shared.errors import UserError
from shared.files import short_digest
from shared.settings import Settings


class NotReproducibleError(UserError):
    """The version cannot be built again with the data or the code that are here."""


@dataclass(frozen=True)
class Reproduction:
    """How the rebuilt model's predictions compare with the registered one's, on `rows` flights."""

    rows: int
    differing: int
    largest: float  # largest difference of a probability
    changed: list[str]  # what differs here from the record: commit, code, python, …

    def __str__(self) -> str:
        """As part of a sentence."""
        return f"{self.differing:,} of {self.rows:,} predictions differ (largest difference {self.largest:g})"


def reproduce(number: str, settings: Settings) -> Reproduction:
    """Gather, build features and fit as the record says; raises NotReproducibleError when the data differ."""
    client = mlflow_runs.open_tracking(settings)
    version = registry.get(client, number)
    registered = registry.load_version(client, version)
    snapshot = data.gather_again(settings, version.tags)
    if snapshot.digest != version.tags["data_digest"]:
        raise NotReproducibleError(
            f"version {number}: the history as of {snapshot.today} has digest {short_digest(snapshot.digest)}, its "
            f"record says {short_digest(version.tags['data_digest'])}. Remedy: FLIGHTS_DATA= the folder with the files "
            f"whose SHA-256 is in raw_files.json of run {version.run_id}, and the code of commit "
            f"{version.tags['commit']}."
        )
    table = data.read(data.build_features(snapshot))
    inputs = table[CATEGORIES + NUMBERS]
    rebuilt = fit_features(inputs, table["late"], **json.loads(version.tags["parameters"]))
    if number_before := version.tags.get("averaged_with"):
        rebuilt = average(rebuilt, registry.load_version(client, registry.get(client, number_before)))
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
