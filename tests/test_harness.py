"""The model deepthink of lm-evaluation-harness, beside the harness's own model hf."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from conftest import assert_one_line

from deepthink import Memory, score, think
from deepthink.config.overrides import compose
from deepthink.errors import UserError
from deepthink.harness import marks
from deepthink.harness.marks import Shown
from deepthink.harness.prompts import Encoder, cut
from deepthink.models import loading

pytestmark = pytest.mark.filterwarnings("ignore")  # the harness's own

CHAT = (
    "{% for m in messages %}<s>{{ m.role }}: {{ m.content | trim }}"
    "{% if not loop.last or add_generation_prompt %}</s>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant: {% endif %}"
)
CHOICE = {
    "output_type": "multiple_choice",
    "doc_to_text": "Question: {{question}}\nType:",
    "doc_to_choice": "{{options}}",
    "doc_to_target": "{{answer}}",
}
TASKS: dict[str, dict[str, Any]] = {
    "drawn": CHOICE,
    "fixed": {
        **CHOICE,
        "description": "A review of a kettle.\n\n",
        "fewshot_config": {"sampler": "first_n"},
    },
    "prefixed": {**CHOICE, "gen_prefix": "It is"},
    "inputs": {  # every option is a context of its own, as in Winogrande
        **CHOICE,
        "doc_to_text": "{{answer}}",
        "doc_to_choice": "{{[question ~ ' a', question ~ ' the']}}",
        "doc_to_target": "{{'kettle'}}",
        "target_delimiter": " sings ",
        "process_results": "!function scoring.of_inputs",
    },
    "spelt": {
        "output_type": "loglikelihood",
        "doc_to_text": "Review: {{question}}\nSentiment:",
        "doc_to_target": "{{' ' ~ options[answer]}}",
        "fewshot_config": {"sampler": "first_n"},
        "target_delimiter": "",
        "metric_list": [
            {"metric": "acc", "aggregation": "mean", "higher_is_better": True},
        ],
    },
    "written": {
        "output_type": "generate_until",
        "doc_to_text": "Question: {{question}}\nType:",
        "doc_to_target": "{{options[answer]}}",
        "fewshot_config": {"sampler": "first_n"},
        "generation_kwargs": {"until": ["kettle", "\n\n"], "max_gen_toks": 12},
        "metric_list": [
            {"metric": "exact_match", "aggregation": "mean", "higher_is_better": True},
        ],
    },
    "whole": {
        "output_type": "loglikelihood_rolling",
        "doc_to_text": "",
        "doc_to_target": "{{question}}",
        "num_fewshot": 0,
        "metric_list": [
            {"metric": "byte_perplexity", "aggregation": "weighted_perplexity"},
        ],
    },
}


def rows(split: str, count: int) -> list[dict[str, Any]]:
    words = ["the", "kettle", "sings", "and", "leaks", "a", "fine", "dull", "day"]
    options = ["dull", "fine and negative", "the positive day of a kettle"]
    return [
        {
            "question": f"{split} {i}: {' '.join(words[i % 4 : i % 4 + 2 + i % 3])}?",
            "options": options[: 2 + i % 2],
            "answer": i % 2,
        }
        for i in range(count)
    ]


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of tasks as `--include_path` takes it, and their rows."""
    pytest.importorskip("lm_eval", reason="lm-eval is not installed: make lm-eval")
    folder = tmp_path_factory.mktemp("tasks")
    for split, count in (("train", 12), ("test", 5)):
        text = "\n".join(map(json.dumps, rows(split, count)))
        (folder / f"{split}.jsonl").write_text(text, encoding="utf-8")
    (folder / "scoring.py").write_text(
        "def of_inputs(doc, results):\n    return {'acc': float(results[0][0] > results[1][0])}\n"
    )
    about = {
        "dataset_path": "json",
        "dataset_kwargs": {
            "data_files": {split: str(folder / f"{split}.jsonl") for split in ("train", "test")},
            "cache_dir": str(folder / "cache"),
        },
        "training_split": "train",
        "fewshot_split": "train",
        "test_split": "test",
        "num_fewshot": 3,
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
    }
    for name, task in TASKS.items():
        text = yaml.safe_dump({"task": name, **about, **task})
        text = text.replace("'!function scoring.of_inputs'", "!function scoring.of_inputs")
        (folder / f"{name}.yaml").write_text(text)
    return folder


