"""A step that fails is reported with its reason, and without advice that belongs to a training."""

import asyncio
from typing import Any

import pytest
from prefect.states import Failed

from level4_deployment.control.client import RefusedError
from level4_deployment.delivery import flow
from level4_deployment.delivery.gates import GateError
from shared.errors import UserError


@pytest.mark.parametrize("step", [flow.package_step, flow.gates_step, flow.submit_step])
@pytest.mark.parametrize(
    ("error", "said"),
    [
        (UserError("the platform is gone. Remedy: start it."), "step '{}' failed: the platform is gone."),
        (ZeroDivisionError("division"), "step '{}' failed: of another kind"),
        (GateError("version 3 is refused: quality: log loss 0.6. Remedy: none."), ""),
        (RefusedError("version 3 is under way already. Remedy: wait."), ""),
    ],
)
def test_a_step_that_fails_after_the_training_says_why_and_a_refusal_is_no_failure(
    step: Any, error: Exception, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (report,) = step.on_failure_hooks
    asyncio.run(report(step, None, Failed(data=error, message="of another kind")))
    assert capsys.readouterr().out.strip() == said.format(step.name)
