"""Run slither over the contracts and compare with the answers given.

    python -m tests.static [--out FILE]

Every finding needs an answer in tests/static/answers.py, for its whole kind or for the function it is about; an answer
no finding asks for is stale. Exit 1 for either. Findings are written as JSON.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import orjson

from tests.static.answers import OF_A_KIND, OF_A_PLACE

ROOT = Path(__file__).parents[2]
WORK = ROOT / "build" / "static"
TOOLS = ROOT / "build" / "contract-tools" / "bin"
FORGE = shutil.which("forge") or str(ROOT / "node_modules/@foundry-rs/forge-linux-amd64/bin/forge")
NOT_OURS = "lib|node_modules|src/demo|src/reference/harness"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.static", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "static.json", help="where findings are written")
    asked = parser.parse_args()
    if not (TOOLS / "slither").exists():
        parser.error(f"no slither in {TOOLS}; run `make fuzz`, which installs it")
    found = findings(prepare())
    asked.out.write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2))
    open_, stale = compare(found)
    for check, place, text in open_:
        print(f"no answer: {check} in {place}: {text}")
    for answer in stale:
        print(f"stale answer: {answer}")
    print(f"{len(found)} findings, {len(open_)} without an answer, {len(stale)} stale answers")
    return 1 if open_ or stale else 0


def prepare() -> Path:
    """Build a copy whose array lengths are literals: slither cannot fold a constant imported from another file."""
    shutil.rmtree(WORK, ignore_errors=True)
    copy = WORK / "contracts"
    shutil.copytree(ROOT / "contracts", copy, ignore=shutil.ignore_patterns("lib", "out", "cache", "test", "snapshots"))
    (copy / "test").mkdir()
    (copy / "lib").symlink_to(Path("..", "node_modules"))
    for folder in ("node_modules", "scripts"):  # the compiler's wrapper looks beside its own folder
        (WORK / folder).symlink_to(ROOT / folder)
    types = (copy / "src/reference/Types.sol").read_text()
    lengths = dict(re.findall(r"uint256 constant (\w+) = (\d+);", types))
    for source in (copy / "src/reference").rglob("*.sol"):
        text = source.read_text()
        for name, number in lengths.items():
            text = text.replace(f"[{name}]", f"[{number}]")
        source.write_text(text)
    built = subprocess.run(
        [FORGE, "build", "--offline", "--build-info", "--force"], cwd=copy, capture_output=True, text=True, check=False
    )
    if built.returncode:
        raise SystemExit(f"the copy in {copy} does not compile:\n{built.stdout[-2000:]}{built.stderr[-2000:]}")
    return copy


def findings(folder: Path) -> list[dict[str, str]]:
    """Return check, place and text of every finding, sorted."""
    out = WORK / "slither.json"
    arguments = ["--ignore-compile", "--foundry-out-directory", "out", "--filter-paths", NOT_OURS, "--json", str(out)]
    path = os.pathsep.join([str(TOOLS), str(Path(FORGE).parent), os.environ["PATH"]])
    done = subprocess.run(
        [str(TOOLS / "slither"), ".", *arguments],
        cwd=folder,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    if not out.exists():
        raise SystemExit(f"slither wrote nothing:\n{done.stderr[-2000:]}")
    detectors = orjson.loads(out.read_bytes())["results"].get("detectors", [])
    return sorted(
        ({"check": d["check"], "place": place(d), "text": " ".join(d["description"].split())[:300]} for d in detectors),
        key=lambda f: (f["check"], f["place"], f["text"]),
    )


def place(detector: dict) -> str:
    """Name the contract and function a finding is about, as `Contract.function`."""
    for element in detector["elements"]:
        parent = element.get("type_specific_fields", {}).get("parent", {})
        if element["type"] == "function":
            return f"{parent.get('name', '?')}.{element['name']}"
        if element["type"] == "variable" and parent.get("type") == "function":
            outer = parent.get("type_specific_fields", {}).get("parent", {})
            return f"{outer.get('name', '?')}.{parent['name']}"
    first = detector["elements"][0] if detector["elements"] else {"name": "?"}
    return str(first["name"])


def compare(found: list[dict[str, str]]) -> tuple[list[tuple[str, str, str]], list[str]]:
    """Return the findings without an answer and the answers without a finding."""
    open_, used = [], set()
    for f in found:
        key = (f["check"], f["place"])
        if f["check"] in OF_A_KIND:
            used.add(f["check"])
        elif key in OF_A_PLACE:
            used.add(key)
        else:
            open_.append((f["check"], f["place"], f["text"]))
    given = {*OF_A_KIND, *OF_A_PLACE}
    return open_, sorted(str(answer) for answer in given - used)


if __name__ == "__main__":
    sys.exit(main())
