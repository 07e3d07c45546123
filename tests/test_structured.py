"""Structured prompting: groups of demonstrations read apart, against the models' own code."""

import json
import math
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from conftest import Command, assert_one_line, stored
from slow_slots import TOLERANCE, ZOO, expected, places, reread, zoo
from test_gains import CANDIDATES, QUERIES, apart
from tiny_models import CONFIGS, VOCABULARY, tiny
from transformers import GPT2Config, GPT2LMHeadModel, LlamaForCausalLM, PreTrainedTokenizerFast

from deepthink import encode, score
from deepthink.config.overrides import compose
from deepthink.engine.demonstrations import Demonstrations
from deepthink.engine.flops import Costs
from deepthink.engine.kernels import attended
from deepthink.engine.layout import single
from deepthink.engine.refinements import iterate
from deepthink.engine.token_budget import TokenBudget
from deepthink.errors import UserError
from deepthink.structures import Example
from deepthink.study.reuse import PlainReading
from deepthink.tasks import sources
from deepthink.tasks.prompts import Encoded

GROUPS = [
    [(5 * i * i + 3 * i + n) % VOCABULARY for i in range(length)]
    for n, length in enumerate((5, 9, 7))
]
IDS = [token for group in GROUPS for token in group]
SEQUENCES = (range(5), range(5, 14), range(14, 21))
SPANS = (range(1, 5), range(6, 10), range(10, 14), range(15, 21))
ANSWERS = (range(4, 5), range(9, 10), range(12, 14), range(19, 21))
UNCUT = [name for name in ZOO if name != "gpt_neo"]
"""GPT-Neo's own code counts its window in tokens, so that it cannot say what groups are."""


def shown(name: str, **options: Any) -> Demonstrations:
    given = {"spans": SPANS, "answers": ANSWERS, "sequences": SEQUENCES, **options}
    return Demonstrations(zoo(name), IDS, **given)


def test_a_query_weighs_its_own_tokens_as_often_as_there_are_groups() -> None:
    """One layer's attention, written out: the own scores stand M times in the softmax."""
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, 4, 8, dtype=torch.float64) for _ in range(3))
    keys, values = (torch.randn(2, 21, 8, dtype=torch.float64) for _ in range(2))
    layout = replace(single(4, q.device), gains=((21, -math.log(3)),), groups=(5, 9, 7))
    ours = attended(q, k, v, (keys, values), 0.4, None, layout)
    past, own = q @ keys.mT * 0.4, q @ k.mT * 0.4
    own = own.masked_fill(torch.ones(4, 4).triu(1).bool(), -math.inf)
    weights = torch.cat([past, own, own, own], dim=-1).softmax(-1)
    theirs = weights @ torch.cat([values, v, v, v], dim=1)
    assert (ours - theirs).abs().max() < 1e-12


@pytest.mark.parametrize("name", UNCUT)
def test_scores_are_those_of_one_masked_forward(name: str) -> None:
    demonstrations = shown(name)
    memory = demonstrations.read()
    ours = score(demonstrations.model, memory, QUERIES, CANDIDATES)
    gains = [-math.log(3)] * 21
    theirs = [
        [expected(demonstrations.model, name, GROUPS, gains, query, answer) for answer in row]
        for query, row in zip(QUERIES, CANDIDATES, strict=True)
    ]
    assert apart(ours, theirs) < TOLERANCE.get(name, 1e-6)  # -log 3 is float32
    plain = Demonstrations(demonstrations.model, IDS).read()
    assert apart(ours, score(demonstrations.model, plain, QUERIES, CANDIDATES)) > 1e-2


@pytest.mark.parametrize("name", ZOO)
def test_each_group_is_read_as_if_it_were_alone(name: str) -> None:
    demonstrations = shown(name)
    memory = demonstrations.read()
    assert (memory.groups, memory.begin, memory.length) == ((5, 9, 7), 9, 21)
    assert places(GROUPS, 0)[4] == places(GROUPS, 0)[13] == places(GROUPS, 0)[20] == 8
    for group, sequence in zip(GROUPS, SEQUENCES, strict=True):
        alone = Demonstrations(demonstrations.model, group).read(start=9 - len(group))
        for tensor, other in zip(memory.tensors, alone.tensors, strict=True):
            gap = (tensor[:, sequence.start : sequence.stop] - other).abs().max()
            assert gap < TOLERANCE.get(name, 1e-9)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", ["gpt2", "gpt_neo", "llama", "gemma3"])
