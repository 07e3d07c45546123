"""Experiments that are kept between processes."""

from pathlib import Path

import pytest

from deepthink.report import composed, experiments


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DEEPTHINK_CACHE", str(tmp_path))
    return tmp_path / composed.FOLDER


def test_what_is_kept_is_what_hydra_composes(folder: Path) -> None:
    words = ("model=opt-125m", "task=sst2", "seed=0,1")
    experiments.settings.cache_clear()
    first = experiments.settings("figure6", *words)
    assert len([*folder.iterdir()]) == 1
    experiments.settings.cache_clear()
    again = experiments.settings("figure6", *words)
    assert again == first == experiments._composed("figure6", words)
    assert [s.families for s in again] == [s.families for s in first]


def test_a_damaged_file_and_a_full_disk_cost_time_alone(folder: Path) -> None:
    assert composed.kept("a", (), lambda: 1) == 1
    (place,) = folder.iterdir()
    place.write_bytes(b"damaged")
    assert composed.kept("a", (), lambda: 2) == 2
    assert composed.kept("a", (), lambda: 3) == 2
    place.unlink()
    folder.rmdir()
    folder.write_text("a file where the folder should be")
    assert composed.kept("a", (), lambda: 4) == 4


def test_other_words_configs_or_code_are_another_file(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for words in ((), ("seed=1",)):
        composed.kept("a", words, lambda: 1)
    assert len([*folder.iterdir()]) == 2
    conf = tmp_path / "conf"
    conf.mkdir()
    (conf / "a.yaml").write_text("a: 1")
    for content in ("a: 2", "a: 3"):
        (conf / "a.yaml").write_text(content)
        monkeypatch.setattr(composed, "CONF", conf)
        composed._sources.cache_clear()
        composed.kept("a", (), lambda: 1)
    composed._sources.cache_clear()
    assert len([*folder.iterdir()]) == 4


def test_words_that_name_files_are_composed_each_time(folder: Path) -> None:
    for word in ("task.file=a.csv", "plugins=mine", "+a=1"):
        assert composed.kept("a", (word,), lambda: 1) == 1
        assert composed.kept("a", (word,), lambda: 2) == 2
    assert not folder.exists()
