"""The live demo's clock: lets the hours of the stream by when it is time, spoilt by the faults that are on."""

import json
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pandas as pd

from level5_monitoring.dashboard.events import FAULTS_FILE
from level5_monitoring.fault_injection import FAULTS, inject_fault, inject_label_fault
from shared.data.flights import write_whole
from shared.data.replay import Tick
from shared.errors import UserError
from shared.files import write_json
from shared.settings import NEW_YORK

HELD = "held.parquet"  # outcomes that a fault has put off
SPEEDS = {"6 hours a second": 6.0, "a day a second": 24.0, "as fast as it goes": float("inf")}


@dataclass(frozen=True)
class Injected:
    """A fault (of FAULTS) that is on from `day` until it is lifted on the day `until`; "" while it is on."""

    fault: str
    number: int  # its size
    what: str
    size: str
    day: str
    until: str = ""


class Clock:
    """Can be paused, stepped, sped up and stopped from any thread; faults are kept in a file and outlive it."""

    def __init__(self, home: Path, speed: str = "a day a second", *, paused: bool = False) -> None:
        self.file, self.speed, self.paused = home / FAULTS_FILE, speed, paused
        self.next: pd.Timestamp | None = None  # the hour that waits, or was let by last
        self.faults = (
            [Injected(**one) for one in json.loads(self.file.read_text())["faults"]] if self.file.exists() else []
        )
        self._step_to: pd.Timestamp | None = None
        self._stopped = False
        self._last = 0.0
        self._held = pd.read_parquet(home / HELD) if (home / HELD).exists() else None
        self._changed = threading.Condition()

    def paced(self, hours: Iterable[Tick]) -> Iterator[Tick]:
        """The hours, each when its time has come; ends when the clock is stopped."""
        for hour in hours:
            if not self._wait(hour.start):
                return
            spoilt, held = self._spoilt(hour)
            self._hold(held)
            yield spoilt
            self._held = held

    def pause(self) -> None:
        """Let no hour by until `resume` or `step`."""
        with self._changed:
            self.paused, self._step_to = True, None
            self._changed.notify_all()

    def resume(self) -> None:
        """Go on."""
        with self._changed:
            self.paused, self._step_to = False, None
            self._changed.notify_all()

    def step(self) -> None:
        """Go on to the next midnight in New York as fast as it goes, and pause there."""
        with self._changed:
            today = self._begun().tz_convert(NEW_YORK).normalize()
            self.paused, self._step_to = True, (today + pd.DateOffset(days=1)).tz_convert("UTC")
            self._changed.notify_all()

    def set_speed(self, speed: str) -> None:
        """One of SPEEDS."""
        if speed not in SPEEDS:
            raise UserError(f"no speed {speed!r}. Remedy: one of {', '.join(SPEEDS)}.")
        with self._changed:
            self.speed = speed
            self._changed.notify_all()

    def stop(self) -> None:
        """Let no hour by any more."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def wait_for_stop(self) -> None:
        """Return when the clock is stopped."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped)

    def inject(self, fault: str, size: int) -> None:
        """Spoil what comes from now on; a fault that is on already takes the new size."""
        if fault not in FAULTS or size not in (1, 2, 3):
            raise UserError(f"no fault {fault!r} of size {size}. Remedy: one of {', '.join(FAULTS)}; size 1, 2 or 3.")
        with self._changed:
            self._begun()
            known = FAULTS[fault]
            self._lift(fault)
            self._keep([*self.faults, Injected(fault, size, known.what, known.sizes[size - 1], self.day)])

    def lift(self, fault: str) -> None:
        """The fault is over."""
        with self._changed:
            self._begun()
            self._lift(fault)

    @property
    def active(self) -> list[Injected]:
        """The faults that are on."""
        return [one for one in self.faults if not one.until]

    @property
    def day(self) -> str:
        """The day in New York that the stream has come to."""
        return str(self.next.tz_convert(NEW_YORK).date()) if self.next is not None else ""

    @property
    def stopped(self) -> bool:
        """Whether it is: then no hour goes by any more."""
        return self._stopped

    def _begun(self) -> pd.Timestamp:
        """The hour that waits, or was let by last; raises UserError before the first, for nothing has a day then."""
        if self.next is None:
            raise UserError("the year has not begun yet. Remedy: wait until the first model serves.")
        return self.next

    def _lift(self, fault: str) -> None:
        self._keep(
            [replace(one, until=self.day) if one.fault == fault and not one.until else one for one in self.faults]
        )

    def _keep(self, faults: list[Injected]) -> None:
        self.faults = faults
        write_json(self.file, {"faults": [asdict(one) for one in faults]})

    def _wait(self, start: pd.Timestamp) -> bool:
        """Return when this hour may go by: True; or when there is none any more: False."""
        with self._changed:
            self.next = start
            while not self._stopped:
                stepping = self._step_to is not None and start < self._step_to
                left = 0.0 if stepping else self._last + 1 / SPEEDS[self.speed] - time.monotonic()
                if (stepping or not self.paused) and left <= 0:
                    self._last = time.monotonic()
                    return True
                self._changed.wait(None if self.paused else left)
            return False

    def _spoilt(self, hour: Tick) -> tuple[Tick, pd.DataFrame | None]:
        """The hour with the faults that are on, and the outcomes that they have put off."""
        flights, told = hour.flights, hour.labels
        for one in self.active:
            flights = inject_fault(flights, one.fault, one.number)
            told = inject_label_fault(told, one.fault, one.number)
        if self._held is not None:  # after a sudden end, the hour's own may be among them
            told = pd.concat([self._held, told]).drop_duplicates("flight_id")
        early = told["label_known_at"] >= hour.end  # a fault has put them off: they come in their hour
        held = told[early] if early.any() else None
        return replace(hour, flights=flights, labels=told[~early]), held

    def _hold(self, held: pd.DataFrame | None) -> None:
        """Keep the outcomes that are put off, for another clock as well that goes on from here.

        Before the hour is played, and with those that it tells: whenever a sudden end comes, none is lost. Some may be
        told twice then, which changes nothing.
        """
        parts = [part for part in (self._held, held) if part is not None]
        file = self.file.parent / HELD
        if parts:
            write_whole(pd.concat(parts).drop_duplicates("flight_id"), file)
        else:
            file.unlink(missing_ok=True)
