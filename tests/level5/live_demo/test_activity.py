"""The page shows the activity that began last among those that go on."""

from level5_monitoring.live_demo.activity import Activities


def test_the_newest_activity_that_goes_on_is_shown_with_its_share() -> None:
    activities, ended = Activities(), []
    assert activities.newest() is None
    activities.begin("training the policies", lambda: "policies" in ended, lambda: 0.4)
    with activities.during("training version 2"):
        shown = activities.newest()
        assert shown
        assert (shown["what"], shown["share"]) == ("training version 2", None)
        assert 0 <= shown["seconds"] < 5
    shown = activities.newest()
    assert shown
    assert (shown["what"], shown["share"]) == ("training the policies", 0.4)
    ended.append("policies")
    assert activities.newest() is None
