"""What the documents show works: every example is run, every link leads somewhere.

The examples of one document run in order, in one Python namespace and one empty folder, so that a command may read
the store that a Python block before it has written. A Python block stays out with the info string ``python no-run``
and a first line ``# not run: <reason>``.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.running import invoke

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("**/*.md"))]
COMMANDS = ("$ zarr-vectors ", "$ zv ")

FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
SHELL = re.compile(r"[|&;<>()$`*?~]")
LINK = re.compile(r"\]\((?!\w+:|#)(?P<path>[^)#\s]+)")


@dataclass(frozen=True)
class Block:
    """A fenced block: its info string, its text and the line of the document on which the text begins."""

    info: str
    text: str
    line: int

    @property
    def commands(self) -> list[str]:
        """The command lines of this block that call our program."""
        if self.info not in ("bash", "console", "sh"):
            return []
        joined = self.text.replace("\\\n", " ")
        return [line.removeprefix("$ ") for line in joined.splitlines() if line.startswith(COMMANDS)]


def blocks(document: Path) -> Iterator[Block]:
    text = document.read_text(encoding="utf-8")
    for match in FENCE.finditer(text):
        yield Block(match["info"].strip(), match["text"], text.count("\n", 0, match.start("text")) + 1)


def test_readme_shows_python_and_the_command_line() -> None:
    shown = list(blocks(ROOT / "README.md"))
    assert any(block.info == "python" for block in shown)
    assert any(block.commands for block in shown)


def test_readme_installs_what_its_examples_need() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    installed = re.search(r"pip install '\.\[([\w,]+)\]'", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert installed is not None
    shown = "".join(block.text for block in blocks(ROOT / "README.md") if block.info == "python")
    needed = set(re.findall(r"\.(?:to|from)_(\w+)\(", shown)) & set(project["optional-dependencies"])
    assert needed
    assert needed <= set(installed[1].split(","))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_python_blocks_run_or_say_why_not(document: Path) -> None:
    for block in blocks(document):
        if block.info.startswith("python") and block.info != "python":
            assert block.info == "python no-run", f"{document.name}:{block.line} has the info string {block.info!r}"
            assert re.match(r"# not run: \w+", block.text), f"{document.name}:{block.line} does not say why"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_examples_run(document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": "__main__"}
    for block in blocks(document):
        if block.info == "python":
            # The empty lines make a traceback point to the line of the document.
            exec(compile("\n" * (block.line - 1) + block.text, document, "exec"), namespace)
        for command in block.commands:
            run_command(command, f"{document.name}:{block.line}")


def run_command(command: str, where: str) -> None:
    """Run a line of shell: in this process, unless it needs a shell."""
    if not SHELL.search(command):
        said = invoke(*shlex.split(command, comments=True)[1:])
        assert said.exit_code == 0, f"{where}: {command}\n{said.output}"
        return
    run_in_shell(command, where)


def run_in_shell(command: str, where: str) -> None:
    """With the programs of this Python's environment first on the path."""
    programs = Path(sys.executable).parent
    assert (programs / "zv").exists(), "the package is not installed in this environment; run `make venv`"
    done = subprocess.run(
        ["bash", "-c", command],
        env=os.environ | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{where}: {command}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_to_files_lead_somewhere(document: Path) -> None:
    paths = [match["path"] for match in LINK.finditer(document.read_text(encoding="utf-8"))]
    assert [path for path in paths if not (document.parent / path).exists()] == []


def test_a_command_that_needs_a_shell_runs_in_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_command("zv --version > told.txt", "here")
    assert (tmp_path / "told.txt").read_text().startswith("zarr-vectors ")
    for wrong in ("zv fly", "zv fly | cat; exit ${PIPESTATUS[0]}"):
        with pytest.raises(AssertionError, match="here: zv fly"):
            run_command(wrong, "here")