@pytest.fixture
def model(tasks: Path, tiny_folder: Path) -> Callable[..., Any]:
    """Makes the model deepthink."""
    from deepthink.harness.model import DeepThinkLM

    def make(**given: Any) -> Any:
        return DeepThinkLM(**{"pretrained": str(tiny_folder), "dtype": "float32", **given})

    return make


@pytest.fixture
def hf(tasks: Path, tiny_folder: Path) -> Callable[..., Any]:
    """Makes the harness's own model."""
    from lm_eval.models.huggingface import HFLM

    words = [f"model.hub_id={tiny_folder}", "model.package=null", "model.dtype=float32"]
    tokenizer, plain = loading.load_plain(compose(words).model, torch.device("cpu"))

    def make(**given: Any) -> Any:
        return HFLM(pretrained=plain, tokenizer=tokenizer, batch_size=2, **given)

    return make


def evaluated(
    lm: Any, tasks: Path, *names: str, marked: bool = True, first_n: bool = False, **options: Any
) -> dict[str, list[dict[str, Any]]]:
    """What the harness logs of each question of each task."""
    import lm_eval
    from lm_eval.tasks import TaskManager

    from deepthink.harness.tasks import demonstrations_marked

    manager = TaskManager(include_path=str(tasks), include_defaults=False)
    about = {"task_manager": manager, "bootstrap_iters": 0, **options}
    if not marked:
        return dict(lm_eval.simple_evaluate(model=lm, tasks=[*names], **about)["samples"])
    with demonstrations_marked(first_n):
        return dict(lm_eval.simple_evaluate(model=lm, tasks=[*names], **about)["samples"])


def assert_same(ours: dict[str, list[dict[str, Any]]], theirs: dict[str, Any]) -> None:
    """The same prompts, scores and greedy flags, question by question."""
    assert [*ours] == [*theirs]
    for name, questions in ours.items():
        for mine, other in zip(questions, theirs[name], strict=True):
            assert mine["arguments"] == other["arguments"]
            assert mine["prompt_hash"] == other["prompt_hash"]
            for (value,), (expected,) in zip(mine["resps"], other["resps"], strict=True):
                text = isinstance(expected, str)
                assert value == (expected if text else pytest.approx(expected, rel=0, abs=1e-4))


@pytest.mark.parametrize("marked", [True, False])
def test_one_iteration_gives_the_numbers_of_the_model_hf(
    tasks: Path, model: Callable[..., Any], hf: Callable[..., Any], marked: bool
) -> None:
    about = {"marked": marked}
    ours = evaluated(model(iterations=1), tasks, *TASKS, **about)
    assert_same(ours, evaluated(hf(), tasks, *TASKS, **about))


@pytest.mark.parametrize("max_length", [40, 80])
def test_prompts_that_are_too_long_lose_the_same_tokens(
    tasks: Path, model: Callable[..., Any], hf: Callable[..., Any], max_length: int
) -> None:
    names = ("drawn", "fixed", "written", "whole")
    ours = evaluated(model(iterations=1, max_length=max_length), tasks, *names)
    assert_same(ours, evaluated(hf(max_length=max_length), tasks, *names))


