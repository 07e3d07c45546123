"""The house: which room stands on which, and no import that climbs or goes next door."""

import ast
from pathlib import Path

import pytest

HOUSE = Path(__file__).resolve().parent.parent / "deepthink"
FLOORS = (
    {"errors", "structures", "settings", "progress", "files", "content", "redaction", "hub"}
    | {"installation", "plugins", "foreign", "options", "kept", "garbage"},
    {"engine", "config"},
    {"models", "tasks", "store"},
    {"selection"},
    {"study"},
    {"report"},
    {"app"},
    {"harness"},
    {"__main__"},
)
"""From the ground up: a room imports from itself and from lower floors, the ground floor from the
whole ground floor."""

FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
ROOMS = {path.stem for path in HOUSE.iterdir() if path.suffix == ".py" or path.is_dir()}


def imported(path: Path) -> set[str]:
    """The rooms that a file imports from."""
    nodes = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.ImportFrom)]
    names = {f"{n.module}.{a.name}" for n in nodes for a in n.names}
    return {name.split(".")[1] for name in names if name.startswith("deepthink.")} & {*FLOOR}


def test_every_room_has_a_floor() -> None:
    assert {*FLOOR} == ROOMS - {"__init__", "__pycache__", "py"}


@pytest.mark.parametrize("room", sorted(FLOOR))
def test_no_import_climbs_or_goes_next_door(room: str) -> None:
    files = [*(HOUSE / room).rglob("*.py"), *HOUSE.glob(f"{room}.py")]
    allowed = {room}.union(*FLOORS[: max(1, FLOOR[room])])
    for path in files:
        assert imported(path) <= allowed, path
