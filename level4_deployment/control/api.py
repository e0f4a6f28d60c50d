"""The control plane's own service: versions, outcomes, experiments and the audit trail, each act behind a token."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Header, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest
from pydantic import BaseModel, ConfigDict, Field

from level4_deployment.control import auth
from level4_deployment.control.aliases import ConflictError
from level4_deployment.control.auth import AccessError
from level4_deployment.control.control_plane import ControlPlane
from level4_deployment.control.registry_client import UNAVAILABLE, UnavailableError
from level4_deployment.experiment import experiment_store
from level4_deployment.experiment.design import Plan
from level4_deployment.experiment.labels import Label, ingest, read_watermark
from shared.errors import UserError


class LabelIn(BaseModel):
    """One outcome."""

    model_config = ConfigDict(extra="forbid", strict=True)
    flight_id: str = Field(max_length=40, examples=["2013-04-01-B61018-JFK"])
    late: int = Field(ge=0, le=1, description="1: arrived 15 or more minutes late")
    known_at: float = Field(ge=0, le=1e11, allow_inf_nan=False, description="seconds since 1970, UTC")


class LabelsIn(BaseModel):
    """Outcomes, and how far they reach."""

    model_config = ConfigDict(extra="forbid", strict=True)
    labels: list[LabelIn] = Field(max_length=10_000)
    watermark: float | None = Field(
        default=None, ge=0, le=1e11, description="every outcome known before this instant has been sent"
    )


class SubmissionIn(BaseModel):
    """A version that has passed the gates, compared with this champion. Without a plan it becomes the first one."""

    version: int
    plan: dict[str, Any] | None = None
    champion: int | None = None


class ReasonIn(BaseModel):
    """Why it is done."""

    reason: str = Field(min_length=3, max_length=500)


class MoveIn(ReasonIn):
    """Who shall be the champion now. expected: only if this version still is; None: whoever is."""

    expected: int | None = None


class ShareIn(BaseModel):
    """The share of flights that the challenger shall answer."""

    share: float = Field(gt=0, lt=1)


def create_api(platform: ControlPlane) -> FastAPI:
    """The service; reading needs no token."""
    api = FastAPI(title="The platform's control plane")
    api.include_router(_reading(platform))
    api.include_router(_pipeline(platform))
    api.include_router(_operating(platform))
    for kind in (UserError, *UNAVAILABLE):
        api.exception_handler(kind)(_refused)
    return api


async def _refused(_request: Request, error: Exception) -> JSONResponse:
    """Refused; or 503 when registry or log cannot be had at present: nothing is wrong with what was asked for."""
    detail = str(error)
    if not isinstance(error, UserError):
        detail = f"registry or log cannot be had at present: {error}. Remedy: ask again; make experiments says more."
    if not isinstance(error, UserError) or isinstance(error, UnavailableError):
        return JSONResponse({"detail": detail}, 503, {"retry-after": "1"})
    status = 403 if isinstance(error, AccessError) else 409 if isinstance(error, ConflictError) else 422
    return JSONResponse({"detail": detail}, status)


def _allowed(platform: ControlPlane, act: str) -> Any:
    """Who asks, by the token; raises AccessError unless that one may `act`."""

    def check(authorization: Annotated[str, Header()] = "") -> str:
        return auth.who(platform.home, authorization.removeprefix("Bearer "), act)

    return Depends(check)


def _reading(platform: ControlPlane) -> APIRouter:
    routes = APIRouter()

    @routes.get("/status")
    def status() -> dict[str, Any]:
        """What serves, what is tried, what is wrong."""
        return describe(platform)

    @routes.get("/metrics")
    def metrics() -> Response:
        """How the platform stands, for Prometheus; requests and predictions are on the service's own /metrics."""
        return Response(platform_metrics(platform), media_type=CONTENT_TYPE_LATEST)

    @routes.get("/audit")
    def audit() -> list[dict[str, Any]]:
        """Every act, oldest first."""
        return experiment_store.acts(platform.log)

    return routes


def _pipeline(platform: ControlPlane) -> APIRouter:
    routes = APIRouter()

    @routes.post("/labels", dependencies=[_allowed(platform, "labels")])
    def labels(told: LabelsIn) -> dict[str, Any]:
        """Take outcomes, and judge the days that they close."""
        taken = ingest(platform.log, [Label(**one.model_dump()) for one in told.labels], told.watermark)
        verdict = platform.judge() if told.watermark is not None else None
        return {**asdict(taken), "verdict": asdict(verdict) if verdict else None}

    @routes.post("/versions")
    def submit(sent: SubmissionIn, who: str = _allowed(platform, "submit")) -> dict[str, Any]:
        """Try a version against the champion."""
        made = platform.submit(sent.version, Plan.of(**sent.plan) if sent.plan else None, who, sent.champion)
        return {"experiment": made.experiment if made else None}

    return routes


def _operating(platform: ControlPlane) -> APIRouter:
    routes = APIRouter()
    operator = _allowed(platform, "operate")

    @routes.post("/versions/{number}/promote")
    def promote(number: int, why: MoveIn, who: str = operator) -> dict[str, Any]:
        """Make a version the champion by hand."""
        platform.promote(number, who, why.reason, why.expected)
        return describe(platform)

    @routes.post("/rollback")
    def roll_back(why: MoveIn, who: str = operator) -> dict[str, Any]:
        """Back to the champion before this one."""
        platform.roll_back(who, why.reason, why.expected)
        return describe(platform)

    @routes.post("/experiment/stop")
    def stop(why: ReasonIn, who: str = operator) -> dict[str, Any]:
        """End the experiment without a verdict."""
        platform.stop(who, why.reason)
        return describe(platform)

    @routes.post("/experiment/share")
    def share(wanted: ShareIn, who: str = operator) -> dict[str, Any]:
        """Another share: the experiment is void, and a new one begins."""
        platform.set_share(wanted.share, who)
        return describe(platform)

    @routes.post("/experiment/approve")
    def approve(who: str = operator) -> dict[str, Any]:
        """Let the winner that waits become the champion."""
        platform.approve(who)
        return describe(platform)

    return routes


def platform_metrics(platform: ControlPlane) -> bytes:
    """As Prometheus reads them."""
    gauges = CollectorRegistry()
    Gauge("platform_trouble", "1 while something is wrong; /status says what", registry=gauges).set(
        bool(platform.trouble)
    )
    Gauge("registry_seen_timestamp_seconds", "When the registry last answered", registry=gauges).set(
        platform.registry_seen
    )
    return generate_latest(gauges)


def describe(platform: ControlPlane) -> dict[str, Any]:
    """How the platform stands."""
    return {
        "routes": asdict(platform.routes) if platform.routes else None,
        "trouble": platform.trouble,
        "approval": platform.approval,
        "registry_seen": platform.registry_seen,
        "watermark": read_watermark(platform.log),
        "experiments": [asdict(one) for one in experiment_store.find(platform.log)],
    }
