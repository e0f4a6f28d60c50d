"""Level 2 from end to end: modules with tests, a service, releases that can be taken back. The model is a mere file."""

import time
from contextlib import ExitStack

from level2_devops import demo
from level2_devops.load_generator import traffic
from level2_devops.model import load, predict
from level2_devops.release.pipeline import candidate, roll_back
from level2_devops.train import train
from shared.console import closing, headline, show_acts, step
from shared.data.flights import load_flights
from shared.data.split import future, history
from shared.progress import keep_summary
from shared.score import score
from shared.settings import read_settings, user


def main() -> None:
    """Train, test, release, serve and load; release the next version and roll it back under that load."""
    settings, who = read_settings(), user()
    home = settings.level("level2")

    # 1. Data
    headline(f"Level 2 · DevOps without MLOps. Today is {settings.today}.")
    with step("Load the flights of 2013"):
        flights = load_flights(settings)
        known, later = history(flights, settings.now), future(flights, settings.now)

    # 2. Train
    with candidate(settings, who=who, note="the model as it is in code") as first:
        with step(f"Train twice on {len(known):,} flights, while the tests of {first.version} run"):
            model = train(known, settings.today, home / "model")
            other = train(known, settings.today, home / "other-model", max_iter=50)

        # 3. Evaluate
        with step(f"Score the {len(later):,} flights that came after"):
            probability = predict(load(model)[0], later)
            overall = score(later["late"], probability)
        months = demo.show_months(later, probability, overall)

        # 4. Release
        one = first.finish(model)

    # 5. Operate
    spring, winter = months.index[0], months.index[-1]
    asked = {month: demo.requests_of(later, month) for month in (spring, winter)}
    with demo.served(settings) as service, ExitStack() as clients:
        with candidate(settings, who=who, note="fewer trees") as second:
            figures = {month: demo.under_load(service.address, month, asked[month]) for month in asked}
            seen = clients.enter_context(traffic(service.address, asked[spring], pause=0.1))
            two = second.finish(other)
        back = roll_back(settings, who=who, note="too few")
        time.sleep(0.5)  # the clients see the release that is back
    unseen = demo.show_figures(figures, months)
    swap = demo.show_swap(seen, settings)

    # 6. Tell
    keep_summary(settings, "level2", overall, steps=len(demo.ACTS))
    people = show_acts(demo.ACTS)
    adds = {
        "Code under test": f"{one.version}: {one.gates['tests']}",
        "Versioned, checked releases": f"{one.version}: {one.gates['checksums']}, {one.gates['smoke test']}",
        "Release by one command": f"{two.version} after {two.seconds:.1f} s, under load: {two.gates['tests']}",
        "Rollback by one command": f"{back.version} after {back.seconds:.1f} s, under load",
        "Nobody is cut off": swap,
        "Operational metrics": str(figures[spring]),
    }
    hurts = {
        "No metrics of the model": unseen,
        "A model without a history": demo.untracked(model, other),
        "Training is by hand": f"trained as of {settings.today}, and served until {winter}",
        "People wait": people,
    }
    closing("Level 2, DevOps", f"{overall} of {spring} to {winter}", adds, hurts)
