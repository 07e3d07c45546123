"""What a stranger sees: captions, one look for one thing, and names beside marks."""

from dataclasses import replace
from io import BytesIO
from itertools import combinations, pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_records import ROWS, jobs, put
from matplotlib import colors
from matplotlib.figure import Figure
from matplotlib.text import Text

from deepthink.report import captions, costs, experiments, figures, page, paper, rivals
from deepthink.report.figures import FIGURES, Drawn, demonstrations, front, iterations, labels
from deepthink.report.figures.labels import Label
from deepthink.report.figures.style import LOOKS, Picture, Thing, look, ramp, style
from deepthink.report.layouts import PAPERS_STEP_SIZE, RULES
from deepthink.report.measurements import Subject, subjects
from deepthink.report.render import escaped
from deepthink.report.runs import Runs, Scale

SMALL = ("model=smollm2-135m", "test_size=6", "dev_size=6", "pool_size=9")
SCALE = Scale(6, 6, 9, "float32")


def every_job(results: Path, experiment: str) -> None:
    """Records of the first draws of an experiment on one model, with other numbers at every t."""
    (like,) = jobs("task=sst2", *SMALL)
    draws = 1 if experiment in ("rivals", "table1") else 3
    for place, setting in enumerate(experiments.settings(experiment)):
        for (seed, order), config in product(setting.draws[:draws], setting.configs):
            config = replace(config, model=like.model, seed=seed, order=order, test_size=ROWS)
            if experiment != "figure3":  # a suite has its own demonstrations and no dev set
                config = replace(config, dev_size=ROWS, pool_size=9)
            steps = range(1, config.method.iterations + 1)
            hits, dev = ({t: (place + seed + a * t) % (ROWS + 1) for t in steps} for a in (1, 2))
            likely = {t: -1 / t for t in steps}
            put(results, config, hits, dev if config.dev_size else None, left_out=likely)


WITHOUT_SCORES = [figure for figure in FIGURES if figure.name != "mechanism"]
"""The figures that are drawn from records alone; for the other see test_mechanism."""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("figures")
    for experiment in sorted({figure.experiment for figure in WITHOUT_SCORES}):
        every_job(folder, experiment)
    return folder


Pictures = list[tuple[Drawn, Figure]]


@pytest.fixture(scope="module")
def pictures(results: Path) -> Pictures:
    return list(figures.every(page.load(results), lambda _: None))


def the(pictures: Pictures, name: str) -> tuple[Drawn, Figure]:
    (found,) = (pair for pair in pictures if pair[0].figure.name == name)
    return found


# captions


def test_every_figure_is_drawn_with_a_caption_and_without_a_title(pictures: Pictures) -> None:
    assert {drawn.figure.name for drawn, _ in pictures} == {f.name for f in WITHOUT_SCORES}
    for drawn, figure in pictures:
        assert figure.get_suptitle() == ""
        assert drawn.caption.startswith(f"{drawn.title} (smollm2-135m: ")
        assert drawn.text.endswith(".") and ".." not in drawn.text and "  " not in drawn.text
        assert len(drawn.alt) < 120


def test_figures_of_the_paper_say_what_the_papers_own_shows(pictures: Pictures) -> None:
    told = set(paper.read("figures")["figure"])
    assert told == {f.name for f in FIGURES if f.name.startswith("figure")}
    for drawn, _ in pictures:
        assert ("In the paper, " in drawn.text) == (drawn.figure.name in told)
    for gain in ("STEM +3.9", "Humanities +2.3", "Social Sciences +2.6", "Others +2.5"):
        assert gain in the(pictures, "figure3")[0].text


def test_the_page_shows_the_caption_below_the_image(results: Path, pictures: Pictures) -> None:
    drawn = [one for one, _ in pictures]
    texts = dict(page.texts(results, page.load(results), drawn))
    for one in drawn:
        entry = f"## {one.file}\n\n{escaped(one.caption)}\n"
        assert entry in texts["figures/captions.md"]
        if one.figure.name == "stopping":
            continue  # its section waits until every draw is there
        image = f"![{escaped(one.alt)}](figures/{one.file}.png)"
        assert f"{image}\n\n*{escaped(one.caption)}*\n" in texts["README.md"]


def test_a_caption_cannot_break_the_page() -> None:
    assert escaped("a*b_c [d](e) `f` <g>") == r"a\*b\_c \[d\](e) \`f\` \<g\>"
    subject = Subject(Runs([]), "my_*model*", SCALE)
    shown = captions.image(Drawn(FIGURES[0], subject, "A title", "A text."))
    assert shown.startswith(r"![A title, my\_\*model\*](figures/")
    assert shown.count("*") - shown.count(r"\*") == 2


