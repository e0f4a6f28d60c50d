"""What the loop tells the platform is taken, however much there is to tell."""

import pandas as pd

from level4_deployment.control.api import ReasonIn
from level5_monitoring.fault_injection import inject_fault
from level5_monitoring.loop.controller import truncate_reason
from level5_monitoring.loop.policy import PolicyState, decide
from level5_monitoring.monitors.data_quality import check_contract
from level5_monitoring.monitors.reference import Reference
from level5_monitoring.monitors.window import as_window


def test_a_stop_for_many_columns_is_taken_by_the_platform(flights: pd.DataFrame, reference: Reference) -> None:
    day = as_window(flights[flights["flight_id"].str[:10] == "2013-05-07"], 0.2)
    decision = decide("2013-05-07", check_contract(inject_fault(day, "no weather", 3), reference), PolicyState())
    assert decision.kind == "halt_experiment"
    assert len(decision.reason) > 500
    told = ReasonIn(reason=truncate_reason(decision)).reason
    assert told.startswith("decision of 2013-05-07: The data are not what was agreed")
