"""One p for each difference: bold numbers, sentences, verdicts and CSV files agree."""

import csv
import re
from collections.abc import Iterator
from io import StringIO
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from made_records import jobs, put

from deepthink.config.overrides import expand, requested
from deepthink.installation import CONF
from deepthink.report import comparisons, page, rivals, sensitivity_claims, verdicts
from deepthink.report.comparisons import Comparison
from deepthink.report.layouts import TASKS
from deepthink.report.measurements import Subject
from deepthink.report.readings import BY_DEV, FIVE, LAST, Reading
from deepthink.report.runs import Runs, Scale
from deepthink.report.statistics import Estimate, holm
from deepthink.report.verdicts import Gain
from deepthink.report.words import standing as in_words

MODEL = "smollm2-135m"
ROWS = 30
SIZES = (f"test_size={ROWS}", f"dev_size={ROWS}", "pool_size=9")
SCALE = Scale(ROWS, ROWS, 9, "float32")
PUBLISHED = CONF.parent / "results"
NAMES = {heading: task for task, heading in TASKS.items()}

Key = tuple[str, ...]
"""model, scale, family, reading, contrast, task."""


# reading a page


def signs_of(text: str) -> dict[Key, tuple[int, bool]]:
    """Of each line of comparisons.csv its sign by p_holm, and whether it has a p at all."""
    found = {}
    for line in csv.DictReader(StringIO(text)):
        key = tuple(line[k] for k in ("model", "scale", "family", "reading", "contrast", "task"))
        sure = line["p_holm"] != "" and float(line["p_holm"]) < 0.05
        sign = (1 if float(line["difference"]) > 0 else -1) if sure else 0
        found[key] = (sign, line["p_holm"] != "")
    return found


def subjects(text: str) -> Iterator[tuple[str, str, str]]:
    """Each part of a page below a heading "### model: scale", with both."""
    for part in re.split(r"^###? ", text, flags=re.MULTILINE):
        heading, _, body = part.partition("\n")
        model, colon, scale = heading.partition(": ")
        if colon:
            yield model, scale, body


def bold(text: str) -> Iterator[tuple[Key, bool]]:
    """Every cell of the tables of differences, and whether it is bold."""
    for model, scale, body in subjects(text):
        for table in re.split(r"\n\n", body):
            rows = [row.strip("| ").split(" | ") for row in table.splitlines() if row[:1] == "|"]
            if not rows or rows[0][-1] != "average":
                continue
            heading = rows[0][0].replace(" (upper bound)", "")
            of_rivals = heading.endswith(": less")
            size, _, reading = heading.partition(", ")
            kind = "positions" if size.startswith("η") else "options"
            family = "thinking less" if of_rivals else f"{kind}, {size}"
            reading = heading.removesuffix(": less") if of_rivals else reading
            for row in rows[2:]:
                for name, cell in zip(rows[0][1:], row[1:], strict=True):
                    if cell != "–":
                        task = NAMES.get(name, name)
                        yield (model, scale, family, reading, row[0], task), cell[:2] == "**"


def standing(text: str) -> dict[str, int]:
    """By task, the sign that a sentence such as "significantly ahead on average" gives."""
    signs = {}
    for part in text.split("; "):
        sign = {"ahead": 1, "behind": -1}.get(part.split()[1], 0)
        part = re.sub(r"\([^)]*\)", "", part)
        if " on average" in part:
            signs["average"] = sign
        if "on any task by itself" in part:
            signs |= dict.fromkeys(("any", *TASKS), sign)
        for name in NAMES:
            if re.search(rf"\bon (?:[^;]*, |average +and on )?{name}\b", part):
                signs[NAMES[name]] = sign
    return signs


