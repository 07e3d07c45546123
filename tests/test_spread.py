"""Models over several devices: pretended cards, whose tensors never meet, and the host's memory."""

from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from accelerate import cpu_offload, dispatch_model
from cards import Mixed, pretended_cards
from conftest import Command, assert_one_line, stored
from safetensors.torch import load_file, save_file
from tiny_models import SMALL, tiny
from torch import Tensor, nn
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
)

from deepthink import score, think
from deepthink.config.job import ModelSpec
from deepthink.engine import routing
from deepthink.engine.demonstrations import Demonstrations
from deepthink.engine.prepack import PackedLinear, prepack
from deepthink.engine.scoring import Scorer
from deepthink.errors import UserError
from deepthink.models import free_memory, loading, spreading
from deepthink.models.devices import resolve_devices
from deepthink.study import provenance

CPU = torch.device("cpu")
CARDS = [torch.device("cuda", 0), torch.device("cuda", 1)]
GB = 10**9

SHOTS = list(range(3, 20))
QUERIES = [[4, 5, 6, 7], [4, 9, 3], [4, 9, 3, 1]]
CANDIDATES = [[[3, 4, 5], [3, 6], [7]], [[5], [6]], [[5, 3], [5, 6]]]


def qwen2() -> PreTrainedModel:
    """A model of an architecture that is probed before its first use."""
    torch.manual_seed(0)
    config = Qwen2Config(**SMALL)
    model: PreTrainedModel = AutoModelForCausalLM.from_config(config).double().eval()
    return model


MODELS: dict[str, Callable[[], PreTrainedModel]] = {
    **{name: partial(tiny, name) for name in ("gpt2", "gpt_neo", "gpt_neox", "llama", "opt-350m")},
    "qwen2": qwen2,
}


def spread(model: PreTrainedModel, last: torch.device | str) -> PreTrainedModel:
    """A model dispatched by accelerate: what comes first on a card, then layers on the other.

    last: where the last layer and what follows it are: on a card, or "cpu" for the host's memory.
    """
    layers = model.config.get_text_config().num_hidden_layers
    stack = next(
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) == layers
    )
    embedding = model.get_input_embeddings()
    first = (nn.Embedding, type(embedding))
    placed: dict[str, torch.device | str] = {f"{stack}.{i}": CARDS[1] for i in range(layers - 1)}
    placed[f"{stack}.{layers - 1}"] = last
    for name, module in model.named_modules():
        if name.startswith(f"{stack}.") or not [*module.parameters(recurse=False)]:
            continue
        tied = getattr(module, "weight", None) is embedding.weight
        placed[name] = CARDS[0] if isinstance(module, first) or tied else last
    for name, _ in model.named_buffers():
        if not name.startswith(f"{stack}."):
            placed.setdefault(name.rpartition(".")[0], CARDS[0])
    spread: PreTrainedModel = dispatch_model(model, placed, main_device=CARDS[0])
    return spread


def numbers(model: PreTrainedModel) -> dict[str, list[float]]:
    """Everything that the engine computes with a model, as plain numbers."""
    memories = [*think(model, SHOTS, 3, step_size=0.1, momentum=0.5)]
    scorer = Scorer(model)
    zero_shot, states = scorer.with_states(QUERIES, CANDIDATES)
    after = scorer.after([SHOTS[:5], SHOTS], [QUERIES, QUERIES[:1]], [CANDIDATES, CANDIDATES[:1]])
    shown = Demonstrations(model, SHOTS, [range(8), range(8, 17)], [range(6, 8), range(14, 17)])
    hidden = shown.loss(memories[-1], shown.leave_one_out, shown.answers, apart=True)
    drift = memories[-1].drift(memories[0])
    scores = [score(model, memory, QUERIES, CANDIDATES) for memory in memories]
    return {
        "scores": [x for rows in scores for row in rows for x in row],
        "zero_shot": [x for row in zero_shot for x in row],
        "states": states.flatten().tolist(),
        "after": [x for rows in after for row in rows for x in row],
        "loss": [float(hidden)],
        "drift": [*drift["keys"], *drift["values"]],
    }


def check_equal(ours: dict[str, list[float]], plain: dict[str, list[float]], close: float) -> None:
    for name, expected in plain.items():
        torch.testing.assert_close(
            torch.tensor(ours[name]), torch.tensor(expected), rtol=close, atol=close
        )