@pytest.mark.parametrize("as_turns", [True, False])
def test_chats_are_those_of_the_model_hf_and_thought_over(
    tasks: Path, model: Callable[..., Any], hf: Callable[..., Any], as_turns: bool
) -> None:
    names = ("drawn", "fixed", "prefixed", "inputs", "written")
    about = {"apply_chat_template": True, "fewshot_as_multiturn": as_turns}
    lm, other, thinking = model(iterations=1), hf(), model(iterations=3, step_size=0.5)
    for each in (lm, other, thinking):
        each.tokenizer.chat_template = CHAT
    ours = evaluated(lm, tasks, *names, **about)
    assert_same(ours, evaluated(other, tasks, *names, **about))
    moved = evaluated(thinking, tasks, *names, **about)
    for name in names[:-1]:
        assert moved[name][0]["resps"] != ours[name][0]["resps"]


def test_scores_are_those_of_the_engine_with_the_memory_of_the_demonstrations(
    tasks: Path, model: Callable[..., Any]
) -> None:
    lm = model(iterations=3, step_size=0.2, positions="aligned")
    (first, *_) = evaluated(lm, tasks, "fixed")["fixed"]
    text = first["arguments"][0][0]
    end = text.index("Question: test")
    ids = lm.tokenizer.encode(text)
    length = next(n for n in range(len(ids)) if lm.tokenizer.decode(ids[:n]) == text[:end])
    *_, memory = think(lm.model, ids[:length], 3, step_size=0.2, positions="aligned")
    answers = [[lm.tokenizer.encode(answer) for _, answer in first["arguments"]]]
    (expected,) = score(lm.model, memory, [ids[length:]], answers)
    assert [value for ((value, _),) in first["resps"]] == pytest.approx(expected, rel=0, abs=1e-5)


