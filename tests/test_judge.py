"""Log-probabilities beside those of lm-evaluation-harness, which make lm-eval installs."""

from pathlib import Path

import pytest
import torch

from deepthink import score, think
from deepthink.config.overrides import compose
from deepthink.models import loading
from deepthink.structures import Example
from deepthink.tasks import prompts, templates

TEMPLATE = "Question: {text}\nType:"
OPTIONS = ("a cup", "the kettle that sings all day", "leaks and leaks, and so on")
TEXTS = ("what sings?", "what is dull, fine and quiet?", "which leaks")
SHOTS = [Example(text, OPTIONS, label) for text, label in zip(TEXTS, (1, 0, 2), strict=True)]
QUERIES = [
    Example("what leaks?", OPTIONS, 2),
    Example("is a review of a kettle positive?", ("no", "it is, as reviews of kettles go"), 1),
    Example("what sings and leaks\non a dull day?", ("the kettle", "a", "a cup", "nobody"), 0),
]


@pytest.mark.filterwarnings("ignore")  # the judge's own
def test_candidates_score_as_in_lm_eval(tiny_folder: Path) -> None:
    pytest.importorskip("lm_eval")
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    words = [f"model.hub_id={tiny_folder}", "model.package=null", "model.dtype=float32"]
    spec, device = compose(words).model, torch.device("cpu")
    lm = loading.load(spec, device)
    encoded = prompts.encode(lm.tokenizer, TEMPLATE, SHOTS, QUERIES, "joint", "error", lm.positions)
    (memory,) = think(lm.model, encoded.demonstrations, iterations=1)
    scores = score(lm.model, memory, encoded.queries, encoded.candidates)

    shots = "".join(templates.shot(TEMPLATE, example).text for example in SHOTS)
    pairs = [
        (shots + templates.fill(TEMPLATE, query.text), f" {candidate}")
        for query in QUERIES
        for candidate in query.candidates
    ]
    tokenizer, plain = loading.load_plain(spec, device)
    judge = HFLM(pretrained=plain, tokenizer=tokenizer, batch_size=4)
    requests = [Instance("loglikelihood", {}, pair, i) for i, pair in enumerate(pairs)]
    theirs = [value for value, _ in judge.loglikelihood(requests, disable_tqdm=True)]

    assert len({len(ids) for row in encoded.candidates for ids in row}) > 2
    assert [value for row in scores for value in row] == pytest.approx(theirs, rel=0, abs=1e-4)
