"""Level 2 from end to end: modules with tests, a service, releases that can be taken back. The model is a mere file."""

import getpass

from level2_devops import story
from level2_devops.model import load, predict
from level2_devops.release import candidate, release, roll_back
from level2_devops.traffic import load_for, traffic
from level2_devops.train import train
from shared.console import closing, console, headline, show_table, step
from shared.flights import load_flights
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
    console.print(f"  {one.version} after {one.seconds:.1f} s: {'; '.join(f'{k}: {v}' for k, v in one.gates.items())}")

    # 5. Operate
    ends = [months.index[0], months.index[-1]]
    requests = {month: story.requests_of(later, month) for month in ends}
    with story.served(settings) as service:
        with step(f"Load {service.address} with flights of {' and then of '.join(ends)}"):
            figures = [load_for(2.0, service.address, requests[month])[0] for month in ends]
        story.show_figures(ends, figures, months)
        with traffic(service.address, requests[ends[0]], pause=0.1) as seen:
            two = release(other, settings, who=who, note="fewer trees")
            back = roll_back(settings, who=who, note="too few")
    swap = story.show_swap(seen)
    show_table("Who acts, by hand", ["Who", "Does", "What waits"], [list(act) for act in story.ACTS])

    # 6. Tell
    low, high = (months.loc[month, "log_loss"] for month in ends)
    calm, drifted = figures
    adds = {
        "Code under test": f"the gate ran: {one.gates['tests']}",
        "Versioned, checked releases": f"{one.version}: {one.gates['checksums']}; {one.gates['smoke test']}",
        "Released under load": f"{two.version} in {two.seconds:.1f} s, rolled back to {back.version} in {back.seconds:.1f} s",
        "Nobody noticed": swap,
        "Operational metrics": f"{calm.rate:.0f} requests/s, p50 {calm.p50 * 1000:.0f} ms, p99 {calm.p99 * 1000:.0f} ms, {calm.errors:.0f} errors, from /metrics",
    }
    hurts = {
        "No metrics of the model": f"{ends[0]} → {ends[1]}: errors {calm.errors:.0f} → {drifted.errors:.0f}, p50 {calm.p50 * 1000:.0f} → {drifted.p50 * 1000:.0f} ms, but log loss {low:.3f} → {high:.3f}",
        "A model without a history": f"two models: {story.untracked(model, other)}",
        "Training by hand": "nothing starts it, nothing records its data, parameters or scores",
        "People wait": f"{len(story.ACTS)} steps by hand, {story.hand_overs()} hand-overs for one model",
    }
    period = f"{overall.rows:,} flights of {ends[0]} to {ends[1]}"
    closing("Level 2, DevOps", f"log loss {overall.log_loss:.4f}, AUC {overall.auc:.4f} on the {period}", adds, hurts)
