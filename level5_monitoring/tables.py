"""All tables that level 5 adds to the platform's database.

Monitor results, decisions, alerts, daily performance, and the codes that a person has accepted.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from level4_deployment import prediction_log

METADATA = sa.MetaData()

MONITOR_RESULTS = sa.Table(
    "monitor_results",  # every result of a day, in the order of the monitors
    METADATA,
    sa.Column("day", sa.Text, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("monitor", sa.Text, nullable=False, index=True),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("version", sa.Integer),  # of the champion, for monitors of its performance
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("rows", sa.Integer, nullable=False),
    sa.Column("value", sa.Double),
    sa.Column("threshold", sa.Double),
)
DECISIONS = sa.Table(
    "decisions",
    METADATA,
    sa.Column("day", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("cause", sa.Text, nullable=False),
    sa.Column("experiment", sa.Text, nullable=False),  # that it promotes from or stops, or ""
    sa.Column("version", sa.Integer),  # that it rolls back
    sa.Column("evidence", sa.Text, nullable=False),  # JSON: the monitor results that led to it
    sa.Column("alarms", sa.Text, nullable=False),  # JSON: the monitor results whose alarm was active after this day
    sa.Column("state", sa.Text, nullable=False),  # open: decided; done: carried out
    sa.Column("result", sa.Text),  # JSON
)
ALERTS = sa.Table(
    "alerts",  # the outbox
    METADATA,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("number", sa.Integer, nullable=False),  # within its day
    sa.Column("day", sa.Text, nullable=False),
    sa.Column("severity", sa.Text, nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("delivered", sa.Integer, nullable=False),  # 0: waits; 1: the sink has it; 2: the sink refuses it
    sa.Column("error", sa.Text),  # why the last attempt failed, or why it is refused
)
DAILY_PERFORMANCE = sa.Table(
    "daily_performance",  # a closed day of a champion; written once. Columns: monitors.performance.DayPerformance
    METADATA,
    sa.Column("day", sa.Text, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("flights", sa.Integer, nullable=False),
    sa.Column("late_share", sa.Double, nullable=False),
    sa.Column("mean_probability", sa.Double, nullable=False),
    sa.Column("loss", sa.Double, nullable=False),
    sa.Column("base_rate_loss", sa.Double),
    sa.Column("slope_score", sa.Double),
    sa.Column("slope_information", sa.Double),
    sa.Column("auc", sa.Double),
    sa.Column("previous_version", sa.Integer),
    sa.Column("gain", sa.Double),
    sa.Column("excluded_reason", sa.Text, nullable=False),
)
ACCEPTED_CODES = sa.Table(
    "accepted_codes",  # codes that the history does not have, and a person has accepted
    METADATA,
    sa.Column("name", sa.Text, primary_key=True),  # of the column
    sa.Column("code", sa.Text, primary_key=True),
    sa.Column("since", sa.Text, nullable=False),  # the day from which on it is normal
    sa.Column("until", sa.Text, nullable=False),  # the newest closed day when it was accepted
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
)
INSTANCE_ID = sa.Table(
    "instance_id",  # one row
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
)


@contextmanager
def open_log(url: str) -> Iterator[sa.Engine]:
    """The platform's prediction log with level 5's tables, while the block runs; raises LogError, with the remedy."""
    with prediction_log.open_log(url) as engine:
        prediction_log.prepare_tables(engine, METADATA)
        yield engine
