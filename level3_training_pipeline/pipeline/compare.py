"""Two versions on the same flights, which neither was trained on, as far as their records and the history allow."""

import tempfile

import mlflow
import pandas as pd
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from scipy import stats

from level2_devops.features import CATEGORIES, NUMBERS
from level2_devops.model import ModelError, predict_features
from level3_training_pipeline.pipeline import data
from level3_training_pipeline.tracking import registry
from level3_training_pipeline.tracking.registry import RegistryError, Version
from shared.score import by_slice
from shared.settings import NEW_YORK, Settings

INFLATION = 1.5  # of the standard error: bad days come in rows
FEWEST_DAYS = 3


def evaluated_days(version: Version) -> pd.DataFrame:
    """Rows and log loss (nats per flight) of each day of a version's own evaluation, by a fit from before them."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            file = mlflow.artifacts.download_artifacts(f"runs:/{version.run_id}/by_day.csv", dst_path=folder)
            return pd.read_csv(file, index_col="day")
        except (MlflowException, ValueError) as error:
            raise RegistryError(
                f"version {version.number}: its evaluation, by_day.csv of run {version.run_id}, cannot be read. "
                "Remedy: restore the file, or train a version by the pipeline."
            ) from error


def days_of_champion(
    client: MlflowClient, version: Version, champion: Version, settings: Settings
) -> tuple[pd.DataFrame, str]:
    """The champion's rows and log loss by day, also of the version's days after its training; and what is left out.

    Days that the champion was trained on count by its own evaluation.
    """
    own = evaluated_days(champion)
    try:
        return pd.concat([own, _days_since(client, version, champion, settings)]), ""
    except (RegistryError, ModelError) as error:
        only = f"only days of version {champion.number}'s own evaluation count"
        return own, f"{only}, for its model is unusable: {error.reason}"


def in_common(ours: pd.DataFrame, theirs: pd.DataFrame) -> pd.DataFrame:
    """The days that both were evaluated on, with log_loss_champion; days with other numbers of rows do not count."""
    both = ours.join(theirs[["rows", "log_loss"]], how="inner", rsuffix="_champion")
    return both[both["rows"] == both["rows_champion"]]


def _days_since(client: MlflowClient, version: Version, champion: Version, settings: Settings) -> pd.DataFrame:
    """The champion's loss by day on the flights that the version was evaluated on, after the champion's training."""
    none = pd.DataFrame(columns=["rows", "log_loss"], dtype=float)
    if champion.tags["today"] >= version.tags["today"]:
        return none
    then = data.gather_again(settings, version.tags)
    test = data.windows(data.read(data.build_features(then)), then.now)[3]
    test = test[test["predicted_at"] >= pd.Timestamp(champion.tags["today"], tz=NEW_YORK)]
    if test.empty:
        return none
    chance = predict_features(registry.load_version(client, champion), test[CATEGORIES + NUMBERS])
    return by_slice(test.assign(day=test["flight_id"].str[:10]), chance, "day")


def better_or_worse(client: MlflowClient, version: Version, champion: Version, settings: Settings) -> str:
    """Whether a version is better than the champion, as a sentence with its figures."""
    theirs, left_out = days_of_champion(client, version, champion, settings)
    name = f"Version {version.number}, compared with version {champion.number}, the champion"
    return f"{name}: {judge_days(in_common(evaluated_days(version), theirs))}. {left_out}".strip()


def judge_days(days: pd.DataFrame) -> str:
    """Better, worse or neither, with the figures; days: as of `in_common`."""
    if len(days) < FEWEST_DAYS:
        return f"cannot tell, for there are {len(days)} days that both were evaluated on"
    gains, rows = days["log_loss_champion"] - days["log_loss"], int(days["rows"].sum())
    mean = float((gains * days["rows"]).sum() / rows)
    weights = days["rows"] / rows
    error = (len(days) / (len(days) - 1) * float((weights**2 * (gains - mean) ** 2).sum())) ** 0.5
    half = float(stats.t.isf(0.025, len(days) - 1)) * INFLATION * error
    finding = "better" if mean > half else "worse" if mean < -half else "cannot tell"
    return (
        f"{finding}, gain {mean:+.4f} nats per flight (95% interval {mean - half:+.4f} to {mean + half:+.4f}) on "
        f"{rows:,} flights of {len(days)} days before today"
    )
