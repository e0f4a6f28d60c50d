"""Every picture of the project, from small inputs: readable in a lecture room, in print and to the colour-blind."""

import re
import sys
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text
from numpy.typing import NDArray
from PIL import Image
from threadpoolctl import threadpool_limits

from level1_notebook.demo import draw_months, score_months
from level1_notebook.notebook_runner import read_notebook
from level2_devops.demo import draw_switches
from level2_devops.load_generator import Traffic
from level3_training_pipeline.pipeline import plots
from level3_training_pipeline.pipeline.evaluate import Evaluation, with_interval
from level4_deployment.experiment.design import Plan, judge
from level4_deployment.experiment.plots import calibration_plot, verdict_plot
from level5_monitoring.benchmarks.detection_metrics import METHODS, SCALES
from level5_monitoring.benchmarks.monitors import detection_plot
from shared import pictures
from shared.score import calibration, score
from shared.settings import PROJECT, Settings
from tests.colours import XYZ, contrast, linear
from tests.factories import closed_days, day_differences

UNITS = r"nats per flight|%|milliseconds|seconds|days|standard errors|minutes|miles|inches|mph|°F|hour|2013"
DEUTERANOPIA = [  # linear RGB as seen without M cones (Machado, Oliveira and Fernandes, IEEE TVCG 2009)
    [0.367322, 0.860646, -0.227968],
    [0.280085, 0.672501, 0.047413],
    [-0.011820, 0.042940, 0.968881],
]
PALETTE = ["CHAMPION", "CHALLENGER", "BASE_RATE", "BETTER", "WORSE", "NEUTRAL"]
SHOWN = re.compile(r'<img src="([^"]+\.png)" width="(\d+)" alt="([^"]+)">')