def sentences(text: str) -> Iterator[tuple[Key, int]]:
    """What the paragraphs on positions say of each task and average, as signs."""
    patterns = {
        r"At t = 15 aligned is (.*?)\. There": ("t = 15", "aligned − continued"),
        r"At t = 5 it is (.*?); against vanilla, it is": ("t = 5", "aligned − continued"),
        r"; against vanilla, it is (.*?)\. With": ("t = 5", "aligned − vanilla"),
        r"With t chosen by dev it is (.*?)\. Against": ("t by dev", "aligned − continued"),
        r"with t by dev, aligned is ((?!.*that).*?)\. Continued": ("t by dev", "aligned − vanilla"),
        r"\. Continued is (.*?)\.(?: |$)": ("t by dev", "continued − vanilla"),
    }
    for model, scale, body in subjects(text):
        for paragraph in re.findall(r"^\*\*η = .*$", body, flags=re.MULTILINE):
            for size, told in re.findall(r"\*\*η = ([\d.]+)\.\*\* (.*?)(?=\*\*η|$)", paragraph):
                plain = re.sub(r"(?<=\d)\.(?=\d)", "·", told)
                for pattern, (reading, contrast) in patterns.items():
                    for words in re.findall(pattern, plain):
                        words = re.sub(r" \(with oracle.*", "", words)
                        for task, sign in standing(words).items():
                            if task != "any":
                                family = f"positions, η = {size}"
                                yield (model, scale, family, reading, contrast, task), sign


def opening(text: str) -> Iterator[tuple[str, str, str, str, int]]:
    """What the lines on thinking against a rival say: model, reading, rival, task, sign."""
    for part in re.split(r"^## ", text, flags=re.MULTILINE):
        model = part.partition(" in short\n")[0]
        for rival, told in re.findall(r"\*\*Thinking in [^*]* against (\w+)\.\*\* (.*)\.", part):
            plain = re.sub(r"(?<=\d)\.(?=\d)", "·", told)
            for sentence in plain.split(". "):
                reading, _, words = sentence.partition(": ")
                for task, sign in standing(words).items():
                    if task != "any":
                        yield model, reading, rival, task, sign


def evidence(text: str) -> Iterator[tuple[str, str, str, str, int]]:
    """What the evidence of claims says: model, claim, the part's name, task, sign."""
    claims = text.partition("## Claims\n")[2].partition("\n## ")[0]
    for part in re.split(r"^### ", claims, flags=re.MULTILINE)[1:]:
        model, _, body = part.partition("\n")
        for row in body.splitlines():
            cells = row.strip("| ").split(" | ")
            if len(cells) < 4:
                continue
            told = re.sub(r"(?<=\d)\.(?=\d)", "·", cells[3])
            for piece in told.split(". "):
                name, colon, rest = piece.partition(": ")
                own = re.sub("; less vanilla .*", "", rest if colon else piece)
                for words, sign in (("ahead", 1), ("behind", -1), ("undecided", 0)):
                    for names in re.findall(rf"{words} on ([^;]*)", own):
                        for task in re.findall(r"([A-Z][\w ]*?) [−+\d]", names):
                            yield model, cells[0], name if colon else "", NAMES[task], sign


THINKING = "thinking less"
OF_CLAIMS = {
    "Thinking beats vanilla on the same demonstrations, t = 5": ("t = 5", "vanilla"),
    "Thinking beats vanilla, t ≤ 15 by dev": ("t by dev", "vanilla"),
    "Thinking is more than repeating the demonstrations": (None, "repetition"),
    "Aligned positions are better than continued ones": (None, "aligned − continued"),
}


def check(text: str, comparisons_csv: str) -> tuple[int, int, int]:
    """Assert that a page says nothing else than its CSV; how much of each kind was checked."""
    known = signs_of(comparisons_csv)
    cells, words, told = [*bold(text)], [*sentences(text)], 0
    for key, is_bold in cells:
        assert is_bold == (known[key][0] != 0), key
    for key, sign in words:
        assert sign == known[key][0], key
    for model, reading, rival, task, sign in opening(text):
        place = (model, THINKING, reading, rival, task)
        signs = {known[k][0] for k in known if (k[0], *k[2:]) == place}
        assert sign in signs, (reading, rival, task)
    for model, claim, name, task, sign in evidence(text):
        if claim not in OF_CLAIMS:
            continue
        named, contrast = OF_CLAIMS[claim]
        family, of_name = THINKING, name.replace("·", ".")
        if of_name.startswith("η"):
            size, _, of_name = of_name.partition(", ")
            family = f"positions, {size}"
        place = (model, family, named or of_name, contrast, task)
        signs = {known[k][0] for k in known if (k[0], *k[2:]) == place}
        assert sign in signs, (claim, name, task)
        told += 1
    return len(cells), len(words), told


