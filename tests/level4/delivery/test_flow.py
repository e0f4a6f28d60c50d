"""A refused version is reported with its reason, and without advice that belongs to a training."""

from types import SimpleNamespace
from typing import Any

import pytest

from level4_deployment.delivery import flow


@pytest.mark.parametrize("step", [flow.package_step, flow.gates_step, flow.submit_step])
def test_a_step_that_fails_after_the_training_says_nothing_of_tuning(
    step: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    (report,) = step.on_failure_hooks
    report(step, None, SimpleNamespace(message="quality: log loss 0.6"))
    printed = " ".join(capsys.readouterr().out.split())
    assert printed == f"step '{step.name}' failed: quality: log loss 0.6"
