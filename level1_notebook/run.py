"""Level 1 from top to bottom: a notebook, a pickle that is handed over, and the flights that came after."""

from pathlib import Path
from statistics import mean

from level1_notebook.demo import draw_months, manual_steps, score_months
from level1_notebook.failure_demos import METRIC, export_by_hand, load_as_other_version, load_malicious
from level1_notebook.jupyter_environment import NOTEBOOK
from level1_notebook.notebook_runner import Replace, code_cells, run_notebooks
from level1_notebook.pickle_audit import questions, read_contents
from level1_notebook.receiver import columns, difference, hand_over, open_pickle, predict
from shared.console import bar, closing, console, part, show_by_month, show_manual_steps, show_path, show_table, step
from shared.data.flights import load_flights
from shared.data.split import future, history
from shared.files import file_digest, short_digest
from shared.progress import keep_summary
from shared.score import mean_score, over_runs, plus_minus, score
from shared.settings import read_settings

RUNS = 5  # of the notebook as it is: it sets no seed, so a single one says little


def main() -> None:
    """Run the notebook, then play the engineer who receives its pickle."""
    settings = read_settings()
    place = settings.level("level1")

    part(1, "Data", "the flights of January to March, exported by hand")
    with step("Load the flights of 2013, and export the past by hand, in metric units"):
        flights = load_flights(settings)
        past, later = history(flights, settings.now), future(flights, settings.now)
        load_export = export_by_hand(past, place / "export" / "flights.parquet")

    part(2, "Train", f"the notebook, {RUNS} times")
    wanted: dict[Path, Replace] = {place / f"run{number}": {} for number in range(1, RUNS + 1)}
    wanted[place / "metric"] = {"load": load_export}
    name = f"Run the notebook: {RUNS} times as it is, and on the export"
    with bar(name, total=len(wanted) * code_cells()) as advance:
        *runs, metric = run_notebooks(settings, wanted, advance)
    first = runs[0]

    part(3, "Evaluate", "what the notebook claims")
    claimed = plus_minus([run.claim.log_loss for run in runs])
    claims = f"log loss {claimed}, AUC {plus_minus([run.claim.auc for run in runs])}"
    console.print(f"  On a random fifth of its own flights: {claims} (mean ± SD of {RUNS} runs)")

    part(4, "Release", "an engineer gets its pickle and a note")
    file = hand_over(first.model, place / "receiver")
    asked = questions(file, open_pickle(file))
    show_table(f"The receiver asks {file.name}", ["Question", "What the file says", "Still open"], asked)
    warnings, malicious = load_as_other_version(file), load_malicious(place / "malicious")
    callables = len(read_contents(file).callables)
    console.print(f"  To load it, Python calls {callables} things that it names; {malicious}")

    part(5, "Operate", "the flights that came after")
    with step(f"Score the {len(wanted)} models on the {len(later):,} flights that came after"):
        x = columns(later, past)
        chances = [predict(open_pickle(run.model), x) for run in runs]
        then = [score(later["late"], chance) for chance in chances]
        then_metric = score(later["late"], predict(open_pickle(metric.model), x))
        months = score_months(later, chances, past["late"].mean())
        picture = draw_months(months, mean(run.claim.log_loss for run in runs), settings)
    apart = difference(*chances[:2])
    digests = " and ".join(short_digest(file_digest(run.model)) for run in runs[:2])
    console.print(f"  Two runs of one notebook: sha256 {digests}, {apart}")
    misled = f"log loss {metric.claim.log_loss:.3f} claimed, then {then_metric.log_loss:.3f}"
    console.print(f"  With {len(METRIC)} columns in other units: {len(metric.warnings)} warnings, {misled}")
    show_by_month(f"Log loss: claimed {claimed}, and then (mean of {RUNS} runs)", months, mean_score(then))

    part(6, "Report", "what people did by hand")
    steps = manual_steps(code_cells(), first.plots, len(asked), x.shape[1], len(months))
    waiting = show_manual_steps(steps)
    adds = {
        "A model, end to end": f"{code_cells()} cells from a clean kernel, {file.stat().st_size:,} bytes out",
        "A look at the data": f"{first.plots} plots in {NOTEBOOK.name}",
    }
    hurts = {
        "The claim does not hold": f"log loss {claimed} claimed, then {plus_minus([one.log_loss for one in then])}",
        "Two runs, two models": f"on the same flight {apart.partition(',')[0]}",
        "Bad data is accepted": f"{len(METRIC)} columns in other units: {len(metric.warnings)} warnings",
        "The file is opaque": f"{len(asked)} questions, each open in part or whole",
        "Loading it runs its code": malicious,
        "Another version only warns": f"{len(warnings)} warnings, no error",
        "People wait": waiting,
    }
    look = {
        "make notebook": "the notebook: look for its mistakes",
        show_path(picture): "the claim beside the months that came after",
    }
    keep_summary(settings, "level1", then, steps=len(steps))
    result = f"{over_runs(then)} of {months.index[0]} to {months.index[-1]}".replace(" on ", "\n  on ")
    after = "make level2 · the same model as tested code, in a service, with releases"
    closing("Level 1 · notebook", result, adds, hurts, look, after)
