"""The live demo's clock: it lets each hour of the stream through when its time has come, with the active faults."""

import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd

from level5_monitoring.live_year.fault_injection import find_fault, inject_fault, inject_label_fault
from level5_monitoring.live_year.year_record import InjectedFault, read_faults, write_faults
from shared.data.replay import Tick
from shared.errors import UserError
from shared.files import read_parquet, write_parquet
from shared.settings import NEW_YORK

DELAYED = "delayed_labels.parquet"  # labels that a fault delays
SPEED = "speed.txt"  # as it was set last
SPEEDS = {"6 hours a second": 6.0, "a day a second": 24.0, "as fast as it goes": float("inf")}  # hours a second


class Clock:
    """Can be paused, stepped, sped up and stopped from any thread. Speed, faults and delayed labels survive in files.

    speed: one of SPEEDS; without it, the one that was set last. next: the hour that waits, or was let through last;
    None before the first.
    """

    def __init__(self, home: Path, speed: str = "", *, paused: bool = False) -> None:
        self.home, self.paused = home, paused
        kept = (home / SPEED).read_text(encoding="utf-8", errors="replace") if (home / SPEED).exists() else ""
        self.speed = speed or (kept if kept in SPEEDS else "a day a second")
        self.next: pd.Timestamp | None = None
        self.faults = read_faults(home)
        self.stopped = False
        self._step_to: pd.Timestamp | None = None
        self._last = 0.0  # time.monotonic() when the last hour was let through
        self._delayed = None
        if (home / DELAYED).exists():
            remedy = f"remove {home / DELAYED}: the labels that a fault has delayed are then never sent"
            self._delayed = read_parquet(home / DELAYED, remedy)
        self._changed = threading.Condition()

    def paced(self, hours: Iterable[Tick]) -> Iterator[Tick]:
        """The hours, each when its time has come; ends when the clock is stopped."""
        for hour in hours:
            if not self._wait(hour.start):
                return
            faulty, delayed = self._apply_faults(hour)
            self._keep_delayed(delayed)
            yield faulty
            self._delayed = delayed

    def pause(self) -> None:
        """Let no hour through until `resume` or `step`."""
        self._set(paused=True)

    def resume(self) -> None:
        """Go on."""
        self._set(paused=False)

    def step(self) -> None:
        """Go on to the next midnight in New York as fast as possible, and pause there."""
        with self._changed:
            today = self._begun().tz_convert(NEW_YORK).normalize()
            self.paused, self._step_to = True, (today + pd.DateOffset(days=1)).tz_convert("UTC")
            self._changed.notify_all()

    def set_speed(self, speed: str) -> None:
        """One of SPEEDS; raises UserError for another."""
        if speed not in SPEEDS:
            raise UserError(f"no speed {speed!r}. Remedy: one of {', '.join(SPEEDS)}.")
        with self._changed:
            self.speed = speed
            self._changed.notify_all()
        (self.home / SPEED).write_text(speed, encoding="utf-8")  # half a word is read as none

    def stop(self) -> None:
        """Let no more hours through."""
        with self._changed:
            self.stopped = True
            self._changed.notify_all()

    def wait_for_stop(self) -> None:
        """Return when the clock is stopped."""
        with self._changed:
            self._changed.wait_for(lambda: self.stopped)

    def inject(self, fault: str, size: int) -> None:
        """Apply a fault from now on; an active one of another size ends. Raises UserError for an unknown one."""
        known = find_fault(fault, size)
        with self._changed:
            self._begun()
            if any((one.fault, one.number) == (fault, size) for one in self.active):
                return
            new = InjectedFault(fault, size, known.what, known.sizes[size - 1], self.day)
            self.faults = [*self._without(fault), new]
            self.keep_faults()

    def remove(self, fault: str) -> None:
        """End an active fault."""
        with self._changed:
            self._begun()
            self.faults = self._without(fault)
            self.keep_faults()

    def keep_faults(self) -> None:
        """Write the faults where the file does not hold them: they are new, or something else has changed the file."""
        with self._changed:
            write_faults(self.home, self.faults)

    @property
    def active(self) -> list[InjectedFault]:
        """The active faults."""
        return [one for one in self.faults if not one.until]

    @property
    def day(self) -> str:
        """The day in New York that the stream has reached, or "" before the first hour."""
        return str(self.next.tz_convert(NEW_YORK).date()) if self.next is not None else ""

    def _set(self, *, paused: bool) -> None:
        with self._changed:
            self.paused, self._step_to = paused, None
            self._changed.notify_all()

    def _begun(self) -> pd.Timestamp:
        """The hour that waits, or was let through last; raises UserError before the first: there is no day yet."""
        if self.next is None:
            raise UserError("the year has not begun yet. Remedy: wait until the first model serves.")
        return self.next

    def _without(self, fault: str) -> list[InjectedFault]:
        return [replace(one, until=self.day) if one.fault == fault and not one.until else one for one in self.faults]

    def _wait(self, start: pd.Timestamp) -> bool:
        """Wait for this hour's time; returns False if the clock is stopped."""
        with self._changed:
            self.next = start
            while not self.stopped:
                stepping = self._step_to is not None and start < self._step_to
                left = 0.0 if stepping else self._last + 1 / SPEEDS[self.speed] - time.monotonic()
                if (stepping or not self.paused) and left <= 0:
                    self._last = time.monotonic()
                    return True
                self._changed.wait(None if self.paused else left)
            return False

    def _apply_faults(self, hour: Tick) -> tuple[Tick, pd.DataFrame | None]:
        """The hour with the active faults, and the labels that are delayed beyond it."""
        flights, labels = hour.flights, hour.labels
        for one in self.active:
            flights = inject_fault(flights, one.fault, one.number)
            labels = inject_label_fault(labels, one.fault, one.number)
        if self._delayed is not None:  # after a sudden end, the hour's own labels may be among them
            labels = pd.concat([self._delayed, labels]).drop_duplicates("flight_id")
        later = labels["label_known_at"] >= hour.end
        delayed = labels[later] if later.any() else None
        return replace(hour, flights=flights, labels=labels[~later]), delayed

    def _keep_delayed(self, delayed: pd.DataFrame | None) -> None:
        """Write the delayed labels before the hour is played, together with those that it sends.

        After a sudden end, the next clock then loses none; it may send some twice, which changes nothing.
        """
        parts = [part for part in (self._delayed, delayed) if part is not None]
        if parts:
            write_parquet(pd.concat(parts).drop_duplicates("flight_id"), self.home / DELAYED)
        else:
            (self.home / DELAYED).unlink(missing_ok=True)
