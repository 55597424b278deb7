"""Every symbolic check has a broken twin."""

from tests.symbolic.checks import Check, listed, unpaired


def check(name: str, contract: str = "A") -> Check:
    kind, _, rest = name.partition("_")
    return Check(contract, name, {"check": "proven", "broken": "refuted"}[kind], rest.partition("_if_")[0], "z3")


def test_every_check_of_the_contracts_has_a_twin_and_every_twin_a_check():
    checks = listed()
    assert len({c.name for c in checks}) == len(checks)
    assert sum(c.expected == "proven" for c in checks) >= 10
    assert unpaired(checks) == []


def test_a_check_alone_and_a_twin_alone_are_named():
    pair = [check("check_sum"), check("broken_sum_if_doubled"), check("broken_sum_if_negative")]
    assert unpaired(pair) == []
    assert unpaired([*pair, check("check_difference")]) == ["check_difference"]
    assert unpaired([*pair, check("broken_sums_if_doubled")]) == ["broken_sums_if_doubled"]


def test_a_twin_in_another_contract_is_none():
    assert unpaired([check("check_sum"), check("broken_sum_if_doubled", "B")]) == ["check_sum", "broken_sum_if_doubled"]


def test_functions_are_read_with_the_solver_they_ask_for(tmp_path):
    (tmp_path / "SumChecks.sol").write_text(
        "/// @custom:halmos --solver yices\n    function check_sum(uint8 a) public {}\n"
        "    function broken_sum_if_doubled(uint8 a) public {}\n"
        "    function _checks(uint8 a) private {}\n"
    )
    assert listed(tmp_path) == [
        Check("SumChecks", "check_sum", "proven", "sum", "yices"),
        Check("SumChecks", "broken_sum_if_doubled", "refuted", "sum", "z3"),
    ]