def test_one_group_is_the_plain_reading_to_the_bit(name: str, dtype: torch.dtype) -> None:
    model = zoo(name, dtype)
    one = Demonstrations(model, IDS, sequences=[range(21)])
    plain = Demonstrations(model, IDS)
    for ours, theirs in islice(zip(iterate.refine(one), iterate.refine(plain), strict=True), 3):
        assert all(map(torch.equal, ours.tensors, theirs.tensors))
        assert (ours.runs, ours.groups, ours.begin) == ((), (), 21)
    assert one.operations == plain.operations


@pytest.mark.parametrize("positions", ["continued", "aligned"])
@pytest.mark.parametrize("name", [n for n in UNCUT if n not in ("mistral", "gemma3")])
def test_thinking_over_groups_is_eq_4_over_them(name: str, positions: str) -> None:
    """The present tokens see all groups and their own again; windows are counted in slots."""
    demonstrations = shown(name)
    first, second = islice(iterate.refine(demonstrations, step_size=0.3, positions=positions), 2)
    start = 9 if positions == "continued" else 0
    keys, values = reread(demonstrations.model, name, GROUPS, -math.log(3), start)
    for ours, plain, theirs in zip(second.tensors, first.tensors, [*keys, *values], strict=True):
        assert (plain - theirs[:, :21]).abs().max() < TOLERANCE.get(name, 1e-6)
        moved = 0.3 * theirs[:, 21:] + 0.7 * theirs[:, :21]
        assert (ours - moved).abs().max() < TOLERANCE.get(name, 1e-6)
    assert second.runs == first.runs and second.groups == first.groups


@pytest.mark.parametrize("name", ["mistral", "gemma3"])
def test_thinking_in_windows_goes_on_behind_each_group(name: str) -> None:
    """With continued positions a window sees what it would if each group stood alone."""
    demonstrations = shown(name)
    _, second = islice(iterate.refine(demonstrations, step_size=1.0), 2)
    keys, values = reread(demonstrations.model, name, GROUPS, -math.log(3), 9)
    for ours, theirs in zip(second.tensors, [*keys, *values], strict=True):
        assert (ours - theirs[:, 21:]).abs().max() < TOLERANCE[name]


@pytest.mark.parametrize("name", CONFIGS)
def test_the_loss_of_each_demonstration_is_that_behind_the_groups(name: str) -> None:
    demonstrations = shown(name)
    memory = demonstrations.read()
    loss = demonstrations.loss(memory, targets=demonstrations.answers, apart=True)
    queries = [IDS[span.start : answer.start] for span, answer in zip(SPANS, ANSWERS, strict=True)]
    answers = [[IDS[answer.start : answer.stop]] for answer in ANSWERS]
    scores = score(demonstrations.model, memory, queries, answers)
    mean = sum(row[0] for row in scores) / sum(map(len, ANSWERS))
    assert abs(loss.item() + mean) < 1e-5
    whole = demonstrations.loss(memory)
    by_group = score(
        demonstrations.model, memory, [group[:1] for group in GROUPS], [[g[1:]] for g in GROUPS]
    )
    assert abs(whole.item() + sum(row[0] for row in by_group) / 18) < 1e-5


