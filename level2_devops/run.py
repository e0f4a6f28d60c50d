"""Level 2 from end to end: modules with tests, a service, releases that can be taken back. The model is a mere file."""

import getpass
import time
from contextlib import ExitStack

from level2_devops import story
from level2_devops.model import load, predict
from level2_devops.picture import draw_swap
from level2_devops.release import candidate, roll_back
from level2_devops.traffic import measure, traffic
from level2_devops.train import train
from shared.console import closing, headline, show_table, step
from shared.flights import load_flights
from shared.progress import keep_summary
from shared.score import score
from shared.settings import read_settings
from shared.split import future, history


def main() -> None:
    """Train, test, release, serve and load; release the next version and roll it back under that load."""
    settings, who = read_settings(), getpass.getuser()
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
        months = story.show_months(later, probability, overall)

        # 4. Release
        one = first.finish(model)

    # 5. Operate
    ends = [months.index[0], months.index[-1]]
    calm, drifted = (story.requests_of(later, month) for month in ends)
    figures = []
    with story.served(settings) as service, ExitStack() as clients:
        with candidate(settings, who=who, note="fewer trees") as second:
            with step(f"Load {service.address}: {' and then '.join(ends)}, beside the tests of {second.version}"):
                for requests in (calm, drifted):
                    with traffic(service.address, requests):
                        figures.append(measure(service.address, 2.0))
            seen = clients.enter_context(traffic(service.address, calm, pause=0.25))
            two = second.finish(other)
        back = roll_back(settings, who=who, note="too few")
        time.sleep(0.5)  # the clients see the release that is back
    unseen = story.show_figures(ends, figures, months)
    with step("Draw what the clients saw"):
        picture = draw_swap(seen, settings)
    swap = story.show_swap(seen, picture)

    # 6. Tell
    show_table("Who acts, by hand", ["Who", "Does", "What waits"], [list(act) for act in story.ACTS])
    adds = {
        "Code under test": f"{one.version}: {one.gates['tests']}",
        "Versioned, checked releases": f"{one.version}: {one.gates['checksums']}, {one.gates['smoke test']}",
        "Release by one command": f"{two.version} after {two.seconds:.1f} s, under load: {two.gates['tests']}",
        "Rollback by one command": f"{back.version} after {back.seconds:.1f} s, under load",
        "Nobody is cut off": swap,
        "Operational metrics": str(figures[0]),
    }
    hurts = {
        "No metrics of the model": unseen,
        "A model without a history": story.untracked(model, other),
        "Training is by hand": f"trained once, as of {settings.today}, and served until {ends[1]}",
        "People wait": f"{len(story.ACTS)} steps by hand and {story.hand_overs()} hand-overs for one model",
    }
    keep_summary(settings, "level2", overall, steps=len(story.ACTS))
    result = f"log loss {overall.log_loss:.3f}, AUC {overall.auc:.3f} on {overall.rows:,} flights"
    closing("Level 2, DevOps", f"{result} of {ends[0]} to {ends[1]}", adds, hurts)