def test_captions_count_what_is_drawn(tmp_path: Path) -> None:
    for size, hits in ((PAPERS_STEP_SIZE, {1: 2, 15: 5}), ("0.1", {1: 2, 15: 1})):
        (config,) = jobs(
            "task=sst2", "method=deepthink_curve", *SMALL, f"method.step_size={size}"
        )  # fmt: skip
        put(tmp_path, config, hits)
    (subject,) = subjects(page.load(tmp_path), "figure6")
    picture = iterations.step_sizes(subject)
    assert picture is not None
    assert "+50.0 at η = 0.01, −16.7 at η = 0.1 (points)" in picture.text
    assert "(n = 1). Bands are drawn from three draws on." in picture.text


def test_lines_of_one_panel_are_of_the_same_draws(tmp_path: Path) -> None:
    """A line with a draw of its own would begin elsewhere at t = 1, where all are vanilla."""

    def drawn(size: str, seed: int, hits: dict[int, int]) -> Picture | None:
        (config,) = jobs(
            "task=sst2", "method=deepthink_curve", *SMALL, f"method.step_size={size}",
            f"seed={seed}",
        )  # fmt: skip
        put(tmp_path, config, hits)
        (subject,) = subjects(page.load(tmp_path), "figure6")
        return iterations.step_sizes(subject)

    assert drawn(PAPERS_STEP_SIZE, 0, {1: 2, 15: 5}) is not None
    assert drawn("0.1", 1, {1: 6, 15: 1}) is None
    picture = drawn("0.1", 0, {1: 2, 15: 1})
    assert picture is not None
    assert "+50.0 at η = 0.01, −16.7 at η = 0.1 (points)" in picture.text
    assert "(n = 1)" in picture.text
    (axes, _) = picture.figure.axes
    first = [np.asarray(line.get_ydata())[0] for line in axes.lines if line.get_marker() != "None"]
    assert first == pytest.approx([100 * 2 / 6] * 2)


def test_one_number_of_demonstrations_is_not_shown(
    tmp_path: Path,
) -> None:
    (config,) = jobs("task=sst2", "method=deepthink", *SMALL)
    put(tmp_path, config, {1: 2, 5: 3})
    (subject,) = subjects(page.load(tmp_path), "figure4")
    picture = demonstrations.counts(subject)
    assert picture is not None
    assert "On SST2 vanilla has 33.3 with 8 demonstrations. The largest" in picture.text
    assert "from it is +16.7 points." in picture.text
    assert "AG News" not in picture.text.partition("In the paper")[0]
    assert not {figure.name: figure.shows(subject) for figure in figures.FIGURES}["figure4"]


def test_the_spread_needs_two_draws(tmp_path: Path) -> None:
    for seed in range(2):
        (config,) = jobs("task=sst2", "method=deepthink", *SMALL, f"seed={seed}")
        put(tmp_path, config, {1: 2 + seed, 5: 3})
        (subject,) = subjects(page.load(tmp_path), "figure5_seeds")
        spread = demonstrations.spread(subject)
        assert (spread is None) == (seed == 0)
    assert spread is not None and "deviation (SD) goes from 11.8 to 0.0 over draws" in spread.text


def test_figures_are_drawn_in_the_same_bytes_twice(results: Path, pictures: Pictures) -> None:
    again = figures.every(page.load(results), lambda _: None)
    for (drawn, first), (_, second) in zip(pictures, again, strict=True):
        once, twice = BytesIO(), BytesIO()
        first.savefig(once, format="png", dpi=60)
        second.savefig(twice, format="png", dpi=60)
        assert once.getvalue() == twice.getvalue(), drawn.file


# looks

ONE_PANEL = (
    Thing.VANILLA, Thing.THINKING, Thing.ALIGNED, Thing.ROTATED, Thing.AUTHORS, Thing.DEV,
)  # fmt: skip
"""Things whose curves meet in a panel."""

RGB_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750],
     [0.0193339, 0.1191920, 0.9503041]]
)  # fmt: skip
SEEN = {
    "by most": np.eye(3),
    "with protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
         [-0.003882, -0.048116, 1.051998]]
    ),
    "with deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
         [-0.011820, 0.042940, 0.968881]]
    ),
}  # fmt: skip
"""Linear RGB as it is seen: Machado, Oliveira and Fernandes (2009), severity 1."""