def test_only_what_a_group_sees_is_counted() -> None:
    demonstrations = shown("gpt2")
    costs = Costs.of(demonstrations.model)
    memory = demonstrations.read()
    own = sum(n * (n + 1) // 2 for n in (5, 9, 7))
    assert demonstrations.operations == costs.forward(21, own)
    demonstrations.read(memory, 9)
    assert demonstrations.operations == costs.forward(42, 2 * own + 21 * 21)


@pytest.mark.parametrize(
    ("sequences", "says"),
    [
        ([range(5), range(5, 20)], "each of the 21 tokens"),
        ([range(5), range(6, 21)], "each of the 21 tokens"),
        ([range(1, 21)], "each of the 21 tokens"),
        ([range(8), range(8, 21)], "two sequences"),
        ([range(5, 21), range(5)], "one after the other"),
    ],
)
def test_sequences_that_are_none_are_refused(sequences: list[range], says: str) -> None:
    with pytest.raises(UserError, match=says):
        shown("gpt2", sequences=sequences)


def test_a_memory_of_other_groups_is_refused_of_a_refinement() -> None:
    from deepthink.engine.thinking import refined

    def forgets(demonstrations: Demonstrations) -> Any:
        memory = demonstrations.read()
        yield memory
        yield replace(memory, groups=())

    with pytest.raises(UserError, match="of other groups"):
        list(refined(shown("gpt2"), forgets, 2))


# prompts

LABELS = ("negative", "positive")
SHOTS = [Example(f"the kettle sings {i * 'and leaks '}", LABELS, i % 2) for i in range(5)]
ASKED = [Example("a fine day", LABELS, 1), Example("dull", LABELS, 0)]
TEMPLATE = "Review: {text}\nSentiment:"


def test_each_group_is_a_prompt_of_its_own(tokenizer: PreTrainedTokenizerFast) -> None:
    whole = encode(tokenizer, TEMPLATE, SHOTS, ASKED, groups=2)
    parts = [encode(tokenizer, TEMPLATE, part, ASKED) for part in (SHOTS[:3], SHOTS[3:])]
    assert [whole.demonstrations[s.start : s.stop] for s in whole.sequences] == [
        part.demonstrations for part in parts
    ]
    assert (whole.queries, whole.candidates) == (parts[0].queries, parts[0].candidates)
    assert (whole.kept, whole.truncated, whole.copies) == (5, False, 1)
    texts = [tokenizer.decode(whole.demonstrations[s.start : s.stop]) for s in whole.spans]
    assert [str(text).strip() for text in texts] == [
        f"Review: {e.text}\nSentiment: {LABELS[e.label]}" for e in SHOTS
    ]
    answers = [tokenizer.decode(whole.demonstrations[s.start : s.stop]) for s in whole.answers]
    assert answers == [f" {LABELS[e.label]}" for e in SHOTS]


def test_one_group_is_the_prompt_as_ever(tokenizer: PreTrainedTokenizerFast) -> None:
    one = encode(tokenizer, TEMPLATE, SHOTS, ASKED, groups=1)
    assert one == encode(tokenizer, TEMPLATE, SHOTS, ASKED)
    assert one.sequences == ()


def test_every_group_has_to_fit_by_itself(tokenizer: PreTrainedTokenizerFast) -> None:
    def lengths(limit: int, groups: int, overflow: str = "drop") -> tuple[int, list[int]]:
        found = encode(tokenizer, TEMPLATE, SHOTS, ASKED, "apart", overflow, limit, groups=groups)
        return found.kept, [len(each) for each in found.sequences]

    whole = encode(tokenizer, TEMPLATE, SHOTS, ASKED, groups=3)
    limit = 2 * max(map(len, whole.sequences))
    assert lengths(limit, 3) == (5, [len(each) for each in whole.sequences])
    kept, sizes = lengths(limit - 1, 3)
    assert kept == 4 and sum(sizes) < len(whole.demonstrations)
    assert encode(tokenizer, TEMPLATE, SHOTS, ASKED, limit=limit).kept < 5
    with pytest.raises(UserError, match="do not fit"):
        lengths(limit - 1, 3, "error")


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"groups": 6}, "5 demonstrations cannot be 6 groups"),
        ({"groups": 0}, "it must be 1 or more"),
        ({"groups": 2, "seam": "joint"}, "no text goes on from 2 groups"),
        ({"groups": 2, "copies": 3}, "are two methods"),
    ],
)
def test_groups_that_cannot_be_are_refused(
    tokenizer: PreTrainedTokenizerFast, changed: dict[str, Any], says: str
) -> None:
    with pytest.raises(UserError, match=says):
        encode(tokenizer, TEMPLATE, SHOTS, ASKED, **changed)


