"""The README's commands exist: make targets by a dry run, keeper's commands and options by their own help."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
KEEPER = ".venv/bin/keeper"


def commands() -> list[str]:
    blocks = re.findall(r"^```bash\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line and not line.startswith("#")]


def run(*command: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin", "COLUMNS": "200", "TERM": "dumb", "NO_COLOR": "1"}
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False, env=environment)


def keeper(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run(str(Path(sys.executable).with_name("keeper")), *arguments)


def test_the_readme_names_commands():
    assert {"make demo", "make test", f"{KEEPER} --help"} <= set(commands())


@pytest.mark.parametrize("command", [c for c in commands() if c.startswith("make ")])
def test_make_targets_exist(command):
    done = run("make", "--dry-run", *shlex.split(command)[1:])
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", [c for c in commands() if c.startswith(KEEPER)])
def test_keeper_commands_and_their_options_exist(command):
    words = shlex.split(command)[1:]
    named = [] if words[0].startswith("-") else [words[0]]
    help_text = keeper(*named, "--help")
    assert help_text.returncode == 0, help_text.stderr
    assert [word for word in words if word.startswith("--") and word not in help_text.stdout] == []


def test_nothing_else_is_in_the_bash_blocks():
    assert [c for c in commands() if not c.startswith(("make ", KEEPER))] == []


def test_every_relative_link_in_readme_and_docs_leads_somewhere():
    pages = [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]
    links = [(page, target) for page in pages for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text())]
    missing = [(page.name, to) for page, to in links if "://" not in to and not (page.parent / to).exists()]
    assert missing == []


def named_in_docs() -> dict[str, set[str]]:
    """Return keeper's commands that a page of docs/ shows with options → those options."""
    found: dict[str, set[str]] = {}
    for page in (ROOT / "docs").glob("*.md"):
        text = page.read_text().replace("\\\n", " ")
        for command, rest in re.findall(r"(?:^ {4}|`|/)keeper ((?:signer )?[a-z-]+)([^`\n|]*)", text, re.MULTILINE):
            found.setdefault(command, set()).update(re.findall(r"--[a-z-]+", rest))
    return found


@pytest.mark.parametrize("command", [command for command, options in named_in_docs().items() if options])
def test_commands_that_the_docs_show_exist_with_their_options(command):
    help_text = keeper(*command.split(), "--help")
    assert help_text.returncode == 0, help_text.stderr
    assert [option for option in named_in_docs()[command] if option not in help_text.stdout] == []


def test_the_surface_page_runs_as_it_stands():
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs" / "volatility-surface.md").read_text(), re.M | re.S)
    names: dict[str, object] = {}
    for block in blocks:
        exec(block, names)
    fit = names["fit"]
    assert fit.rmse.max() < 1e-6
    assert 0.6 < names["vol"](fit.surface, 0.05, 0.15) < 0.61


def test_the_exit_codes_are_documented():
    from keeper.errors import ExitCode  # here: the rest of this file needs nothing of the package

    page = (ROOT / "docs/command-line.md").read_text()
    documented = dict(re.findall(r"^\| (\d+) \| ([A-Z]+) \|", page, re.MULTILINE))
    assert documented == {str(code.value): code.name for code in ExitCode}