PLAN = Plan(max_days=28, promote_non_inferior=True)
VERDICTS = {  # by what the title says: the mean gain of so many days
    "crosses the upper boundary on day 14: promoted": (0.02, 28),
    "is not worse by the margin on day 28: promoted": (0.0, 28),
    "crosses the lower boundary on day 7: rejected": (-0.1, 28),
    "is undecided after day 20": (0.0, 20),
    "is undecided after day 3": (0.0, 3),
    ": too early, 0 closed days": (0.0, 0),
}


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are drawn to be saved."""
    found: list[Figure] = []
    monkeypatch.setattr(pictures, "save", lambda figure, _: found.append(figure))
    return found


def check(figure: Figure) -> None:
    """Fail for anything that a reader in the last row would complain about."""
    assert figure.get_figwidth() * pictures.PER_INCH == pytest.approx(pictures.WIDTH, abs=5), "sizes are those shown"
    figure.draw_without_rendering()
    texts = visible(figure)
    small = [text.get_text() for text in texts if text.get_fontsize() < 14]
    assert not small, "too small"
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts]
    page = figure.bbox
    for name, box in boxes:
        assert page.x0 <= box.x0 <= box.x1 <= page.x1, f"{name!r} is cut on a side"
        assert page.y0 <= box.y0 <= box.y1 <= page.y1, f"{name!r} is cut above or below"
    for (name, box), (other, over) in combinations(boxes, 2):
        apart = box.x1 <= over.x0 + 1 or over.x1 <= box.x0 + 1 or box.y1 <= over.y0 + 1 or over.y1 <= box.y0 + 1
        assert apart, f"{name!r} overlaps {other!r}"
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            numbers = [text.get_text() for text in axis.get_ticklabels() if text in texts]
            if numbers and all(re.fullmatch(r"[−\d.,]+", number) for number in numbers):
                label = axis.get_label().get_text()
                assert re.search(UNITS, label), f"no unit in {label!r}"


def visible(figure: Figure) -> list[Any]:
    """The texts that are drawn: matplotlib also keeps labels of ticks beyond the ends of an axis."""
    beyond: set[int] = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            beyond |= {id(tick.label1) for tick in axis.get_major_ticks() if not low <= tick.get_loc() <= high}
    return [text for text in figure.findobj(Text) if text.get_visible() and text.get_text() and id(text) not in beyond]


def title(figure: Figure) -> str:
    """The message, in one line."""
    return figure.get_suptitle().replace("\n", " ").replace("\xa0", " ")


def test_months(drawn: list[Figure], later: pd.DataFrame, settings: Settings) -> None:
    some = later.sample(5000, random_state=0)
    months = score_months(some, [np.full(len(some), share) for share in (0.2, 0.3)], 0.24)
    draw_months(months, 0.4, settings)
    check(drawn[0])
    higher = (months["log_loss"] > 0.4).sum()
    assert title(drawn[0]) == f"Claimed log loss 0.400; in {higher} of the 9 months after, it was higher"


def test_the_switches_of_a_release_and_its_rollback_are_marked(drawn: list[Figure], settings: Settings) -> None:
    rng = np.random.default_rng(0)
    rows = [[at, rng.lognormal(3), 200, "1.0.1" if 6 <= at < 8 else "1.0.0"] for at in np.arange(0, 9, 0.02).tolist()]
    rows[40][2:] = [0, "refused"]
    draw_switches(Traffic(rows), settings)
    check(drawn[0])
    assert title(drawn[0]) == "1 of 450 requests failed during a release and its rollback"
    marks = {mark.get_text(): mark.xy[0] for mark in drawn[0].axes[0].texts if isinstance(mark, Annotation)}
    assert marks == {"release of 1.0.1": pytest.approx(6), "rollback to 1.0.0": pytest.approx(7.98)}


@pytest.fixture(scope="module")
def evaluation(later: pd.DataFrame) -> Evaluation:
    """The candidate and the base rate on some flights; a carrier has few."""
    test = later.sample(5000, random_state=0)
    test = test.assign(day=test["flight_id"].str[:10])
    late, rng = test["late"].to_numpy(float), np.random.default_rng(0)
    chance = np.clip(0.25 + 0.2 * (late - 0.25) + rng.normal(0, 0.05, len(test)), 0.01, 0.99)
    return Evaluation(
        {"base rate": score(late, np.full(len(test), 0.25)), "candidate": score(late, chance)},
        {column: with_interval(test, chance, column) for column in ("origin", "carrier")},
        pd.DataFrame(),
        calibration(late, chance),
    )


def test_an_evaluation(evaluation: Evaluation) -> None:
    for draw in (plots.calibration, plots.scores, plots.slices):
        check(draw(evaluation))
    assert title(plots.scores(evaluation)).startswith("Of 2 models on 5,000 flights, the candidate has the lowest")


def test_slices_of_few_flights_are_named_and_not_drawn(evaluation: Evaluation) -> None:
    figure = plots.slices(evaluation)
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    rows = {name.split("\xa0")[0]: int(name.split("(")[1].rstrip(")").replace(",", "")) for name in names}
    assert min(rows.values()) >= plots.FEWEST
    carriers = evaluation.slices["carrier"]["rows"]
    few = carriers[carriers < plots.FEWEST]
    assert len(few)
    assert not set(few.index) & set(rows)
    assert all(f"{name}\xa0({number})" in figure.get_supxlabel() for name, number in few.items())


@pytest.mark.parametrize("message", VERDICTS)
def test_a_verdict(message: str) -> None:
    mean, days = VERDICTS[message]
    shown = closed_days(day_differences(mean, days) if days else [])
    verdict = judge(PLAN, shown)
    figure = verdict_plot(PLAN, shown, verdict, 7)
    check(figure)
    gain, z = figure.axes
    assert f"Version 7{' ' * (message[0] != ':')}{message}" in title(figure)
    assert list(z.get_xticks()) == [0, 7, 14, 21, 28]
    assert z.get_ylim()[1] == 6 or abs(verdict.z or 0) > 5, "verdicts are compared on one scale"
    lines = {len(np.asarray(line.get_xdata())): np.asarray(line.get_ydata(), dtype=float) for line in z.lines}
    if days:
        assert lines[verdict.day][-1] == pytest.approx(verdict.z), "days after the verdict are not drawn"
    assert ("lower bound" in {text.get_text() for text in gain.texts}) == (verdict.least is not None)


def test_a_verdict_without_a_winner() -> None:
    unsound = closed_days(day_differences(0.02), champion_arm=900, challenger_arm=10)
    equal, plan = closed_days(day_differences(0.0)), Plan(max_days=28)
    for days, message in ((unsound, "is blocked on day 14"), (equal, "crosses no boundary by day 28: inconclusive")):
        figure = verdict_plot(plan, days, judge(plan, days), 7)
        check(figure)
        assert message in title(figure)


def test_the_band_is_named_by_the_plans_own_alpha() -> None:
    plan, days = Plan(alpha=0.1), closed_days(day_differences(0.0, 20))
    assert "90% confidence" in {
        text.get_text() for text in verdict_plot(plan, days, judge(plan, days), 2).axes[0].texts
    }


def test_error_rates_of_tests() -> None:
    rng, methods = np.random.default_rng(0), ["as planned", "28 days, SE x 1", "daily peeking"]
    rows = [[name, *rng.uniform(0, 0.2 * (place + 1), 2)] for place, name in enumerate(methods) for _ in range(18)]
    check(calibration_plot(pd.DataFrame(rows, columns=["method", "symmetric", "false"]), 0.05))


def test_each_method_of_detection_is_named_at_its_dot() -> None:
    at = [(0.2, 4.9), (29.1, 3.8), (30, 8.3), (29.8, 10.4), (30, 15), (29.8, 15), (21.7, 8.3), (29.8, 9.9), (9.9, 14.4)]
    rows = [[method, scale, y / scale**0.2, x] for method, (x, y) in zip(METHODS, at, strict=True) for scale in SCALES]
    figure = detection_plot(pd.DataFrame(rows, columns=["method", "scale", "delay", "days in alarm"]), 275)
    check(figure)
    assert {text.get_text().replace("\n", " ") for text in figure.axes[0].texts} == set(METHODS)


def test_the_notebook(known: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    names: dict[str, Any] = {}
    checked = 0
    with mpl.rc_context(), threadpool_limits(1):
        plt.switch_backend("agg")
        for cell in read_notebook().cells:
            if cell.cell_type != "code":
                continue
            code = re.sub("^%.*$", "", cell.source, flags=re.MULTILINE).replace("(150, 63)", "(20, 31)")
            if "load" in cell.metadata.get("tags", []):
                code, names["df"] = "", known.sample(4000, random_state=0)
            exec(code, names)  # noqa: S102 - the project's own notebook
            for number in plt.get_fignums():
                check(plt.figure(number))
                checked += 1
            plt.close("all")
    assert checked == 5


def lab(colour: NDArray[np.float64]) -> NDArray[np.float64]:
    """CIELAB of linear RGB, in which a distance of 10 is seen at a glance."""
    x, y, z = np.array(XYZ) @ colour / [0.9505, 1, 1.089]
    x, y, z = (np.cbrt(one) if one > 0.008856 else 7.787 * one + 16 / 116 for one in (x, y, z))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("name", PALETTE)
def test_each_colour_is_seen_on_white(name: str) -> None:
    assert contrast(getattr(pictures, name), "#fff") >= 3, "WCAG 2.2, 1.4.11: a graphic's contrast"


@pytest.mark.parametrize(("first", "second"), list(combinations(PALETTE, 2)))
def test_colours_are_told_apart_with_and_without_deuteranopia(first: str, second: str) -> None:
    colours = [linear(getattr(pictures, name)) for name in (first, second)]
    for seen in (np.eye(3), np.array(DEUTERANOPIA)):
        one, other = (lab(np.clip(seen @ colour, 0, 1)) for colour in colours)
        assert np.linalg.norm(one - other) >= 15


def pictures_of_documents() -> Iterator[Any]:
    """(document, PNG, width in CSS pixels) of each picture that a document shows."""
    for document in [*PROJECT.glob("level[1-5]_*/README.md"), *PROJECT.glob("docs/*.md")]:
        for source, width, _ in SHOWN.findall(document.read_text(encoding="utf-8")):
            yield pytest.param(document.parent / source, int(width), id=f"{document.parent.name}-{Path(source).stem}")


@pytest.mark.parametrize(("file", "width"), list(pictures_of_documents()))
def test_a_picture_in_a_document_has_twice_the_pixels_and_is_small(file: Path, width: int) -> None:
    with Image.open(file) as picture:
        assert picture.size[0] == 2 * width == 2 * pictures.WIDTH
    assert file.stat().st_size < 150_000


def test_a_saved_picture_is_the_drawn_one(tmp_path: Path) -> None:
    figure, (axes,) = pictures.draw("A line", 300)
    axes.plot([0, 1], [0, 1], color=pictures.WORSE, linewidth=9)
    with Image.open(pictures.save(figure, tmp_path / "line.png")) as picture:
        assert picture.size == (1600, 600)
        shown = np.array(picture.convert("RGB")).reshape(-1, 3)
    wanted = [int(pictures.WORSE[at : at + 2], 16) for at in (1, 3, 5)]
    assert (np.abs(shown - np.array(wanted)).max(axis=1) <= 4).sum() > 1000