def test_other_groups_of_the_same_tokens_are_another_question(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    model = tiny("gpt2", torch.float32)
    computed: list[int] = []

    def known(sequences: tuple[range, ...]) -> bool:
        asked = Encoded(IDS, [[5]], [[[6]]], kept=1, truncated=False, copies=1, sequences=sequences)
        reading = PlainReading(model, asked, "sum", TokenBudget(64))
        return reading.scores(lambda: computed.append(1) or [[0.5]])[1]  # type: ignore[func-returns-value]

    found = [known(each) for each in ((), SEQUENCES, SEQUENCES[:0], (range(14), range(14, 21)))]
    assert found == [False, False, True, False]


# jobs


@pytest.fixture
def narrow(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> Path:
    """A tiny GPT-2 of 128 positions, as from_pretrained wants it."""
    torch.manual_seed(0)
    size: dict[str, Any] = {"n_layer": 2, "n_head": 2, "n_embd": 16, "n_positions": 128}
    GPT2LMHeadModel(GPT2Config(**size, vocab_size=len(tokenizer))).save_pretrained(
        tmp_path / "narrow"
    )
    tokenizer.save_pretrained(tmp_path / "narrow")
    return tmp_path / "narrow"


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """SST2 in the hub's layout with 80 training rows."""
    folder = tmp_path / "many" / "stanfordnlp" / "sst2"
    folder.mkdir(parents=True)
    for split, count in (("train", 80), ("validation", 12)):
        rows = [{"idx": i, "sentence": f"{split} row {i}", "label": i % 2} for i in range(count)]
        (folder / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return tmp_path / "many"


def test_more_demonstrations_are_shown_than_a_context_holds(
    run: Command, tmp_path: Path, narrow: Path, many: Path
) -> None:
    """64 demonstrations in 128 positions: 32 groups hold all of them, one holds two."""
    words = (
        f"model.hub_id={narrow}",
        f"data_root={many}",
        "demonstrations.count=64",
        "dev_size=4",
        "test_size=4",
    )
    assert run(*words, "method=vanilla")[0] == 0
    grouped = ("method=structured", "method.groups=32", "prompt.overflow=error")
    assert run(*words, *grouped, "method.iterations=2")[0] == 0
    by_groups = {r["identity"].get("groups", 1): (path, r) for path, r in stored(tmp_path)}
    (_, plain), (path, many_groups) = by_groups[1], by_groups[32]
    assert plain["demonstrations"]["kept"] < 4
    assert many_groups["demonstrations"]["kept"] == 64
    assert many_groups["demonstrations"]["tokens"] > 1000
    assert "structured+deepthink" in path.parts
    assert many_groups["identity"]["prompt"]["overflow"] == "error"


def test_structured_prompting_is_a_method(run: Command, tmp_path: Path) -> None:
    small = ("dev_size=4", "test_size=4")
    code, out, err = run("method=structured", "method.iterations=1", *small)
    assert code == 0, err
    (path, record) = stored(tmp_path)[0]
    assert "structured" in path.parts
    assert record["identity"]["groups"] == 2
    assert "in 2 groups" in out


def test_a_job_scores_what_the_engine_scores(
    run: Command, tmp_path: Path, tiny_folder: Path, data_root: Path
) -> None:
    small = ["task=sst2", "method=structured", "dev_size=0", "test_size=4"]
    small += ["demonstrations.count=5", "method.selector.balance=none"]
    assert run(*small, "method.iterations=1")[0] == 0
    path, record = stored(tmp_path)[0]
    config = compose([*small, f"data_root={data_root}"])
    splits = sources.load(config.task, config.data_root, 4, 0, None, config.pool.overlap)
    chosen = [splits.pool[i] for i in record["demonstrations"]["indices"]]
    model = LlamaForCausalLM.from_pretrained(tiny_folder).eval()
    tokenizer = PreTrainedTokenizerFast.from_pretrained(tiny_folder)
    template = record["identity"]["task"]["template"]
    prompt = encode(tokenizer, template, chosen, splits.test, groups=2)
    groups = Demonstrations(model, prompt.demonstrations, sequences=prompt.sequences)
    ours = score(model, groups.read(), prompt.queries, prompt.candidates)
    found = pd.read_parquet(path.with_suffix(".parquet"))["score"].tolist()
    assert found == pytest.approx([number for row in ours for number in row], abs=1e-5)
    plain = Demonstrations(model, prompt.demonstrations).read()
    others = score(model, plain, prompt.queries, prompt.candidates)
    assert found != pytest.approx([number for row in others for number in row], abs=1e-5)
    assert groups.length == record["demonstrations"]["tokens"]


def test_the_refusals_are_one_line(run: Command) -> None:
    for words, says in (
        (("method.groups=0",), "it must be 1 or more"),
        (("method.groups=9", "demonstrations.count=8"), "shows 8 demonstrations"),
        (("method.groups=2", "prompt.seam=joint"), "no text goes on from 2 groups"),
        (("method.groups=2", "method.copies=2"), "are two methods"),
        (("method.groups=2", "method=best_random"), "as one prompt, not as 2 groups"),
        (("method.groups=2", "task=gsm8k", "task.open.generate=ends"), "no answer can be written"),
    ):
        code, _, err = run(*words)
        assert_one_line(code, err, says)


def test_runs_of_neighbours_differ_by_one_at_most() -> None:
    from deepthink.tasks.grouping import shared_out

    for count in range(1, 12):
        for groups in range(1, count + 1):
            runs = shared_out(range(count), groups)
            sizes = [len(run) for run in runs]
            assert [i for run in runs for i in run] == list(range(count))
            assert max(sizes) - min(sizes) <= 1
            assert all(a >= b for a, b in pairwise(sizes))