@pytest.mark.parametrize("last", [CARDS[1], "cpu"], ids=["two cards", "a card and the host"])
@pytest.mark.parametrize("name", MODELS)
def test_a_model_over_several_devices_gives_the_same_numbers(
    name: str, last: torch.device | str
) -> None:
    plain = numbers(MODELS[name]())
    with pretended_cards():
        model = spread(MODELS[name](), last)
        (memory,) = think(model, SHOTS, 1)
        expected = {CARDS[1], CARDS[0] if last == "cpu" else CARDS[1]}
        assert {tensor.device for tensor in memory.tensors} == expected
        check_equal(numbers(model), plain, close=1e-6)


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_half_precision_has_its_wide_output_layer_wherever_it_is(name: str) -> None:
    plain = numbers(tiny(name, torch.bfloat16))
    with pretended_cards():
        model = spread(tiny(name, torch.bfloat16), "cpu")
        once, twice = numbers(model), numbers(model)
        assert once == twice
        check_equal(once, plain, close=0.05)
        assert len({*once["scores"]}) > 0.9 * len(once["scores"])  # no ties: float32 logits


def test_a_layout_that_stays_on_the_first_card_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        routing._Pass, "layout", lambda self, device: next(iter(self.layouts.values()))
    )
    with pretended_cards():
        model = spread(tiny("llama"), CARDS[1])
        with pytest.raises(Mixed, match="cuda:0, cuda:1"):
            score(model, None, QUERIES, CANDIDATES)


def test_pretended_cards_refuse_to_meet() -> None:
    with pretended_cards():
        here, there = (torch.ones(2, device=card) for card in CARDS)
        assert (here + here.to(CARDS[0])).tolist() == [2.0, 2.0]
        assert (here + there.to(CARDS[0])).tolist() == [2.0, 2.0]
        for meet in (
            torch.add,
            torch.dot,
            lambda a, b: a[b.long()],
            lambda a, b: torch.stack([a, b]),
        ):
            with pytest.raises(Mixed):
                meet(here, there)
        with pytest.raises(Mixed):
            here + torch.ones(2)


def offloaded(model: PreTrainedModel) -> PreTrainedModel:
    """A model whose second layer and head wait in the host's memory, by accelerate's own hooks."""
    for module in (model.get_submodule("model.layers.1"), model.get_submodule("lm_head")):
        cpu_offload(module, CPU)
    return model


def test_layers_that_wait_in_the_hosts_memory_change_no_number() -> None:
    plain, model = numbers(tiny("llama")), offloaded(tiny("llama"))
    waiting = {name for name, weight in model.named_parameters() if weight.is_meta}
    assert {"lm_head.weight", "model.layers.1.mlp.up_proj.weight"} < waiting
    assert numbers(model) == plain
    assert {name for name, weight in model.named_parameters() if weight.is_meta} == waiting


def test_a_probe_leaves_waiting_layers_as_they_were() -> None:
    model = qwen2().float()
    cpu_offload(model.get_submodule("model.layers.1"), CPU)
    before = {name: weight.dtype for name, weight in model.named_parameters()}
    check_equal(numbers(model), numbers(qwen2().float()), close=1e-6)
    assert {name: weight.dtype for name, weight in model.named_parameters()} == before


def test_a_gradient_goes_through_waiting_layers() -> None:
    def gradient(model: PreTrainedModel) -> tuple[Tensor, ...]:
        shown = Demonstrations(model, SHOTS)
        leaves = shown.read().leaves()
        return leaves.gradient(shown.loss(leaves)).tensors

    for ours, plain in zip(
        gradient(offloaded(tiny("llama"))), gradient(tiny("llama")), strict=True
    ):
        torch.testing.assert_close(ours, plain, rtol=0, atol=1e-12)


def test_what_waits_is_not_prepacked() -> None:
    model = prepack(offloaded(tiny("llama", torch.float32)))
    assert not any(isinstance(module, PackedLinear) for module in model.modules())


def test_an_embedding_that_waits_is_refused_in_one_line() -> None:
    with pytest.raises(UserError, match="no weights where its tokens go in"):
        score(cpu_offload(tiny("llama"), CPU), None, QUERIES, CANDIDATES)


# which device holds which layer

SPEC = ModelSpec("llama2-70b", "meta-llama/Llama-2-70b-hf", "main", None, "auto")


@pytest.fixture(scope="module")
def llama2_70b() -> PreTrainedModel:
    """The shapes of LLaMA-2-70B in bfloat16, without numbers."""
    config = LlamaConfig(
        hidden_size=8192,
        intermediate_size=28672,
        num_hidden_layers=80,
        num_attention_heads=64,
        num_key_value_heads=8,
        vocab_size=32000,
    )
    with torch.device("meta"):
        model: PreTrainedModel = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    assert sum(weight.numel() for weight in model.parameters()) == 68_976_648_192
    return model


