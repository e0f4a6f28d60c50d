"""What must go on for the loop to see anything: by its tables, and by what the platform says of itself."""

from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pandas as pd
import sqlalchemy as sa

from level4_deployment.control import client
from level4_deployment.experiment import labels
from level4_deployment.experiment.guardrails import FAILED
from level4_deployment.prediction_log import INFERENCE_BATCHES, PREDICTIONS
from level4_deployment.serving import reloader
from level5_monitoring.loop import loop_store, outbox
from shared.errors import UserError
from shared.settings import NEW_YORK

ANSWERS_WITHIN = 2.0  # seconds


class Health(NamedTuple):
    """One thing that must go on, how it stands, and whether that is well."""

    what: str
    stands: str
    well: bool


def of_the_loop(log: sa.Engine, decisions: list[dict[str, Any]]) -> list[Health]:
    """What the tables say; decisions: of `record.decisions`."""
    asked = sa.select(sa.func.max(PREDICTIONS.c.departs_at))
    scored = sa.select(sa.func.sum(INFERENCE_BATCHES.c.rows), sa.func.sum(INFERENCE_BATCHES.c.failed))
    with log.connect() as connection:
        last = connection.execute(asked).scalar()
        rows, failed = (int(value or 0) for value in connection.execute(scored).one())
    told, undelivered = labels.read_watermark(log), outbox.undelivered(log)
    undone = [one["day"] for one in decisions if one["state"] == loop_store.OPEN]
    cut_off = f", cut off: {', '.join(undone)}" if undone else ""
    tolerated = FAILED[0] * rows  # those that come after the deadline are few, and no user waits for them
    return [
        Health("newest flight departs", _clock(last), last is not None),
        Health("outcomes are told until", _clock(told), told is not None),
        Health("days decided upon", f"{len(decisions)}{cut_off}", not undone),
        Health("challenger rows without a score in time", f"{failed:,} of {rows:,}", failed <= tolerated),
        Health("alerts not yet delivered", str(undelivered), undelivered == 0),
    ]


def of_the_platform(home: Path) -> list[Health]:
    """What the platform that runs in the folder says of itself, and whether its workers serve what they should."""
    try:
        address = client.read_addresses(home)["control"]
        answer = httpx.get(f"{address}/status", timeout=ANSWERS_WITHIN, trust_env=False).raise_for_status().json()
    except (UserError, OSError, httpx.HTTPError):
        return [Health("platform", "does not answer", well=False)]
    trouble = str(answer["trouble"])
    there, wanted = reloader.workers(home), (answer["routes"] or {}).get("generation")
    agree = sum(one["generation"] == wanted and not one["refused"] for one in there)
    return [
        Health("platform", trouble or "no trouble", not trouble),
        Health("workers that serve what is routed", f"{agree} of {len(there)}", 0 < agree == len(there)),
    ]


def _clock(at: float | None) -> str:
    return f"{pd.Timestamp(at, unit='s', tz=NEW_YORK):%d %b %H:%M}" if at else "none yet"
