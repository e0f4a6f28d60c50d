"""`make accept CARRIER=XX`: a person accepts a new code, and the limits of its column are learnt anew from then on."""

import time
from dataclasses import asdict, dataclass
from functools import lru_cache

import pandas as pd
import sqlalchemy as sa

from level4_deployment.control import audit
from level4_deployment.prediction_log import insert
from level5_monitoring.loop import loop_store
from level5_monitoring.monitors.reference import Reference
from level5_monitoring.monitors.window import read_window
from level5_monitoring.tables import ACCEPTED_CODES
from shared.errors import UserError
from shared.settings import user

ACCEPT = "accept_code"  # action of the audit trail
LEARN_DAYS = 28  # from the day of a new code on, until its column's limits are learnt anew


@dataclass(frozen=True)
class AcceptedCode:
    """A code of a column that is normal from day `since` on; it was accepted after day `until` was closed."""

    name: str
    code: str
    since: str
    until: str


def accepted_codes(log: sa.Engine) -> list[AcceptedCode]:
    """The codes that were accepted, oldest first."""
    table = ACCEPTED_CODES.c
    with log.connect() as connection:
        rows = connection.execute(sa.select(table.name, table.code, table.since, table.until).order_by(table.at)).all()
    return [AcceptedCode(*row) for row in rows]


def accept(log: sa.Engine, reference: Reference, name: str, code: str, reason: str) -> AcceptedCode:
    """Accept a code of a column, on record and in the audit trail; accepted twice is accepted once.

    It is normal from the first day of the alarm that it has caused, or from the newest closed day. Raises UserError for
    a code that the flights of that day do not have, or that needs no acceptance.
    """
    accepted = accepted_codes(log)
    if found := [one for one in accepted if (one.name, one.code) == (name, code)]:
        return found[0]
    day = loop_store.last_day_done(log)
    codes = set(read_window(log, day, day)[name]) if day else set()
    new = codes - {*reference.codes[name]} - {one.code for one in accepted if one.name == name}
    if day is None or code not in new:
        known = ", ".join(sorted(new)) or "none"
        raise UserError(
            f"{name.upper()}={code!r}: no new {name} of the flights of {day}; new are: {known}. "
            f"Remedy: make accept {name.upper()}= one of these."
        )
    made, actor = AcceptedCode(name, code, _alarm_since(log, name) or day, day), user()
    row = asdict(made) | {"at": time.time(), "actor": actor, "reason": reason}
    with log.begin() as connection:
        connection.execute(insert(log, ACCEPTED_CODES), row)
    audit.record(log, audit.Action(actor, ACCEPT, reason, new_value=f"{name} {code} since {made.since}"))
    return made


def _alarm_since(log: sa.Engine, name: str) -> str | None:
    """The first day of the alarm of a column that has not ended; None where there is none."""
    since = None
    for one in reversed(loop_store.decisions(log)):
        if not any((alarm["monitor"], alarm["target"]) == ("contract", name) for alarm in one["alarms"]):
            break
        since = one["day"]
    return since


def normal_for(day: str, reference: Reference, accepted: list[AcceptedCode], log: sa.Engine) -> Reference:
    """The reference with the codes that are accepted.

    LEARN_DAYS after a new code, its column is measured against the days since then.
    """
    for one in accepted:
        reference = reference.with_code(one.name, one.code)
        last = str((pd.Timestamp(one.since) + pd.Timedelta(days=LEARN_DAYS - 1)).date())
        if last < day:
            reference = reference.learnt_anew(one.name, _read_once(log, one.since, last))
    return reference


@lru_cache(maxsize=1)
def _read_once(log: sa.Engine, first: str, last: str) -> pd.DataFrame:
    """The window, which takes a second to read and is needed each night."""
    return read_window(log, first, last)