def free(monkeypatch: pytest.MonkeyPatch, sizes: dict[str, int]) -> list[torch.device]:
    """Pretend so many free bytes on these devices."""
    monkeypatch.setattr(free_memory, "free_memory", lambda device: sizes[str(device)])
    return [*map(torch.device, sizes)]


@pytest.mark.parametrize(
    ("sizes", "layers"),
    [
        ({"cuda:0": 80 * GB, "cuda:1": 80 * GB, "cpu": 64 * GB}, {0: 40, 1: 40}),
        ({f"cuda:{i}": 40 * GB for i in range(4)} | {"cpu": 0}, {0: 20, 1: 20, 2: 20, 3: 20}),
        ({"cuda:0": 80 * GB, "cpu": 128 * GB}, {0: 39, "cpu": 41}),
    ],
    ids=["two of 80 GB", "four of 40 GB", "one and the host"],
)
def test_seventy_billion_weights_find_their_places(
    llama2_70b: PreTrainedModel,
    monkeypatch: pytest.MonkeyPatch,
    sizes: dict[str, int],
    layers: dict[int | str, int],
) -> None:
    placed = spreading.placement(SPEC, llama2_70b, free(monkeypatch, sizes))
    held: Counter[int | str] = Counter()
    for name, device in placed.items():
        held[device] += free_memory.weight_bytes(llama2_70b.get_submodule(name).parameters())
    for device, size in held.items():
        assert size <= 0.9 * sizes["cpu" if device == "cpu" else f"cuda:{device}"]
    counts = Counter(device for name, device in placed.items() if ".layers." in name)
    assert {device: abs(count - layers[device]) <= 2 for device, count in counts.items()} == (
        dict.fromkeys(layers, True)
    )
    assert placed["model.embed_tokens"] == 0


@pytest.mark.parametrize(
    "sizes",
    [
        {"cuda:0": 80 * GB, "cpu": 64 * GB},
        {f"cuda:{i}": GB for i in range(8)} | {"cpu": 400 * GB},  # a layer has 1.7 GB
    ],
    ids=["too little together", "no card for a layer"],
)
def test_what_does_not_fit_is_refused_with_the_numbers(
    llama2_70b: PreTrainedModel, monkeypatch: pytest.MonkeyPatch, sizes: dict[str, int]
) -> None:
    with pytest.raises(UserError) as refused:
        spreading.placement(SPEC, llama2_70b, free(monkeypatch, sizes))
    said = str(refused.value)
    assert "\n" not in said
    if len(sizes) == 2:
        for number in (137_953_296_384, 1_711_308_800, 129_600_000_000, 72_000_000_000):
            assert f"{number:,}" in said
    else:
        assert "the first GPU has no room for the embeddings" in said
        assert "1,711,308,800 bytes" in said


