"""How selectors grow: the script's own arithmetic, and no selector holds all pairs of a pool."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parent.parent / "scripts" / "scaling.py"


def scaling(*arguments: str) -> str:
    if not Path("/proc/self/status").exists():
        pytest.skip("memory is read from Linux's /proc")
    command = [sys.executable, str(SCRIPT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.slow
@pytest.mark.parametrize("method", ["cal", "craig", "facility_location"])
def test_no_matrix_of_all_pairs_is_held(method: str) -> None:
    size = 8000
    assert json.loads(scaling("--single", method, str(size)))["bytes"] < 4 * size**2


@pytest.mark.slow
def test_the_table_names_exponents(tmp_path: Path) -> None:
    about = ("--sizes", "400", "1600", "--methods", "margin", "random")
    out = scaling(*about, "--out", str(tmp_path / "scaling.json"))
    rows = {line.split("│")[1].strip(): line for line in out.splitlines() if line.startswith("│")}
    assert "n^1.00" in rows["margin"]  # as many prompts as examples
    assert "none" in rows["random"]
