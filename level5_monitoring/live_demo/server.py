"""The live page's service: it follows the year, and has controls for clock and faults. Loopback only."""

import threading
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import sqlalchemy as sa
from fastapi import Body, FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse

from level2_devops.service.limits import protect
from level2_devops.service.strict_json import use_strict_json
from level4_deployment.prediction_log import AUDIT
from level5_monitoring.dashboard import metrics, page
from level5_monitoring.dashboard.data import Day, Health, Year, platform_health, read_year
from level5_monitoring.dashboard.shares import Shares, add_shares
from level5_monitoring.fault_injection import FAULTS
from level5_monitoring.live_demo.activity import Activities
from level5_monitoring.live_demo.clock import SPEEDS, Clock
from level5_monitoring.policy_comparison import PREDICTIONS_FILE
from level5_monitoring.tables import DECISIONS
from shared.errors import UserError

POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:"
HEADERS = {
    "content-security-policy": POLICY + "; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}


@dataclass
class LivePage:
    """What the page shows. stage: how far the demo is, in words; links: to other pages, once they run.

    home: this level's folder; platform_home: the platform's.
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
    _reading: threading.Lock = field(default_factory=threading.Lock, init=False)
    _drawn: tuple[str, str] = field(default=("", ""), init=False)  # the stamp and the HTML of the last drawn year

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
        """What the controls show."""
        faults = [asdict(one) for one in self.clock.active]
        clock = {"day": self.clock.day, "paused": self.clock.paused, "speed": self.clock.speed}
        shown = {"stage": self.stage, "activity": self.activities.newest(), "clock": clock, "faults": faults}
        return {"stamp": self.stamp(self.health()), **shown}

    def year(self) -> str:
        """The part of the page that changes, drawn again only when its stamp has changed."""
        with self._reading:
            health = self.health()
            stamp = self.stamp(health)
            if self._drawn[0] != stamp:
                self._drawn = stamp, page.render_year(self._read(health))
            return self._drawn[1]

    def whole(self) -> str:
        """The page with its controls."""
        with self._reading:
            year = self._read(self.health())
        return page.render(year, {"speeds": list(SPEEDS), "faults": FAULTS, "speed": self.clock.speed})

    def _read(self, health: list[Health]) -> Year:
        self.clock.keep_faults()
        year = read_year(self.log, self.home, self.links, self._settled, health)
        return add_shares(year, self.log, self.home, self._shares)


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
