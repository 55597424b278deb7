"""Write abis/: our contracts as forge builds them, and the parts of npm packages that the keeper talks to.

    python scripts/abis.py            rebuild and write
    python scripts/abis.py --check    rebuild, compare with what is committed, exit 1 on a difference

Only the ABI is taken from other people's packages; their bytecode stays in node_modules and keeps its licence.
"""

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
ABIS = ROOT / "abis"
CONTRACTS = ROOT / "contracts"
NODE_MODULES = ROOT / "node_modules"
FORGE = NODE_MODULES / "@foundry-rs/forge-linux-amd64/bin/forge"

OWN = {
    "demo": ("src/demo/SettableAggregator.sol", "src/demo/MintableToken.sol"),
    "demo_test": ("src/demo/HostileCollateral.sol", "src/demo/FlashMintToken.sol", "src/demo/PoolFunder.sol"),
    "isolated": ("src/demo/IsolatedPerpetual.sol",),
    "reference": tuple(
        f"src/reference/{name}.sol" for name in ("Products", "RiskArrays", "Margin", "MarginVenue", "Auctions")
    ),
    "keeper": tuple(
        f"src/keeper/{name}.sol"
        for name in ("PriceRelay", "SurfaceRelay", "RelayFeed", "RiskSteward", "KeeperExecutor")
    ),
    "reference_test": ("src/reference/harness/MathHarness.sol", "src/reference/harness/AuctionHarness.sol"),
}
"""Folder under abis/ → our sources, each holding one contract of the file's name."""

INTERFACES = {
    "chainlink": ("src/demo/AggregatorV3Interface.sol",),
}
"""As OWN, but without bytecode: there is none in an interface."""

RUNTIME = {
    "keeper": ("src/keeper/InTurn.sol", "src/keeper/MarginLens.sol"),
}
"""As OWN, but the bytecode is what the contract runs: it is never created, only put at an address by an override."""

PUBLISHED = {
    "perp_curie": (
        "@perp/curie-contract",
        (
            "ClearingHouse", "Vault", "AccountBalance", "Exchange", "OrderBook", "MarketRegistry",
            "ClearingHouseConfig", "CollateralManager", "BaseToken", "InsuranceFund",
        ),
    ),
    "chainlink": ("@perp/perp-oracle-contract", ("ChainlinkPriceFeedV3", "PriceFeedDispatcher")),
}  # fmt: skip
"""Folder under abis/ → npm package, contracts whose ABI is taken from its Hardhat artifacts."""

Document = dict[str, Any]


class BuildError(Exception):
    """A tool or package is missing, or the compiler refused the sources."""


def build() -> None:
    """Compile contracts/src into contracts/out with forge, offline."""
    forge = shutil.which("forge") or str(FORGE)
    if not Path(forge).exists():
        raise BuildError(f"no forge on PATH and none at {forge}; run 'make setup' or 'npm ci --ignore-scripts'")
    done = subprocess.run(
        [forge, "build", "--offline", "src"], cwd=CONTRACTS,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise BuildError(f"forge build failed:\n{done.stdout}{done.stderr}")


def built(source: str, code: str | None) -> Document:
    """One of our contracts, from contracts/out; `code` names which of its bytecodes is kept, if any."""
    name = Path(source).stem
    artifact = json.loads((CONTRACTS / "out" / Path(source).name / f"{name}.json").read_text())
    metadata = artifact["metadata"]
    document = {
        "contract": name,
        "source": f"contracts/{source}",
        "licence": metadata["sources"][source]["license"],
        "compiler": f"solc {metadata['compiler']['version']}",
        "abi": artifact["abi"],
    }
    return document | ({"bytecode": artifact[code]["object"]} if code else {})


def published(package: str, name: str) -> Document:
    """One contract's ABI out of an npm package's Hardhat artifacts."""
    folder = NODE_MODULES / package
    path = f"artifacts/contracts/{name}.sol/{name}.json"
    if not (folder / path).exists():
        raise BuildError(f"{folder / path} is missing; run 'make setup' or 'npm ci --ignore-scripts'")
    manifest = json.loads((folder / "package.json").read_text())
    return {
        "contract": name,
        "source": f"{package}@{manifest['version']}/{path}",
        "licence": manifest["license"],
        "abi": json.loads((folder / path).read_text())["abi"],
    }


def documents() -> Iterator[tuple[Path, Document]]:
    """Every file that belongs under abis/, with what it should say."""
    for table, code in ((OWN, "bytecode"), (INTERFACES, None), (RUNTIME, "deployedBytecode")):
        for folder, sources in table.items():
            for source in sources:
                yield ABIS / folder / f"{Path(source).stem}.json", built(source, code)
    for folder, (package, names) in PUBLISHED.items():
        for name in names:
            yield ABIS / folder / f"{name}.json", published(package, name)


def rendered(document: Document) -> str:
    """JSON with one ABI entry per line, so that a diff shows which function changed."""
    entries = ",\n    ".join(json.dumps(entry) for entry in document["abi"])
    fields = [f"  {json.dumps(key)}: {json.dumps(held)}" for key, held in document.items() if key != "abi"]
    return "{\n" + ",\n".join([*fields, f'  "abi": [\n    {entries}\n  ]']) + "\n}\n"


def differences() -> list[str]:
    """Paths under abis/ whose committed text is not what the sources give."""
    return [
        str(path.relative_to(ROOT))
        for path, document in documents()
        if not path.exists() or path.read_text() != rendered(document)
    ]


def write() -> int:
    """Write every document; returns how many."""
    count = 0
    for path, document in documents():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(rendered(document))
        count += 1
    return count


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare with the committed files, write nothing")
    check: bool = parser.parse_args().check
    try:
        build()
        changed = differences()
        if not check:
            sys.stdout.write(f"{write()} files under abis/, {len(changed)} of them changed\n")
            return 0
    except BuildError as error:
        sys.stderr.write(f"abis: {error}\n")
        return 1
    for path in changed:
        sys.stderr.write(f"abis: {path} is not what its source gives; run 'make abis' and commit the result\n")
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main())
