"""An unexpected error of the service: its answer and its log line."""

import asyncio
import logging
from pathlib import Path

import httpx
import pytest

from level2_devops.service import app
from level2_devops.service.requests import EXAMPLE


def ask(service: "app.FastAPI") -> httpx.Response:
    async def once() -> httpx.Response:
        transport = httpx.ASGITransport(service, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return await client.post("/predict", json=EXAMPLE, headers={"x-request-id": "broken-1"})

    return asyncio.run(once())


def test_an_error_of_ours_is_answered_in_json_under_its_id_and_logged(
    small_model: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("nobody expected this")

    monkeypatch.setattr(app, "predict", fail)
    with caplog.at_level(logging.INFO, "service"):
        answer = ask(app.create_app(small_model, "1.2.3"))
    assert answer.status_code == 500
    assert answer.headers["x-request-id"] == "broken-1"
    assert answer.headers["connection"] == "close"
    assert set(answer.json()) == {"detail"}
    assert "nobody expected this" not in answer.text
    assert "nobody expected this" in caplog.text
    assert [record.status for record in caplog.records if record.message == "request"] == [500]  # type: ignore[attr-defined]
