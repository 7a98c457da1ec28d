"""The README and the documents say what is there."""

import re
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from bsa_vision.cli.main import app

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("annotations/*.md")])


def _options(command: Any) -> set[str]:
    """Of a command, and of those below it where it is a group."""
    below = getattr(command, "commands", {}).values()
    own = {option for parameter in command.params for option in parameter.opts}
    return own.union(*map(_options, below))


def _commands() -> dict[str, set[str]]:
    """Options by command."""
    group: Any = get_command(app)
    return {name: _options(command) for name, command in group.commands.items()}


def test_the_table_lists_every_command_with_options_it_has() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\S+)(.*?)` \|", text, flags=re.MULTILINE)
    commands = _commands()
    assert [name for name, _ in rows] == list(commands)
    for name, arguments in rows:
        assert set(re.findall(r"--[a-z-]+", arguments)) <= commands[name]


def test_every_option_that_a_document_names_is_there() -> None:
    group = {option for parameter in get_command(app).params for option in parameter.opts}
    known = {"--help"}.union(group, *_commands().values())
    # The benchmarks speak of programs in scripts/.
    for document in (path for path in DOCUMENTS if path.name != "BENCHMARKS.md"):
        quoted = re.findall(r"`[^`\n]+`", document.read_text(encoding="utf-8"))
        named = {one for text in quoted for one in re.findall(r"(?<![\w-])--[a-z][a-z-]*", text)}
        assert named <= known, document.name


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", document.read_text(encoding="utf-8"))
    local = [link for link in links if not link.startswith("https://")]
    missing = [link for link in local if not (document.parent / link).exists()]
    assert not missing


def test_the_layout_names_folders_that_exist() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    layout = text.split("## Layout")[1].split("Imports point")[0]
    named = re.findall(r"^      (\S+?)/?  ", layout, flags=re.MULTILINE)
    package = ROOT / "src" / "bsa_vision"
    assert named
    assert {path.name for path in package.iterdir() if (path / "__init__.py").exists()} <= {*named}
    assert all((package / name).exists() for name in named)