def test_demonstrations_that_several_questions_share_are_thought_over_once(
    tasks: Path, model: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from deepthink.harness import memories
    from deepthink.harness import model as module

    thought: list[str] = []
    lm = model(iterations=2)

    def counted(_: Any, prompt: Any, *about: Any) -> Memory | None:
        thought.append(lm.tokenizer.decode(prompt.shown))
        spans = [lm.tokenizer.decode([prompt.shown[i] for i in span]) for span in prompt.spans]
        answers = [lm.tokenizer.decode([prompt.shown[i] for i in each]) for each in prompt.answers]
        assert thought[-1] == "".join(spans)
        assert [
            span.removesuffix("\n\n").endswith(a) for span, a in zip(spans, answers, strict=True)
        ]
        assert {answer[0] for answer in answers} == {" "}
        return memories.thought_over(lm.model, prompt, *about)

    monkeypatch.setattr(module, "thought_over", counted)
    evaluated(lm, tasks, "fixed", "drawn")
    assert len(thought) == 1 + len(rows("test", 5))
    evaluated(lm, tasks, "drawn", first_n=True)
    assert len(thought) == 1 + len(rows("test", 5)) + 1
    shown = "".join(
        f"Question: {row['question']}\nType: {row['options'][row['answer']]}\n\n"
        for row in rows("train", 3)
    )
    assert thought[-1] == shown


@pytest.fixture
def told(tasks: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lines that the model tells."""
    from deepthink.harness import model as module

    lines: list[str] = []
    monkeypatch.setattr(module.LOG, "warning", lines.append)
    return lines


def test_what_is_thought_over_is_told(
    tasks: Path, model: Callable[..., Any], told: list[str]
) -> None:
    lm = model(iterations=2)
    evaluated(lm, tasks, "drawn", num_fewshot=2)
    (line,) = told
    assert "drawn: 5 prompts have 5 different sets of demonstrations" in line
    evaluated(lm, tasks, "fixed", num_fewshot=0)
    assert "fixed: no demonstrations" in told[-1]
    evaluated(lm, tasks, "fixed", marked=False)
    assert "fixed does not say where its demonstrations end" in told[-1]
    assert len(told) == 3


def test_tokens_that_a_demonstration_shares_with_the_query_stay_as_they_are(
    tokenizer: Any,
) -> None:
    encoder = Encoder(tokenizer, None, "<s>")
    before, after = "Review: dull\n", "\n\nReview: the kettle"
    text = before + after
    ids = encoder.encode(text)
    prompt = encoder.cut(text, ids, Shown(((0, len(before)),)))
    assert [*prompt.shown, *prompt.query] == ids
    assert ids != [*encoder.encode(before), *encoder.encode(after)]
    assert tokenizer.decode(prompt.shown) == "Review: dull"
    assert prompt.spans == (range(len(prompt.shown)),)


def test_a_query_keeps_a_token_whatever_is_shown() -> None:
    assert cut([5, 6], [(0, 2), (2, 3)], Shown(((0, 3),))).query == (6,)
    assert cut([1, 5, 6], [(0, 0), (0, 2), (2, 3)], Shown(((0, 2),)), dropped=2).shown == ()


def test_a_row_with_a_mark_of_its_own_is_refused(
    tasks: Path, model: Callable[..., Any], tmp_path: Path
) -> None:
    text = (tasks / "fixed.yaml").read_text()
    (tmp_path / "fixed.yaml").write_text(
        text.replace("{{question}}", f"{marks.END} {{{{question}}}}")
    )
    with pytest.raises(UserError, match="a row of fixed holds one of the characters"):
        evaluated(model(), tmp_path, "fixed")


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ({"stepsize": 0.1}, "did you mean step_size or"),
        ({"step_size": "much"}, "step_size of refinement iterate is 'much'"),
        ({"step_size": 2.0}, "η must lie between 0 and 1"),
        ({"iterations": 0}, "iterations is 0"),
        ({"iterations": "many"}, "iterations of --model_args is 'many'"),
        ({"refinement": "iterat"}, "did you mean iterate?"),
        ({"dtype": "float23"}, "float32"),
        ({"pretrained": "/nowhere/at/all"}, "there is no folder"),
        ({"device": "gpu"}, "unknown value of device 'gpu'"),
        ({"trust_remote_code": True}, "is never run"),
        ({"iterations": 2, "max_length": 60}, "take positions=aligned in --model_args"),
    ],
)
def test_wrong_arguments_are_one_line(
    tasks: Path, model: Callable[..., Any], given: dict[str, Any], hint: str
) -> None:
    with pytest.raises(UserError) as raised:
        evaluated(model(**given), tasks, "fixed")
    assert hint in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[object, str, str]]:
    """Runs deepthink-lm-eval; returns its exit code, what it printed and its error."""
    from deepthink.harness import command

    def call(*words: object) -> tuple[object, str, str]:
        monkeypatch.setattr(sys, "argv", ["deepthink-lm-eval", *map(str, words)])
        code: object = 0
        try:
            command.main()
        except SystemExit as stopped:
            code = stopped.code
        return code, capsys.readouterr().out, str(code)

    return call


@pytest.mark.slow  # the harness reads the config of every task that it has
def test_the_command_runs_the_harness_with_this_model(
    tasks: Path, tiny_folder: Path, command: Callable[..., tuple[object, str, str]]
) -> None:
    about = ("--include_path", tasks, "--model_args", f"pretrained={tiny_folder},iterations=2")
    code, out, _ = command("run", "--tasks", "drawn", *about, "--first_n", "--device", "cpu")
    assert code == 0
    assert "deepthink ({" in out
    assert "|drawn|" in out.replace(" ", "")
    _, _, line = command("run", "--tasks", "drwan", *about)
    assert_one_line(1, line, "Tasks not found: drwan")
    from lm_eval.api.registry import get_model

    assert get_model("hf").__name__ == "HFLM"


def test_prompts_that_are_kept_do_not_mix_with_those_of_first_n(
    tasks: Path, command: Callable[..., tuple[object, str, str]]
) -> None:
    _, _, line = command("run", "--tasks", "drawn", "--first_n", "--cache_requests", "true")
    assert_one_line(1, line, "leave out one of the two")


def test_without_the_harness_one_line_says_what_to_install(
    command: Callable[..., tuple[object, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    monkeypatch.setitem(sys.modules, "lm_eval.models", None)
    code, _, line = command("run", "--tasks", "drawn")
    assert_one_line(1, line, "lm-eval is not installed")
    assert code != 0