# made records


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The texts of a page whose differences are of every size."""
    results = tmp_path_factory.mktemp("made") / "results"
    rng = np.random.default_rng(5)
    gains = dict(zip(TASKS, (0, 1, 2, 3, 9), strict=True))
    settings = product(("continued", "aligned"), ("0.01", "0.1"))
    for (positions, size), (task, gain), seed in product(settings, gains.items(), range(10)):
        words = (f"method.positions={positions}", f"method.step_size={size}")
        (config,) = jobs(f"task={task}", "method=deepthink_curve", f"seed={seed}", *SIZES, *words)
        plain = 10 + hash_free(seed) + gain
        more = gain * (1 + (positions == "aligned")) // 2
        hits = {t: min(ROWS, plain + more + int(rng.integers(-1, 3))) for t in (5, 15)}
        curve = {1: plain, **hits}
        put(results, config, curve, curve, rows=ROWS)
    for task, seed in product(TASKS, range(10)):
        (config,) = jobs(f"task={task}", "method=repeat", f"seed={seed}", *SIZES)
        put(results, config, {1: 9 + int(rng.integers(0, 3))}, {1: 9}, rows=ROWS)
    return dict(page.texts(results, page.load(results), []))


def hash_free(seed: int) -> int:
    """A small number that differs between draws."""
    return seed * 7 % 5


def test_words_and_bold_numbers_of_a_made_page_agree(made: dict[str, str]) -> None:
    cells, words, told = check(made["README.md"], made["tables/comparisons.csv"])
    assert cells > 100 and words > 20 and told > 20
    signs = {sign for sign, _ in signs_of(made["tables/comparisons.csv"]).values()}
    assert {0, 1} <= signs


def test_a_contradiction_is_found(made: dict[str, str]) -> None:
    """The check itself can fail: one bold number less, one word changed."""
    text, table = made["README.md"], made["tables/comparisons.csv"]
    before, heading, tables = text.partition("## Does thinking pay?")
    plain = before + heading + re.sub(r"\*\*([−+][\d.]+)\*\* \[", r"\1 [", tables, count=1)
    assert plain != text
    with pytest.raises(AssertionError):
        check(plain, table)
    other = text.replace(
        "At t = 15 aligned is significantly ahead", "At t = 15 aligned is undecided"
    )
    assert other != text
    with pytest.raises(AssertionError):
        check(other, table)


def test_words_and_bold_numbers_of_the_published_pages_agree() -> None:
    checked = 0
    for folder in (PUBLISHED, *(p.parent for p in PUBLISHED.glob("*/README.md"))):
        texts = [(folder / name).read_text() for name in ("README.md", "tables/comparisons.csv")]
        checked += sum(check(*texts))
    assert checked > 0


def test_p_holm_is_holms_correction_of_the_column_p(made: dict[str, str]) -> None:
    """Recomputed from the CSV alone: each question's tests, both readings together."""
    lines = [*csv.DictReader(StringIO(made["tables/comparisons.csv"]))]
    seen = 0
    for one in lines:
        if not one["p"]:
            continue
        pair = {"t = 5", "t by dev"}
        readings = pair if one["reading"] in pair else {one["reading"]}
        family = [
            line for line in lines
            if line["reading"] in readings
            and all(line[k] == one[k] for k in ("model", "scale", "family", "contrast"))
        ]  # fmt: skip
        assert len(family) == 6 * len(readings)
        ps = [float(line["p"]) if line["p"] else 1.0 for line in family]
        expected = holm(ps)[family.index(one)]
        assert float(one["p_holm"]) == pytest.approx(expected, rel=0.02)
        seen += 1
    assert seen > 100


def test_the_table_of_prices_has_the_p_of_the_table_of_differences(made: dict[str, str]) -> None:
    of_pairs = {
        (line["reading"], line["contrast"]): line["p_holm"]
        for line in csv.DictReader(StringIO(made["tables/comparisons.csv"]))
        if line["task"] == "average" and line["family"] == THINKING
    }
    found = {
        line["method"].rpartition(", ")[2]: line["p_holm"]
        for line in csv.DictReader(StringIO(made["tables/prices.csv"]))
        if line["method"].startswith("Thinking, the paper's") and line["scores"] == "raw"
    }
    assert found == {reading: of_pairs[reading, "vanilla"] for reading in ("t = 5", "t by dev")}


