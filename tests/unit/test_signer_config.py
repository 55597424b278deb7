"""signer.toml: the example loads, and a wrong file says key, expectation and finding."""

from collections.abc import Callable
from pathlib import Path

import pytest

from keeper.errors import ConfigError
from keeper.signer.config import load
from tests.signer_desk import ADDRESS
from tests.signer_process import FILE, ROOT


def test_the_example_is_a_file_that_loads() -> None:
    found = load(ROOT / "docs" / "examples" / "signer.toml")
    assert found.policy().mode == "observe"
    assert [rule.function.signature for rule in found.policy().calls] == [
        "liquidate(address,address)",
        "setMmRatioBuffer(uint24)",
    ]


def test_rows_are_read_with_numbers_beyond_64_bits(tmp_path: Path) -> None:
    function = "write((uint8 field,uint128 number)[] changes)"
    rows = f"[[[0, 0], [7, {10**22}]]]"
    call = (
        f'[[call]]\nto = "{ADDRESS}"\nfunction = "{function}"\n[[call.argument]]\npath = "changes[*]"\nrows = {rows}\n'
    )
    path = tmp_path / "signer.toml"
    path.write_text(FILE + call)
    (bound,) = load(path).policy().calls[-1].bounds
    assert bound.fault(([(0, 10**22)],)) == ""
    assert bound.fault(([(0, 10**22 + 1)],)) != ""


FAULTS: dict[str, tuple[Callable[[str], str], str]] = {
    "unknown key": (lambda text: text.replace("lease_seconds", "lease_second"), "did you mean lease_seconds"),
    "no caps": (lambda text: text.replace("per_day = 200.0", ""), "caps.per_day: expected a setting, found none"),
    "caps out of order": (
        lambda text: text.replace("per_hour = 100.0", "per_hour = 300.0"),
        "per_transaction <= per_hour",
    ),
    "tip above fee": (lambda text: text.replace("max_tip_gwei = 2.0", "max_tip_gwei = 300.0"), "max_tip_gwei <="),
    "no key": (lambda text: text.replace("[[key]]", "[key]"), "key"),
    "a signature": (lambda text: text.replace("touch(uint256)", "touch(uint257)"), "expected a Solidity type"),
    "a path": (lambda text: text + '[[call.argument]]\npath = "1"\nlow = 1\n', "expected one of"),
    "deep arrays": (
        lambda text: text.replace("touch(uint256)", "touch(bytes[][][])"),
        "nested at most 3 deep, found 4",
    ),
    "a checksum": (lambda text: text.replace(ADDRESS, ADDRESS.replace("f39F", "F39F")), "a digit is wrong"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_wrong_file_says_key_expectation_and_finding(tmp_path: Path, case: str) -> None:
    change, says = FAULTS[case]
    path = tmp_path / "signer.toml"
    path.write_text(change(FILE))
    with pytest.raises(ConfigError) as found:
        load(path)
    assert says in str(found.value)
