"""The control plane's HTTP service: reading is free, and each action needs a token whose name has the permission."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest
from pydantic import BaseModel, ConfigDict, Field
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from level2_devops.service.limits import READING, protect
from level2_devops.service.pages import curl, pages
from level2_devops.service.strict_json import use_strict_json
from level4_deployment.control import audit, auth
from level4_deployment.control.auth import AccessError
from level4_deployment.control.control_plane import UNAVAILABLE, ConflictError, ControlPlane
from level4_deployment.control.registry_client import UnavailableError
from level4_deployment.experiment import experiment_store
from level4_deployment.experiment.design import Plan
from level4_deployment.experiment.labels import Label, ingest, read_watermark
from level4_deployment.serving.requests import FlightId
from shared.arguments import LAST_VERSION
from shared.errors import UserError

TITLE = "The platform's control plane"
PAGES = {
    "/status": "what serves, what is tried, what is wrong",
    "/audit": "every action, oldest first",
    "/metrics": "the platform's state, for Prometheus",
}
Number = Annotated[int, Field(ge=1, le=LAST_VERSION, description="of a registered version", examples=[2])]
Instant = Annotated[
    float, Field(ge=0, le=1e11, allow_inf_nan=False, description="seconds since 1970, UTC", examples=[1364860800])
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class LabelIn(_Strict):
    """The label of one flight."""

    flight_id: FlightId = Field(examples=["2013-04-01-B61018-JFK"])
    late: int = Field(ge=0, le=1, description="1: arrived 15 or more minutes late")
    known_at: Instant


class LabelsIn(_Strict):
    """Labels, and how far they reach. watermark: all labels known before this time have been sent."""

    labels: list[LabelIn] = Field(max_length=10_000)
    watermark: Instant | None = None


class SubmissionIn(_Strict):
    """A version that has passed the gates, compared with this champion. Only the first version needs no plan."""

    version: Number
    plan: dict[str, Any] | None = Field(default=None, examples=[asdict(Plan())])
    champion: Number | None = None


class ReasonIn(_Strict):
    """Why it is done."""

    reason: str = Field(min_length=3, max_length=500, examples=["more late flights since noon"])


class MoveIn(ReasonIn):
    """Why the champion changes. expected: only if this version still is the champion."""

    expected: Number | None = None


class ShareIn(_Strict):
    """The share of flights that the challenger shall answer."""

    share: float = Field(gt=0, lt=1, examples=[0.3])


def create_api(platform: ControlPlane) -> FastAPI:
    """The service of this platform."""
    known = auth.read_digests(platform.home)  # once: what happens to the file later locks nobody out
    api = FastAPI(title=TITLE, docs_url=None, redoc_url=None)
    api.router.routes += pages(TITLE, PAGES, lambda address: curl(f"{address}/status"))
    use_strict_json(api)
    protect(api)
    api.add_middleware(_TokenFirst, known=known)  # last, which is outermost: before the body is read
    for kind in UNAVAILABLE:
        api.exception_handler(kind)(_refuse)

    @api.get("/status")
    def status() -> dict[str, Any]:
        """What serves, what is tried, what is wrong."""
        return describe(platform)

    @api.get("/metrics")
    def metrics() -> Response:
        """The platform's state, for Prometheus; requests and predictions are on the service's own /metrics."""
        return Response(platform_metrics(platform), media_type=CONTENT_TYPE_LATEST)

    @api.get("/audit")
    def read_audit() -> list[dict[str, Any]]:
        """Every action, oldest first."""
        return audit.trail(platform.log)

    @api.post("/labels", dependencies=[_allowed(known, "labels")])
    def labels(sent: LabelsIn) -> dict[str, Any]:
        """Take labels, and judge the days that they close."""
        taken = ingest(platform.log, [Label(**one.model_dump()) for one in sent.labels], sent.watermark)
        verdict = platform.judge() if sent.watermark is not None else None
        return {**asdict(taken), "verdict": asdict(verdict) if verdict else None}

    @api.post("/versions")
    def submit(sent: SubmissionIn, actor: str = _allowed(known, "submit")) -> dict[str, Any]:
        """Try a version against the champion."""
        made = platform.submit(sent.version, Plan.of(**sent.plan) if sent.plan else None, actor, sent.champion)
        return {"experiment": made.experiment if made else None}

    _add_actions(api, platform, known)
    return api


def _add_actions(api: FastAPI, platform: ControlPlane, known: dict[str, str]) -> None:
    operator = _allowed(known, "operate")

    @api.post("/versions/{number}/promote")
    def promote(number: Number, why: MoveIn, actor: str = operator) -> dict[str, Any]:
        """Make a version the champion by hand; `against`: what speaks against it, on record."""
        against = platform.promote(number, actor, why.reason, why.expected)
        return describe(platform) | {"against": against}

    @api.post("/rollback")
    def roll_back(why: MoveIn, actor: str = operator) -> dict[str, Any]:
        """Back to the champion before this one."""
        platform.roll_back(actor, why.reason, why.expected)
        return describe(platform)

    @api.post("/experiment/stop")
    def stop(why: ReasonIn, actor: str = operator) -> dict[str, Any]:
        """Stop the experiment: it ends without a verdict."""
        platform.stop(actor, why.reason)
        return describe(platform)

    @api.post("/experiment/traffic-split")
    def change_traffic_split(wanted: ShareIn, actor: str = operator) -> dict[str, Any]:
        """Another share: the running experiment is stopped, and a new one begins."""
        platform.change_traffic_split(wanted.share, actor)
        return describe(platform)

    @api.post("/experiment/approve")
    def approve(actor: str = operator) -> dict[str, Any]:
        """Let the winner that waits for approval become the champion."""
        platform.approve(actor)
        return describe(platform)


async def _refuse(_request: Request, error: Exception) -> JSONResponse:
    """403, 409 or 422; or 503, with the advice to retry, while registry or log cannot be used."""
    if isinstance(error, UserError) and not isinstance(error, UnavailableError):
        status = 403 if isinstance(error, AccessError) else 409 if isinstance(error, ConflictError) else 422
        return JSONResponse({"detail": str(error)}, status)
    failed = f"registry or log cannot be used at present: {error}. Remedy: try again; make experiments shows why."
    detail = str(error) if isinstance(error, UserError) else failed
    return JSONResponse({"detail": detail}, 503, {"retry-after": "1"})


def _allowed(known: dict[str, str], permission: str) -> Any:
    """The name that the request's token belongs to; raises AccessError unless it has the permission."""

    def check(authorization: Annotated[str, Header()] = "") -> str:
        return auth.name_of(known, authorization, permission)

    return Depends(check)


class _TokenFirst:
    """ASGI middleware that refuses a change without one of the platform's tokens before it reads the body."""

    def __init__(self, app: ASGIApp, known: dict[str, str]) -> None:
        self.app, self.known = app, known

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it with 403."""
        if scope["type"] == "http" and scope["method"] not in READING:
            try:
                auth.name_of(self.known, Headers(scope=scope).get("authorization", ""))
            except AccessError as error:
                await JSONResponse({"detail": str(error)}, 403)(scope, receive, send)
                return
        await self.app(scope, receive, send)


def platform_metrics(platform: ControlPlane) -> bytes:
    """The platform's gauges, in Prometheus' text format."""
    gauges = CollectorRegistry()
    degraded = Gauge("platform_degraded", "1 while something is wrong; /status says what", registry=gauges)
    degraded.set(bool(platform.degraded))
    return generate_latest(gauges)


def describe(platform: ControlPlane) -> dict[str, Any]:
    """The platform's state."""
    return {
        "routes": asdict(platform.routes) if platform.routes else None,
        "degraded": platform.degraded,
        "approval": platform.approval,
        "code": platform.code,
        "watermark": read_watermark(platform.log),
        "experiments": [asdict(one) for one in experiment_store.find(platform.log)],
    }