def test_a_bold_number_of_the_table_of_prices_is_significant(made: dict[str, str]) -> None:
    prices = [*csv.DictReader(StringIO(made["tables/prices.csv"]))]
    checked = 0
    for row in re.findall(r"^\| (.*) \|$", made["README.md"], flags=re.MULTILINE):
        cells = row.split(" | ")
        named = (p for p in prices if p["method"] == cells[0] and p["scores"] == "raw")
        line = next(named, None)
        if line and len(cells) == 9 and line["p_holm"]:
            assert (cells[3][:2] == "**") == (float(line["p_holm"]) < 0.05)
            checked += 1
    assert checked >= 4


# the family of a question


def one(*ps: float | None) -> Comparison:
    estimates = tuple(None if p is None else Estimate(1.0, 0.1, 1.9, 10, 100, p) for p in ps)
    return Comparison("", ("sst2", "mr", "average")[-len(ps) :], estimates, ps)


def test_a_question_is_both_readings_together() -> None:
    of = {FIVE: one(0.01, 0.02, 0.03), BY_DEV: one(0.04, 0.05, None), LAST: one(0.01, 0.5, 0.5)}

    def read(reading: Reading) -> tuple[float | None, ...]:
        return comparisons.question(reading, of.__getitem__).adjusted

    expected = holm([0.01, 0.02, 0.03, 0.04, 0.05, 1.0])
    assert (*read(FIVE), *read(BY_DEV)) == (*expected[:5], None)
    assert read(LAST) == tuple(holm([0.01, 0.5, 0.5]))


def test_missing_readings_of_a_rival_are_undecided_tests() -> None:
    (only,) = comparisons.corrected([one(0.01)], tests=12)
    assert only.adjusted == pytest.approx((0.12,))


# credit


@pytest.mark.parametrize(
    ("rival", "vanilla", "verdict"),
    [(1, 1, "holds"), (1, 0, "not here"), (1, -1, "not here"), (0, 1, "not here")],
)
def test_a_gain_over_what_is_worse_than_vanilla_is_no_credit(
    rival: int, vanilla: int, verdict: str
) -> None:
    estimate = Estimate(3.0, 1.0, 5.0, 10, 100, 0.001)
    gains, over = {"a": Gain(estimate, rival)}, {"a": ("b", Gain(estimate, vanilla))}
    found, told = verdicts.judge_gains(gains, 1, over)
    assert found == verdict
    assert told.endswith("less vanilla on the same demonstrations: b +3.0 [+1.0, +5.0] n=10")
    assert verdicts.judge_gains(gains, 1, {})[0] == "not here"  # vanilla was not run
    plain = verdicts.judge_gains(gains, 1)[0]
    assert plain == ("holds" if rival else "not here")

    def table(sign: int) -> Comparison:
        p = 0.001 if sign else 0.5
        e = Estimate(float(sign or 1), 0.0, 2.0, 10, 100, p)
        return Comparison("", ("sst2",), (e,), (p,))

    assert verdicts.judge([("", table(rival))], 1, [table(vanilla)])[0] == verdict


@pytest.mark.parametrize(
    ("thinks", "verdict"), [({2: 20, 16: 5}, "holds"), ({2: 12, 16: 5}, "not here")]
)
def test_two_against_sixteen_is_judged_against_vanilla_with_two_as_well(
    tmp_path: Path, thinks: dict[int, int], verdict: str
) -> None:
    """Vanilla falls from 12 of 30 right with two demonstrations to 5 with sixteen."""
    plain = {2: 12, 16: 5}
    for count, task, seed in product(plain, ("sst2", "agnews"), range(6)):
        words = (f"task={task}", f"seed={seed}", f"demonstrations.count={count}", *SIZES)
        (config,) = jobs("method.scored=ends", *words)
        put(tmp_path, config, {1: plain[count], 5: thinks[count]}, {1: 0, 5: 0}, rows=ROWS)
    found, told = sensitivity_claims.fewer_demonstrations(
        Subject(Runs.load(tmp_path), MODEL, SCALE)
    )
    assert found == verdict
    gain = 100 * (thinks[2] - 5) / ROWS
    assert f"SST2 +{gain:.1f} [" in told
    assert "less vanilla on the same demonstrations: SST2 with 2 " in told


