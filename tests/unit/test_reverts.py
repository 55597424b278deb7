"""Reverts in words. Payloads are written out by hand, as a contract of any kind could."""

from keeper.abi import interface
from keeper.reverts import DEEPEST, LONGEST, Revert, revert

TEXT = "08c379a0" + f"{32:064x}" + f"{5:064x}" + b"no:\n!".hex().ljust(64, "0")
PANIC = "4e487b71" + f"{0x12:064x}"


def said(payload: str) -> Revert:
    return revert(bytes.fromhex(payload))


def test_each_kind_in_words() -> None:
    assert said("") == Revert("empty", "reverted without a reason")
    assert said(TEXT) == Revert("message", "no: !")
    assert said(PANIC) == Revert("panic", "panic 0x12: division by zero")
    assert said("4e487b71" + f"{0x99:064x}") == Revert("panic", "panic 0x99: of no known kind")
    assert said("deadbeef" + "00" * 32) == Revert("unknown", "0xdeadbeef")
    assert said("dead") == Revert("unknown", "0xdead")


def test_an_error_a_contract_declares_is_named_with_its_arguments() -> None:
    selector = interface("reference/RiskArrays").error("WrongOrder")
    assert selector is not None
    types = interface("reference/RiskArrays").errors[selector].types
    payload = selector + b"".join(n.to_bytes(32) for n, _ in enumerate(types, 7))
    numbers = ", ".join(str(n) for n, _ in enumerate(types, 7))
    assert revert(payload) == Revert("error", f"WrongOrder({numbers})")
    assert revert(selector + b"\x01") == Revert("error", "WrongOrder")  # arguments cut off


def test_an_error_passed_on_inside_another_is_named_too() -> None:
    """As the executor's StepFailed(uint256,uint8,bytes): index 1, kind 2, the reason."""
    selector = interface("keeper/KeeperExecutor").error("StepFailed")
    assert selector is not None

    def failed(reason: bytes) -> str:
        padded = reason + bytes(-len(reason) % 32)
        return revert(selector + b"".join(n.to_bytes(32) for n in (1, 2, 96, len(reason))) + padded).text

    assert failed(bytes.fromhex(PANIC)) == "StepFailed(1, 2, panic 0x12: division by zero)"
    assert failed(bytes.fromhex(TEXT))[:21] == "StepFailed(1, 2, no: "
    assert failed(b"") == "StepFailed(1, 2, 0x)"
    assert failed(selector) == "StepFailed(1, 2, StepFailed)"  # cut off where the executor stops copying
    assert failed(bytes.fromhex(PANIC)[:32]) == f"StepFailed(1, 2, 0x{PANIC[:64]})"  # a word, as an id is


def test_nesting_has_an_end() -> None:
    """Nothing bounds what a trusted contract passes on, and Python's stack has one."""
    selector = interface("keeper/KeeperExecutor").error("LoanRefused")
    assert selector is not None
    payload = bytes.fromhex(PANIC)
    for _ in range(400):
        payload = selector + (32).to_bytes(32) + len(payload).to_bytes(32) + payload + bytes(-len(payload) % 32)
    said = revert(payload).text
    assert said.startswith(f"{'LoanRefused(' * (DEEPEST + 1)}0x{selector.hex()}")
    assert len(said) == LONGEST


def test_payloads_that_lie_are_still_words() -> None:
    assert said("08c379a0" + "ff" * 64).text == "0x08c379a0"
    assert said("08c379a0" + f"{32:064x}" + f"{2**60:064x}").text == "an empty message"
    assert said("4e487b71").text == "0x4e487b71"
    long = b"x" * 900
    assert said("08c379a0" + f"{32:064x}" + f"{900:064x}" + long.hex()).text == "x" * LONGEST
