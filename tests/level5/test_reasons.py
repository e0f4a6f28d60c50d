"""What the loop tells the platform is taken, however much there is to tell."""

import pandas as pd

from level4_deployment.api import Reason
from level5_monitoring.faults import spoil
from level5_monitoring.loop import in_short
from level5_monitoring.policy import Memory, decide
from level5_monitoring.quality import check_contract
from level5_monitoring.reference import Reference
from level5_monitoring.window import as_window


def test_a_stop_for_many_columns_is_taken_by_the_platform(flights: pd.DataFrame, reference: Reference) -> None:
    day = as_window(flights[flights["flight_id"].str[:10] == "2013-05-07"], 0.2)
    decision = decide("2013-05-07", check_contract(spoil(day, "no weather", 3), reference), Memory())
    assert decision.kind == "stop"
    assert len(decision.reason) > 500
    told = Reason(reason=in_short(decision)).reason
    assert told.startswith("decision of 2013-05-07: The data are not what was agreed")