# commands


def printed(folder: Path) -> set[str]:
    """Every command on a page and in the files of its tables."""
    files = [folder / "README.md", *sorted((folder / "tables").iterdir())]
    found = (re.findall(r'python run\.py ([^`";\n]+)', path.read_text()) for path in files)
    return {" ".join(words.split()) for each in found for words in each}


def test_every_command_of_the_published_pages_composes_and_names_no_local_path() -> None:
    shapes: dict[tuple[object, ...], str] = {}
    for folder in (PUBLISHED, *(p.parent for p in PUBLISHED.glob("*/README.md"))):
        for command in printed(folder):
            assert "data_root" not in command, command
            assert not re.search(r"=(?:/|\.\.|~)", command), command
            words = command.split()
            kept = [w for w in words if w.partition("=")[0] not in ("seed", "order", "task")]
            shapes.setdefault((folder, *kept), command)
    assert shapes
    for command in shapes.values():
        first, *_ = expand(command.split())
        assert requested(first).jobs


def test_what_was_run_says_where_the_rows_came_from(tmp_path: Path) -> None:
    for seed in range(2):
        (config,) = jobs("task=sst2", "method=deepthink_curve", f"seed={seed}", *SIZES)
        local = jobs("task=mr", "method=deepthink_curve", "data_root=/copy", *SIZES)
        put(tmp_path, config, {1: 2, 5: 3}, {1: 2, 5: 3})
        put(tmp_path, local[0], {1: 2, 5: 3}, {1: 2, 5: 3})
    text = dict(page.texts(tmp_path, page.load(tmp_path), []))["README.md"]
    assert "The rows were read from local copies of these data sets of the hub: " in text
    assert "`data_root=FOLDER`" in text
    assert "/copy" not in text


def test_places_and_prices_share_the_p_of_a_pair(tmp_path: Path) -> None:
    for task, method, seed in product(TASKS, ("deepthink_curve", "permutations"), range(6)):
        (config,) = jobs(f"task={task}", f"method={method}", f"seed={seed}", *SIZES)
        hits = {1: 10 + seed % 2, 5: 14, 15: 14} if "curve" in method else {1: 13 + seed % 3}
        put(tmp_path, config, hits, hits, rows=ROWS)
    (subject,) = {Subject(Runs.load(tmp_path), MODEL, SCALE)}
    of = rivals.standings(subject)
    first, *others = of.entries
    for other in others:
        ahead, behind = of.less(other, first), of.less(first, other)
        assert ahead.adjusted == pytest.approx(behind.adjusted)
        assert ahead.ahead_overall == -behind.ahead_overall


def test_what_too_few_draws_cannot_test_is_no_part_of_a_verdict() -> None:
    few, many = Estimate(3.0, 1.0, 5.0, 2, 100), Estimate(3.0, 1.0, 5.0, 10, 100, 0.001)
    alone = verdicts.tested({"a": few})
    assert [gain.sign for gain in alone.values()] == [None]
    found, told = verdicts.judge_gains(alone, 1)
    assert found == "not run"
    assert told.endswith("n=2; too few draws to test")
    found, told = verdicts.judge_gains(verdicts.tested({"a": few, "b": many}), 2)
    assert found == "in part"
    assert told.endswith("too few draws to test: a")


def test_a_difference_of_too_few_draws_is_said_to_be_untested() -> None:
    few, many = Estimate(3.0, 1.0, 5.0, 2, 100), Estimate(0.1, -1.0, 1.2, 10, 100, 0.8)
    none = Comparison("", ("sst2", "average"), (few, few), (None, None))
    assert in_words(none, "vanilla") == (
        "untested against vanilla (too few draws) on average (+3.0 [+1.0, +5.0] n=2) "
        "and on any task by itself"
    )
    both = Comparison("", ("sst2", "average"), (few, many), (None, 0.8))
    assert in_words(both, "vanilla").startswith("not told apart from vanilla on average")
    assert in_words(both, "vanilla").endswith("(too few draws) on any task by itself")
