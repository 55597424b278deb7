"""Auctions whose `startAuctions` reverts where one of its starts is refused: what a batch would be without try."""

from keeper.abi import interface
from tests.chaos_suite.reference_site import ReferenceSite

KEPT_AT = "0x00000000000000000000000000000000a0c7105e"
"""Where the true code is put; storage and the contract's address stay."""


def without_partial_success(site: ReferenceSite) -> None:
    """Put a wrapper before the auctions' code that wants every start of a batch to succeed."""
    auctions = site.market.manifest.contracts.auctions
    site.rpc.call("anvil_setCode", KEPT_AT, site.rpc.call("eth_getCode", auctions, "latest"))
    site.rpc.call("anvil_setCode", auctions, "0x" + _wrapper().hex())


def _wrapper() -> bytes:
    """Return code that delegates the call, and reverts `startAuctions` where it returns less than it was given."""
    selector = interface("reference/Auctions").function("startAuctions").selector
    delegated = "365f5f37 5f5f365f73" + KEPT_AT[2:] + "5af4 3d5f5f3e"  # copy, delegatecall, copy what it returned
    succeeded = len(bytes.fromhex(delegated)) + 6
    head = f"{delegated} 60{succeeded:02x}57 3d5ffd 5b"
    told = "5f3560e01c63" + selector.hex() + "1415"  # is it another function?
    end = len(bytes.fromhex(head + told)) + 3 + 12
    compared = "602435 5f51 14"  # the number of starts against what was returned
    return bytes.fromhex(f"{head} {told} 60{end:02x}57 {compared} 60{end:02x}57 5f5ffd 5b3d5ff3")
