"""Level 2 from end to end: tested modules, a service, releases and rollback. The model is only a file."""

import time
from contextlib import ExitStack

from level2_devops import demo
from level2_devops.load_generator import traffic
from level2_devops.model import load, predict, train
from level2_devops.release.pipeline import candidate, roll_back
from shared.console import closing, headline, show_by_month, show_manual_steps, step
from shared.data.flights import load_flights
from shared.data.split import future, history
from shared.progress import keep_summary
from shared.score import by_month, score
from shared.settings import read_settings, user


def main() -> None:
    """Train, test, release, serve and load; release the next version and roll it back under that load."""
    settings, actor = read_settings(), user()
    home = settings.level("level2")

    # 1. Data
    headline(f"Level 2 · DevOps without MLOps. Today is {settings.today}.")
    with step("Load the flights of 2013"):
        flights = load_flights(settings)
        known, later = history(flights, settings.now), future(flights, settings.now)

    # 2. Train
    with candidate(settings, actor=actor, note="the model as it is in code") as first:
        with step(f"Train twice on {len(known):,} flights, while the tests of {first.version} run"):
            model = train(known, settings.today, home / "model")
            other = train(known, settings.today, home / "other-model", max_iter=50)

        # 3. Evaluate
        with step(f"Score the {len(later):,} flights that came after"):
            probability = predict(load(model)[0], later)
            overall = score(later["late"], probability)
        months = by_month(later, probability)
        show_by_month("The flights that came after", months, overall)

        # 4. Release
        one = first.finish(model)

    # 5. Operate
    spring, winter = months.index[0], months.index[-1]
    requests = {month: demo.requests_of(later, month) for month in (spring, winter)}
    with demo.running_service(settings) as service, ExitStack() as clients:
        with candidate(settings, actor=actor, note="fewer trees") as second:
            figures = {month: demo.under_load(service.address, month, requests[month]) for month in requests}
            seen = clients.enter_context(traffic(service.address, requests[spring], pause=0.1))
            two = second.finish(other)
        back = roll_back(settings, actor=actor, note="too few")
        time.sleep(0.5)  # answers of the first release again, after the rollback
    unseen = demo.show_figures(figures, months)
    switches = demo.show_switches(seen, settings)

    # 6. Report
    keep_summary(settings, "level2", overall, steps=len(demo.MANUAL_STEPS))
    by_hand = show_manual_steps(demo.MANUAL_STEPS)
    adds = {
        "Code under test": f"{one.version}: {one.gates['tests']}",
        "Versioned, checked releases": f"{one.version}: {one.gates['checksums']}, {one.gates['smoke test']}",
        "Release by one command": f"{two.version} after {two.seconds:.1f} s, under load: {two.gates['tests']}",
        "Rollback by one command": f"{back.version} after {back.seconds:.1f} s, under load",
        "No request fails": switches,
        "Operational metrics": str(figures[spring]),
    }
    hurts = {
        "No metrics of the model": unseen,
        "A model without a history": demo.compare_files(model, other),
        "Training is by hand": f"trained as of {settings.today}, and served until {winter}",
        "People wait": by_hand,
    }
    closing("Level 2, DevOps", f"{overall} of {spring} to {winter}", adds, hurts)
