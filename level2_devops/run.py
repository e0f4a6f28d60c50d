"""Level 2 from end to end: tested modules, a service, releases and rollback. The model is only a file."""

import time
from contextlib import ExitStack

from level2_devops import demo
from level2_devops.load_generator import traffic
from level2_devops.model import load, predict, train
from level2_devops.release.pipeline import candidate, roll_back
from shared.console import closing, part, show_by_month, show_manual_steps, show_path, step
from shared.data.flights import load_flights
from shared.data.split import future, history
from shared.progress import keep_summary
from shared.score import by_month, score
from shared.settings import read_settings, user


def main() -> None:
    """Train, test, release, serve and load; release the next version and roll it back under that load."""
    settings, actor = read_settings(), user()
    home = settings.level("level2")

    part(1, "Data", "the flights known today, and those that came after")
    with step("Load the flights of 2013"):
        flights = load_flights(settings)
        known, later = history(flights, settings.now), future(flights, settings.now)

    part(2, "Train", "two models, each a file")
    with candidate(settings, actor=actor, note="the model as it is in code") as first:
        with step(f"Train twice on {len(known):,} flights, while the tests of {first.version} run"):
            model = train(known, settings.today, home / "model")
            other = train(known, settings.today, home / "other-model", max_iter=50)

        part(3, "Evaluate", "the flights that came after, by month")
        with step(f"Score the {len(later):,} flights that came after"):
            probability = predict(load(model)[0], later)
            overall = score(later["late"], probability)
        months = by_month(later, probability)
        show_by_month("The flights that came after", months, overall)

        part(4, "Release", "tested, built, smoke-tested, current")
        one = first.finish(model)

    part(5, "Operate", "a release and its rollback, under load")
    spring, winter = months.index[0], months.index[-1]
    requests = {month: demo.requests_of(later, month) for month in (spring, winter)}
    with demo.running_service(settings) as service, ExitStack() as clients:
        with candidate(settings, actor=actor, note="fewer trees") as second:
            figures = {month: demo.under_load(service.address, month, requests[month]) for month in requests}
            seen = clients.enter_context(traffic(service.address, requests[spring], pause=0.1))
            two = second.finish(other)
        back = roll_back(settings, actor=actor)
        time.sleep(0.5)  # answers of the first release again, after the rollback
    unseen = demo.show_figures(figures, months)
    picture = demo.show_switches(seen, settings)

    part(6, "Report", "what people did by hand")
    keep_summary(settings, "level2", overall, steps=len(demo.MANUAL_STEPS))
    by_hand = show_manual_steps(demo.MANUAL_STEPS)
    adds = {
        "Code under test": f"{one.version}: {one.gates['tests']}",
        "Checked releases": f"{one.version}: {one.gates['checksums']}, {one.gates['smoke test']}",
        "Release by one command": f"{two.version} after {two.seconds:.1f} s, under load",
        "Rollback by one command": f"{back.version} after {back.seconds:.1f} s, under load",
        "No request fails": f"{len(seen.failed)} of {len(seen.rows):,} requests failed",
        "Operational metrics": f"{figures[spring].rate:.0f} requests/s, p99 {figures[spring].p99 * 1000:.0f} ms",
    }
    hurts = {
        "No metrics of the model": unseen,
        "No history of models": demo.compare_files(model, other),
        "Training is by hand": f"as of {settings.today}, and served until {winter}",
        "People wait": by_hand,
    }
    look = {
        show_path(picture): "what the clients saw of release and rollback",
        "make serve": "the service, with /metrics, until Ctrl-C",
    }
    after = "make level3 · training becomes a pipeline that records everything"
    closing("Level 2 · DevOps", f"{overall} of {spring} to {winter}", adds, hurts, look, after)
