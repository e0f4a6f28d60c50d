"""What the console shows of a replay: a line a week, each row of the audit trail once, and the digests by stage."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from level4_deployment.control.client import PlatformClient
from level4_deployment.demo import console_view
from level4_deployment.demo.console_view import ConsoleView
from level4_deployment.replay_client import ReplayStats
from shared.data.replay import Tick


class Platform:
    """Reads an audit trail of one row more on each call."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def get(self, _path: str) -> list[dict[str, Any]]:
        number = str(len(self.rows))
        values = {"old_value": "old", "new_value": number, "experiment": None, "version": None}
        self.rows.append({"action": f"act {number}", "actor": "platform", "reason": "why", **values})
        return self.rows


def test_a_replay_shows_each_act_once_a_line_on_mondays_and_the_digest_of_every_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    verdict = {"kind": "running", "mean": 0.01, "lower": -0.02, "upper": 0.04, "day": 7}
    seen = ReplayStats(flights=900, labels=850, verdicts=[verdict])
    serving = {"champion": {"version": 1, "digest": "a"}, "challenger": {"version": 2, "digest": "b"}}
    shares = iter([0.0, 0.0, 0.1])

    def replayed(ticks: Iterable[Tick], _service: str, _feed: object, after_tick: Any) -> ReplayStats:
        for tick in ticks:
            after_tick(tick, seen)
        return seen

    monkeypatch.setattr(console_view, "replay_over_http", replayed)
    monkeypatch.setattr(console_view, "wait_for_workers", lambda _home: None)
    monkeypatch.setattr(console_view, "workers", lambda _home: [{**serving, "share": next(shares)}])
    hours = pd.date_range("2013-04-07", periods=48, freq="h", tz="America/New_York").tz_convert("UTC")  # from a Sunday
    none = pd.DataFrame()
    ticks = [Tick(hour, hour + pd.Timedelta(hours=1), none, none) for hour in hours]
    client: PlatformClient = Platform()  # type: ignore[assignment]
    view = ConsoleView(tmp_path, client)
    assert view.replay(ticks, "http://service") is seen
    shown = capsys.readouterr().out
    assert [line.strip() for line in shown.splitlines()] == [
        "2013-04-07  act 0 old → 0: why",
        "2013-04-08  act 1 old → 1: why",
        "2013-04-08  900 predictions, day 7: gain +0.0100 (-0.0200 to +0.0400) nats",
    ]
    assert view.digests[1] == {"production": {"a"}}
    assert view.digests[2] == {"shadow": {"b"}, "live": {"b"}}
