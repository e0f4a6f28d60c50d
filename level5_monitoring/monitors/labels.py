"""Outcomes of a closed day: are they there, and can they be true? Whatever learns or judges, does so from them."""

import pandas as pd
from sklearn.metrics import roc_auc_score

from level5_monitoring.monitors.monitor_result import MonitorResult, State

FEWEST = 100  # flights of a day
OF_AIRPORT = 30  # of them, for an airport's share to tell anything
# The least share of an airport's flights of a day with an outcome a day later. What is cancelled never gets one: 0.34
# were known of LaGuardia's on the worst day of 2013, 9 February.
KNOWN = 0.3
UPSIDE_DOWN = 0.4  # the AUC of a day's answers: below that, outcomes say the opposite of what can be known


def check_labels(window: pd.DataFrame, day: str = "") -> list[MonitorResult]:
    """Two findings: `outcomes` (enough of them) and `late` (plausible ones)."""
    day = day or (str(window["day"].iloc[0]) if len(window) else "")
    rows = len(window)
    if rows < FEWEST:
        message = f"{rows} flights; {FEWEST} are needed"
        return [MonitorResult(day, "labels", name, "insufficient data", message, rows) for name in ("labels", "late")]
    known = window.dropna(subset=["late"])
    airports = window["late"].notna().groupby(window["origin"]).agg(["size", "mean"])
    shares = airports["mean"][airports["size"] >= min(OF_AIRPORT, airports["size"].max())]
    airport, share = str(shares.idxmin()), float(shares.min())
    message = f"{share:.0%} of the flights of {airport} have an outcome; at least {KNOWN:.0%} is normal"
    there = MonitorResult(day, "labels", "labels", "ok" if share >= KNOWN else "alarm", message, rows, share, KNOWN)
    if len(known) < FEWEST or known["late"].nunique() < 2:
        message = f"{len(known)} outcomes of {known['late'].nunique()} kinds: too few to compare with the answers"
        return [there, MonitorResult(day, "labels", "late", "insufficient data", message, len(known))]
    auc = float(roc_auc_score(known["late"], known["probability"]))
    message = f"the AUC of the day's answers is {auc:.3f}; below {UPSIDE_DOWN:g}, outcomes say the opposite"
    state: State = "alarm" if auc < UPSIDE_DOWN else "ok"
    return [there, MonitorResult(day, "labels", "late", state, message, len(known), auc, UPSIDE_DOWN)]