def test_a_model_whose_layers_are_not_known_is_refused(
    llama2_70b: PreTrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(llama2_70b, "_no_split_modules", None)
    with pytest.raises(UserError, match="must stay whole"):
        spreading.placement(SPEC, llama2_70b, free(monkeypatch, {"cuda:0": 80 * GB}))


def test_one_card_that_is_too_small_names_spread_where_that_holds_the_model(
    llama2_70b: PreTrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    check = partial(free_memory.check_memory, SPEC, llama2_70b, torch.bfloat16, CARDS[0])
    for host, named in ((128, True), (32, False)):
        sizes = {"cuda:0": 80 * GB, "cpu": host * GB}
        devices = free(monkeypatch, sizes)
        monkeypatch.setattr(free_memory, "every_device", lambda devices=devices: devices)
        with pytest.raises(UserError, match="137,953,296,384 bytes") as refused:
            check()
        assert ("device=spread" in str(refused.value)) == named


def test_spread_without_a_gpu_is_one_line(run: Command) -> None:
    code, _, err = run("device=spread")
    assert_one_line(code, err, "device=spread is for GPUs")
    with pytest.raises(UserError, match="device=spread is for GPUs"):
        resolve_devices("spread")


# whole jobs on pretended cards


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """A machine with two pretended cards that have so many free bytes each."""
    loading.unload()

    def pretend(free: int) -> None:
        for name, answer in {
            "is_available": True,
            "device_count": 2,
            "get_device_properties": SimpleNamespace(is_integrated=False),
            "mem_get_info": (free, 80 * GB),
            "memory_reserved": 0,
            "memory_allocated": 0,
            "max_memory_allocated": 7,
            "reset_peak_memory_stats": None,
            "get_device_name": "Pretended",
            "empty_cache": None,
        }.items():
            monkeypatch.setattr(torch.cuda, name, lambda *_, answer=answer: answer)
        monkeypatch.setattr(torch.accelerator, "synchronize", lambda _: None)
        monkeypatch.setenv("HF_DEACTIVATE_ASYNC_LOAD", "1")  # no other threads
        monkeypatch.setattr(loading, "placement", with_devices)

    def with_devices(*asked: object) -> dict[str, torch.device | str]:
        """Numbers of devices mean something only where PyTorch sees a card."""
        placed = placement(*asked)  # type: ignore[arg-type]
        return {
            name: CARDS[where] if isinstance(where, int) else where
            for name, where in placed.items()
        }

    placement = spreading.placement
    return pretend


@pytest.fixture(scope="module")
def deep_folder(
    tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerFast
) -> Path:
    """A LLaMA of six layers: 20 kB for its embedding and its head, and 10 kB for each layer."""
    folder = tmp_path_factory.mktemp("deep")
    torch.manual_seed(0)
    config = LlamaConfig(
        num_hidden_layers=6,
        num_attention_heads=2,
        hidden_size=16,
        intermediate_size=32,
        max_position_embeddings=1024,
        vocab_size=len(tokenizer),
        bos_token_id=0,
        eos_token_id=1,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("free", "held"), [(90_000, "2 × Pretended"), (52_000, "2 × Pretended and host memory")]
)
def test_a_spread_job_gives_the_record_of_any_other(
    run: Command,
    deep_folder: Path,
    machine: Callable[[int], None],
    tmp_path: Path,
    free: int,
    held: str,
) -> None:
    words = [f"model.hub_id={deep_folder}", "model.dtype=float32", "answer_score=mean"]
    assert run(*words, "device=cpu")[0] == 0
    ((path, plain),) = stored(tmp_path)
    machine(free)
    with pretended_cards():
        code, _, err = run(*words, "device=spread", "force=true")
    assert (code, err) == (0, "")
    ((again, record),) = stored(tmp_path)
    assert again == path
    likelihoods = [[point.pop("log_likelihood") for point in r["curve"]] for r in (record, plain)]
    assert likelihoods[0] == pytest.approx(likelihoods[1], abs=2e-6)  # rounded to six digits
    errors = [[point.pop("calibration_error") for point in r["curve"]] for r in (record, plain)]
    assert errors[0] == pytest.approx(errors[1], abs=2e-6)
    assert record["curve"] == plain["curve"]
    assert record["execution"]["device"] == held
    assert record["peak_memory_bytes"] == 14
    loading.unload()


def test_weights_in_the_hosts_memory_are_checked_and_do_not_follow_their_file(
    deep_folder: Path, machine: Callable[[int], None], tmp_path: Path
) -> None:
    for file in deep_folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    spec = ModelSpec("tiny", str(tmp_path), "main", None, "float32")
    weights = load_file(deep_folder / "model.safetensors")
    path, name = tmp_path / "model.safetensors", "model.layers.5.mlp.down_proj.weight"
    machine(52_000)
    with pretended_cards():
        _, model = loading.load_plain(spec, *resolve_devices("spread"))
        assert model.get_parameter(name).is_meta
        before = score(model, None, QUERIES, CANDIDATES)
        with path.open("r+b") as opened:
            opened.seek(path.stat().st_size // 2)
            opened.write(bytes(path.stat().st_size // 2))
        assert score(model, None, QUERIES, CANDIDATES) == before
    weights[name][0, 0] = torch.nan
    save_file(weights, path, metadata={"format": "pt"})
    with pretended_cards(), pytest.raises(UserError, match=f"damaged: {name}"):
        loading.load_plain(spec, *resolve_devices("spread"))


def test_a_gpu_that_shares_the_hosts_memory_is_one_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    for shared, devices in ((True, (CARDS[0],)), (False, (CARDS[0], CPU))):
        about = SimpleNamespace(is_integrated=shared)
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _, about=about: about)
        assert resolve_devices("spread") == devices


def test_devices_are_named_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {CARDS[0]: "A", CARDS[1]: "A", torch.device("cuda", 2): "B"}
    monkeypatch.setattr(torch.cuda, "get_device_name", names.__getitem__)
    assert provenance.device_name(CARDS[0]) == "A"
    assert provenance.device_name(*names) == "2 × A and B"
    assert provenance.device_name(*CARDS, CPU) == "2 × A and host memory"
