"""Labels of a closed day: have enough arrived, and are they plausible? Training and verdicts depend on both."""

import pandas as pd
from sklearn.metrics import roc_auc_score

from level5_monitoring.monitors.monitor_result import MonitorResult, below, insufficient

MIN_FLIGHTS = 100  # of a day
MIN_AIRPORT = 30  # flights of an airport: below that, its share varies too much by chance
# The least share of an airport's flights of a day with a label a day later. Cancelled flights never get one: on the
# worst day of 2013, 9 February, 0.34 of LaGuardia's flights had one.
LABELLED = 0.3
INVERTED = 0.4  # AUC of a day's predictions: below that, the labels contradict what can be known


def check_labels(window: pd.DataFrame, day: str) -> list[MonitorResult]:
    """Two results: target `labels` (have enough arrived?) and target `late` (are they plausible?)."""
    about = {"day": day, "monitor": "labels", "rows": len(window)}
    if len(window) < MIN_FLIGHTS:
        message = f"{len(window)} flights; {MIN_FLIGHTS} are needed"
        return [insufficient(target=name, message=message, **about) for name in ("labels", "late")]
    airports = window["late"].notna().groupby(window["origin"]).agg(["size", "mean"])
    shares = airports["mean"][airports["size"] >= min(MIN_AIRPORT, airports["size"].max())]
    airport, share = str(shares.idxmin()), float(shares.min())
    message = f"{share:.0%} of the flights of {airport} have a label; at least {LABELLED:.0%} is normal"
    arrived = below(LABELLED, share, target="labels", message=message, **about)
    return [arrived, _plausible(window.dropna(subset=["late"]), day)]


def _plausible(labelled: pd.DataFrame, day: str) -> MonitorResult:
    about = {"day": day, "monitor": "labels", "target": "late", "rows": len(labelled)}
    if len(labelled) < MIN_FLIGHTS or labelled["late"].nunique() < 2:
        message = f"{len(labelled)} labels of {labelled['late'].nunique()} kinds: too few to compare with predictions"
        return insufficient(message=message, **about)
    auc = float(roc_auc_score(labelled["late"], labelled["probability"]))
    message = f"the AUC of the day's predictions is {auc:.3f}; below {INVERTED:g}, labels contradict them"
    return below(INVERTED, auc, message=message, **about)
