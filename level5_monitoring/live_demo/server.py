"""The page, served: it follows the year by itself, and clock and faults can be worked from it. Loopback only."""

import threading
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import sqlalchemy as sa
from fastapi import Body, FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse

from level4_deployment.experiment.experiment_store import AUDIT
from level5_monitoring.calendar_policies import FILE
from level5_monitoring.dashboard import metrics as gauges
from level5_monitoring.dashboard import page
from level5_monitoring.dashboard.data import Week, Year, gather
from level5_monitoring.dashboard.health import Health, of_the_platform
from level5_monitoring.fault_injection import FAULTS
from level5_monitoring.live_demo.clock import SPEEDS, Clock
from level5_monitoring.tables import DECISIONS
from shared.errors import UserError

POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:"
HEADERS = {
    "content-security-policy": POLICY + "; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}
NAMES = ("127.0.0.1", "localhost")


@dataclass
class LivePage:
    """What the page is made of. stage: what goes on, in words; links: to the other pages, as they come up.

    platform: the folder of the one that is watched.
    """

    log: sa.Engine
    home: Path
    clock: Clock
    stage: str = "starting"
    links: dict[str, str] = field(default_factory=dict)
    platform: Path | None = None

    def __post_init__(self) -> None:
        """Nothing is read yet."""
        self._done: dict[str, Week] = {}
        self._reading = threading.Lock()
        self._shown = ("", "")

    def stamp(self, health: list[Health] | None = None) -> str:
        """Changes when the page would: with each day, decision and act, and with how the platform stands."""
        counts = (sa.select(sa.func.count()).select_from(table) for table in (DECISIONS, AUDIT))
        with self.log.connect() as connection:
            seen = [connection.execute(count).scalar_one() for count in counts]
        faults = f"{len(self.clock.faults)} {len(self.clock.active)}"
        compared = (self.home / FILE).exists()
        return f"{self.clock.day} {seen} {faults} {compared} {sorted(self.links)} {health or self.health()}"

    def health(self) -> list[Health]:
        """How the platform stands; nothing is expected of it before the year has begun."""
        return of_the_platform(self.platform) if self.platform and self.clock.day else []

    def state(self) -> dict[str, Any]:
        """What the controls show."""
        faults = [asdict(one) for one in self.clock.active]
        clock = {"day": self.clock.day, "paused": self.clock.paused, "speed": self.clock.speed}
        return {"stamp": self.stamp(), "stage": self.stage, "clock": clock, "faults": faults}

    def year(self) -> str:
        """The changing part of the page, drawn anew only when its stamp is."""
        with self._reading:
            health = self.health()
            stamp = self.stamp(health)
            if self._shown[0] != stamp:
                self._shown = stamp, page.render_year(self._gather(health))
            return self._shown[1]

    def whole(self) -> str:
        """The page with its controls."""
        with self._reading:
            year = self._gather(self.health())
        return page.render(year, {"speeds": list(SPEEDS), "faults": FAULTS, "speed": self.clock.speed})

    def _gather(self, health: list[Health]) -> Year:
        return gather(self.log, self.home, self.links, self._done, health)


def create_app(live: LivePage) -> FastAPI:
    """The page's service."""
    app = FastAPI(title="The year", docs_url=None, redoc_url=None, openapi_url=None)
    app.middleware("http")(_same_origin)
    app.exception_handler(UserError)(_refuse)
    clock = live.clock
    acts = {"pause": clock.pause, "resume": clock.resume, "step": clock.step}
    app.get("/", response_class=HTMLResponse)(live.whole)
    app.get("/year", response_class=HTMLResponse)(live.year)
    app.get("/state")(live.state)

    @app.get("/metrics")
    def metrics() -> Response:
        return Response(gauges.exposition(live.log), media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.post("/clock")
    def turn_clock(act: Annotated[Literal["pause", "resume", "step"], Body(embed=True)]) -> dict[str, Any]:
        acts[act]()
        return live.state()

    @app.post("/speed")
    def set_speed(speed: Annotated[str, Body(embed=True)]) -> dict[str, Any]:
        clock.set_speed(speed)
        return live.state()

    @app.post("/faults")
    def inject(fault: Annotated[str, Body()], size: Annotated[int, Body()]) -> dict[str, Any]:
        clock.inject(fault, size)
        return live.state()

    @app.post("/faults/lift")
    def lift(fault: Annotated[str, Body(embed=True)]) -> dict[str, Any]:
        clock.lift(fault)
        return live.state()

    return app


async def _same_origin(request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
    """Only what asks for loopback by name, and of pages only our own, may read or change anything.

    Host: a foreign name that was made to point here is refused. Origin: browsers send it with every POST; what sends
    none is no page. JSON bodies: a foreign page cannot send one without asking first, and is never allowed to.
    """
    host, origin = request.headers.get("host", ""), request.headers.get("origin")
    known = host.rpartition(":")[0] in NAMES
    own = origin is None or origin == f"http://{host}"
    plain = request.method == "GET" or request.headers.get("content-type", "").startswith("application/json")
    if not (known and own and plain):
        return JSONResponse({"detail": "only this page may do that"}, status_code=403)
    response = await go_on(request)
    response.headers.update(HEADERS)
    return response


async def _refuse(_request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, status_code=409)
