"""What a newcomer types is what stands in README and docs, what make lists and what CI does."""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OUTSIDE = {
    key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))
}
"""The environment without what the make that runs these tests was told."""


def make(*words: str) -> str:
    done = subprocess.run(
        ["make", "--no-print-directory", "-C", str(ROOT), *words],
        capture_output=True,
        text=True,
        check=True,
        env=OUTSIDE,
    )
    return done.stdout


def targets() -> list[str]:
    makefile = (ROOT / "Makefile").read_text().replace("\\\n", " ")
    (line,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    return line.split()


def test_help_lists_every_target() -> None:
    listed = re.findall(r"^  ([a-z-]+) +\S", make("help"), re.MULTILINE)
    assert sorted(listed) == sorted(targets())
    assert {"test", "test-all", "readme", "docs"} <= set(listed)


@pytest.mark.parametrize(
    "source",
    [
        *("README.md", "CONTRIBUTING.md", ".ci/run", "pyproject.toml"),
        *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md")),
    ],
)
def test_every_make_command_that_is_named_exists(source: str) -> None:
    text = (ROOT / source).read_text()
    named = set(re.findall(r"(?:`|^|\()make ([a-z][a-z-]*)", text, re.MULTILINE))
    assert named <= set(targets())


def test_the_quick_tier_leaves_out_what_is_slow_and_nothing_else() -> None:
    quick, whole = (
        make("-n", target, "ARGS=-x").splitlines()[-1] for target in ("test", "test-all")
    )
    assert quick == whole.replace(" -x", " -m 'not slow' -x")
    assert "-m" not in whole.partition("-m pytest")[2].replace("--maxprocesses", "")


def test_ci_does_what_the_readme_tells_a_newcomer() -> None:
    steps = re.findall(r"^make ([a-z-]+)$", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)
    first = (ROOT / "README.md").read_text().partition("```bash\n")[2].partition("```")[0]
    told = re.findall(r"^make ([a-z-]+)", first, re.MULTILINE)
    assert told == ["run", "test", "test-all", "tables"]
    assert [step for step in steps if step in told] == ["run", "test-all", "tables"]
    assert {"setup", "lint"} <= set(steps)


@pytest.mark.parametrize(
    ("target", "does", "told"),
    [
        ("run", "true", ""),
        ("run", "touch record.json", "?? record.json"),
        ("test-all", "rm README.md", " D README.md"),
        ("tables", "echo other >README.md", " M README.md"),
    ],
)
def test_ci_fails_if_a_command_changes_the_checkout(
    tmp_path: Path, target: str, does: str, told: str
) -> None:
    """CI's own script in a small checkout, where one target does this and the others nothing."""
    script = tmp_path / ".ci" / "run"
    script.parent.mkdir()
    script.write_bytes((ROOT / ".ci" / "run").read_bytes())
    script.chmod(0o755)
    (tmp_path / "README.md").write_text("as committed\n")
    (tmp_path / "Makefile").write_text(
        "setup lint run test-all tables readme docs:\n\t@true\n"
        f"{target}: changes\nchanges:\n\t@{does}\n"
    )
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "all"]):
        who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        subprocess.run(["git", "-C", str(tmp_path), *who, *words], check=True)
    done = subprocess.run([script], capture_output=True, text=True, check=False, env=OUTSIDE)
    assert done.returncode == bool(told), done.stderr
    assert told in done.stderr
