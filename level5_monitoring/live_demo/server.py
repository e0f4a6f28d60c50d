"""The live page's service: it follows the year, and has controls for clock and faults. Loopback only."""

import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import sqlalchemy as sa
from fastapi import Body, FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse

from level2_devops.service.limits import protect
from level2_devops.service.strict_json import use_strict_json
from level4_deployment.prediction_log import AUDIT
from level5_monitoring.dashboard import metrics, page
from level5_monitoring.dashboard.data import Day, Health, Year, platform_health, read_year
from level5_monitoring.dashboard.shares import Shares, add_shares
from level5_monitoring.live_demo.activity import Activities
from level5_monitoring.live_demo.clock import SPEEDS, Clock
from level5_monitoring.live_demo.tool_pages import ToolPages
from level5_monitoring.live_year.fault_injection import FAULTS
from level5_monitoring.policy_backtest.calendars import PREDICTIONS_FILE
from level5_monitoring.tables import DECISIONS
from shared.errors import UserError

POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:"
HEADERS = {
    "content-security-policy": POLICY + "; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}
LOOK_EVERY, WATCHED = 0.5, 10.0  # seconds between two looks at whether the year has changed; while nobody watches
STOPPED_WITHIN = 10.0  # seconds, for a drawing
FIRST_WITHIN = 0.5  # seconds that the first request waits for the first drawing


class Drawn(NamedTuple):
    """A year as it was read and drawn last. stamp: see `LivePage.stamp`."""

    stamp: str
    year: Year
    html: str


@dataclass
class LivePage:
    """What the page shows. stage: how far the demo is, in words; links: to other pages, once they run.

    home: this level's folder; platform_home: the platform's. The year is read and drawn beside the requests, so that
    none of them waits for it.
    """

    log: sa.Engine
    home: Path
    clock: Clock
    stage: str = "starting"
    links: dict[str, str] = field(default_factory=dict)
    platform_home: Path | None = None
    activities: Activities = field(default_factory=Activities)
    _settled: dict[str, Day] = field(default_factory=dict, init=False)
    _shares: Shares = field(default_factory=dict, init=False)
    _drawn: Drawn | None = field(default=None, init=False)
    _whole: tuple[tuple[str, str], str] = field(default=(("", ""), ""), init=False)  # drawn for a stamp and a speed
    _first: threading.Event = field(default_factory=threading.Event, init=False)  # there is a drawn year
    _asked: float = field(default_factory=time.monotonic, init=False)  # when somebody looked last
    _failure: str = field(default="", init=False)  # why the last drawing failed

    def __post_init__(self) -> None:
        """Nobody has opened another page yet."""
        self.pages = ToolPages(self.activities)

    def stamp(self, health: list[Health]) -> str:
        """A text that changes whenever the page would: with a day, a decision, an action, the platform's health."""
        counts = (sa.select(sa.func.count()).select_from(table) for table in (DECISIONS, AUDIT))
        with self.log.connect() as connection:
            rows = [connection.execute(count).scalar_one() for count in counts]
        faults = f"{len(self.clock.faults)} {len(self.clock.active)}"
        compared = (self.home / PREDICTIONS_FILE).exists()
        return f"{self.clock.day} {rows} {faults} {compared} {sorted(self.links)} {health}"

    def health(self) -> list[Health]:
        """The platform's health; empty before the year has begun, when it may still be starting."""
        return platform_health(self.platform_home) if self.platform_home and self.clock.day else []

    def state(self) -> dict[str, Any]:
        """What the controls show. stamp: of the year that is drawn."""
        self._asked = time.monotonic()
        clock = {"day": self.clock.day, "paused": self.clock.paused, "speed": self.clock.speed}
        return {
            "stamp": self._drawn.stamp if self._drawn else "",
            "stage": self._failure or self.stage,
            "activity": self.activities.newest(),
            "clock": clock,
            "faults": [asdict(one) for one in self.clock.active],
        }

    def draw(self) -> None:
        """Read and draw the year again if its stamp has changed."""
        health = self.health()
        stamp = self.stamp(health)
        if self._drawn is None or self._drawn.stamp != stamp:
            self.clock.keep_faults()
            year = read_year(self.log, self.home, self.links, self._settled, health)
            year = add_shares(year, self.log, self.home, self._shares)
            self._drawn = Drawn(stamp, year, page.render_year(year))
            self._first.set()

    @contextmanager
    def drawing(self) -> Iterator[None]:
        """Keep what is drawn up to date while the block runs."""
        self._render()  # so that the templates are loaded, and the page without anything is at hand
        stop = threading.Event()
        thread = threading.Thread(target=self._draw_until, args=(stop,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(STOPPED_WITHIN)

    def _draw_until(self, stop: threading.Event) -> None:
        """Draw the year whenever it changes, with pauses that leave most of the processor's time to the stream.

        While models are trained, a drawing waits for the processor: that is no reason for a longer pause.
        """
        pause = 0.0
        while not stop.wait(pause):
            begun, used = time.monotonic(), time.thread_time()
            try:
                self.draw()
                self._failure = ""
            except Exception as error:  # noqa: BLE001 - the page shows any error, and goes on
                self._failure = f"the year cannot be drawn: {error}"
            watched = begun - self._asked < WATCHED
            pause = max(LOOK_EVERY if watched else WATCHED, 4 * (time.thread_time() - used))

    def year(self) -> str:
        """The part of the page that changes, as it was drawn last."""
        self._first.wait(FIRST_WITHIN)
        drawn = self._drawn  # another thread may replace it
        return drawn.html if drawn else page.render_year(Year())

    def whole(self) -> str:
        """The page with its controls; without anything while the year is being read for the first time."""
        self._asked = time.monotonic()
        self._first.wait(FIRST_WITHIN)
        return self._render()

    def _render(self) -> str:
        drawn = self._drawn
        year, stamp = (drawn.year, drawn.stamp) if drawn else (Year(), "")
        speed = self.clock.speed
        if self._whole[0] != (stamp, speed):
            html = page.render(year, {"speeds": list(SPEEDS), "faults": FAULTS, "speed": speed})
            self._whole = (stamp, speed), html
        return self._whole[1]


def create_app(live: LivePage) -> FastAPI:
    """The page's service."""
    app = FastAPI(title="The year", docs_url=None, redoc_url=None, openapi_url=None)
    use_strict_json(app)
    protect(app)
    app.middleware("http")(_with_headers)
    app.exception_handler(UserError)(_refuse)
    clock = live.clock
    actions = {"pause": clock.pause, "resume": clock.resume, "step": clock.step}
    app.get("/", response_class=HTMLResponse)(live.whole)
    app.get("/year", response_class=HTMLResponse)(live.year)
    app.get("/state")(live.state)

    @app.get("/metrics")
    def exposition() -> Response:
        return Response(metrics.exposition(live.log), media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/pages/{name}")
    def open_page(name: str, at: str = "") -> Response:
        """Go to another tool's page, its first one or that `at` a path, once it runs; until then, start it and wait."""
        if name not in live.pages.all:
            return JSONResponse({"detail": f"no page {name!r}. Remedy: one of {', '.join(live.pages.all)}."}, 404)
        if address := live.pages.open(name, at):
            return RedirectResponse(address)
        return HTMLResponse(live.pages.waiting(name), headers={"refresh": "1"})

    @app.post("/clock")
    def set_clock(action: Annotated[Literal["pause", "resume", "step"], Body(embed=True)]) -> dict[str, Any]:
        actions[action]()
        return live.state()

    @app.post("/speed")
    def set_speed(speed: Annotated[str, Body(embed=True)]) -> dict[str, Any]:
        clock.set_speed(speed)
        return live.state()

    @app.post("/faults")
    def inject(fault: Annotated[str, Body()], size: Annotated[int, Body()]) -> dict[str, Any]:
        clock.inject(fault, size)
        return live.state()

    @app.post("/faults/remove")
    def remove(fault: Annotated[str, Body(embed=True)]) -> dict[str, Any]:
        clock.remove(fault)
        return live.state()

    return app


async def _with_headers(request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
    response = await go_on(request)
    response.headers.update(HEADERS)
    return response


async def _refuse(_request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, status_code=409)