def lab(colour: Any, seen: str = "by most") -> np.ndarray:
    """CIE L*, a*, b* of an sRGB colour under D65."""
    rgb = np.array(colors.to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = RGB_TO_XYZ @ np.clip(SEEN[seen] @ linear, 0, 1) / [0.95047, 1.0, 1.08883]
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def test_colours_are_measured_as_the_standard_says() -> None:
    assert lab("white") == pytest.approx([100, 0, 0], abs=0.01)
    assert lab("#ff0000") == pytest.approx([53.24, 80.09, 67.20], abs=0.02)


def test_no_two_things_look_alike() -> None:
    assert set(LOOKS) == set(Thing)
    for part in ("color", "marker", "linestyle"):
        assert len({str(getattr(of, part)) for of in LOOKS.values()}) == len(Thing), part


@pytest.mark.parametrize("seen", SEEN)
def test_curves_that_meet_differ_in_grey_and_for_the_colour_blind(seen: str) -> None:
    for a, b in combinations(ONE_PANEL, 2):
        first, second = lab(LOOKS[a].color, seen), lab(LOOKS[b].color, seen)
        assert np.linalg.norm(first - second) > 15, (a, b)
        if seen == "by most":
            assert abs(first[0] - second[0]) > 10, (a, b)


def test_a_calibrated_mark_is_filled_and_a_raw_one_is_not() -> None:
    raw, calibrated = look(Thing.ALIGNED), look(Thing.ALIGNED, calibrated=True)
    assert raw.pop("markerfacecolor") == "white"
    assert calibrated.pop("markerfacecolor") == LOOKS[Thing.ALIGNED].color
    assert raw == calibrated


@pytest.mark.parametrize("count", [1, 3, 8])
def test_levels_grow_darker_and_differ_without_colour(count: int) -> None:
    lightness = [lab(level["color"])[0] for level in ramp(count)]
    assert all(a - b > 5 for a, b in pairwise(lightness))
    assert len({(level["marker"], level["linestyle"]) for level in ramp(count)}) == count


def test_vanilla_and_thinking_look_the_same_in_every_figure(pictures: Pictures) -> None:
    looks: dict[str, set[tuple[Any, ...]]] = {"vanilla": set(), "thinking, t = 5": set()}
    for name in ("figure3", "figure4", "prices"):
        for axes in the(pictures, name)[1].axes:
            handles: tuple[list[Any], list[str]] = axes.get_legend_handles_labels()
            for handle, label in zip(*handles, strict=True):
                if label in looks:
                    line = handle[0] if isinstance(handle, tuple) else handle
                    looks[label].add((line.get_color(), line.get_marker()))
    assert looks == {
        "vanilla": {(LOOKS[Thing.VANILLA].color, "o")},
        "thinking, t = 5": {(LOOKS[Thing.THINKING].color, "s")},
    }


# names beside marks


def test_names_cover_neither_each_other_nor_marks() -> None:
    marks = [(1.0 + 0.02 * (i % 4), 1.0 + 0.03 * (i // 4)) for i in range(12)]
    with style():
        figure = Figure(figsize=(6, 4))
        axes = figure.subplots()
        axes.set(xlim=(0, 2), ylim=(0, 2))
        names = [Label(x, y, f"method {i}", "black") for i, (x, y) in enumerate(marks)]
        labels.write(axes, names, marks, [(0.0, 1.0), (2.0, 1.0)])
        found = [text for text in axes.texts if text.get_text()]
        assert [text.get_text() for text in found] == [label.text for label in names]
        figure.draw_without_rendering()
        placed = [text_box(text) for text in found]
    spots = [axes.transData.transform(mark) for mark in marks]
    for a, b in combinations(placed, 2):
        assert not a.overlaps(b)
    for box in placed:
        assert not any(box.contains(*spot) for spot in spots)
        assert axes.get_window_extent().fully_contains(box.x0, box.y0)
        assert axes.get_window_extent().fully_contains(box.x1, box.y1)


def text_box(note: Any) -> Any:
    """The box of a note's words alone, without its line to the mark."""
    return Text.get_window_extent(note)


def test_every_method_is_named_once_in_the_figure_of_choices(pictures: Pictures) -> None:
    _, figure = the(pictures, "compute")
    texts = [text.get_text().partition(" (n =")[0] for text in figure.axes[0].texts]
    texts = [text for text in texts if not text.startswith(("chance", "majority"))]
    ways = ("vanilla", "thinking, t = 5", "thinking, t by dev", "LENS", "Random ♣", "repetition")
    assert sorted(texts) == sorted([*ways, *RULES.values()])


def test_the_price_of_choosing_is_that_of_the_tables(results: Path) -> None:
    (subject,) = subjects(page.load(results), "table1")
    of = front.ways(subject)
    (lens,) = (entry for entry in of.entries if entry.line.label == "LENS")
    spent = [
        costs.price(run, part.reading, costs.operations(run)).of(rivals.ANSWERS)
        for part in lens.parts
        for (run,) in part.runs.values()
    ]
    assert lens.price.of(rivals.ANSWERS) == pytest.approx(np.mean(spent))


def test_raw_and_calibrated_scores_have_a_panel_each(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (subject,) = subjects(page.load(results), "rivals")
    of = rivals.standings(subject)
    both = replace(of, entries=(*of.entries, *(replace(e, calibrated=True) for e in of.entries)))
    monkeypatch.setattr(rivals, "standings", lambda _: both)
    with style():
        picture = front.prices(subject)
    assert picture is not None
    raw, calibrated = picture.figure.axes
    for axes, face in ((raw, "white"), (calibrated, LOOKS[Thing.OTHER].color)):
        marks = [
            line for line in axes.lines if line.get_marker() == "p" and np.size(line.get_xdata())
        ]
        assert marks and {line.get_markerfacecolor() for line in marks} == {face}
    assert "With raw scores these are on it: " in picture.text
    assert "With scores calibrated from dev these are on it: " in picture.text
