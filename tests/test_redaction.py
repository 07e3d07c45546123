"""Tokens of every kind and shape are starred out."""

import json
from pathlib import Path

import pytest

from deepthink.redaction import redacted, without_secrets

TOKEN = "hf_" + "a1B2" * 8


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "none"))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


def test_a_token_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "k-123")
    assert without_secrets("with k-123.") == "with ***."
    assert without_secrets("with k-124.") == "with k-124."


def test_a_token_that_json_would_write_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", 'odd"one\\')
    told = {"error": 'by odd"one\\', "traceback": ['line odd"one\\'], "config": {"seed": 1}}
    assert redacted(told) == {"error": "by ***", "traceback": ["line ***"], "config": {"seed": 1}}
    assert "odd" not in json.dumps(redacted(told))


def test_a_token_that_the_hubs_client_keeps_in_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("kept-in-a-file\n")
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "token"))
    assert without_secrets("by kept-in-a-file") == "by ***"


def test_a_key_that_wandb_keeps_in_netrc(tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine api.wandb.ai login user password n3trc\n")
    (tmp_path / "netrc").chmod(0o600)
    assert without_secrets("by n3trc") == "by ***"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"Bearer {TOKEN}", "Bearer ***"),
        ("proxy http://me:pa55@proxy:80 refused", "proxy http://***@proxy:80 refused"),
        ("https://huggingface.co/api/models", "https://huggingface.co/api/models"),
        ("hf_hub_download failed at 12:30", "hf_hub_download failed at 12:30"),
    ],
)
def test_what_looks_like_a_secret(text: str, told: str) -> None:
    assert without_secrets(text) == told
