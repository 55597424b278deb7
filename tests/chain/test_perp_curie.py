"""The adapter against the contract: every number it reads, computes or confirms is asked of Curie itself."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import pytest
from eth_utils.crypto import keccak

from engine.margin.perp import margin
from keeper.abi import int_at
from keeper.chain import Block, Call, Receipt
from keeper.decide import Known, Policy, decide
from keeper.demo.anvil import Anvil
from keeper.demo.curie import DEPLOYER, USDC, deposit
from keeper.demo.deployment import Deployment
from keeper.demo.path import BTC_MARCH_2020
from keeper.demo.pool import WHOLE
from keeper.demo.replay import BLOCKS_AFTER, replay
from keeper.demo.transactions import Batch, call, receipts, role
from keeper.errors import MissingContract, ReadError
from keeper.market import Prices, fuse
from keeper.oracles.base import Feed
from keeper.oracles.chainlink import Chainlink
from keeper.plans import Held, Liquidate, Plan, SetParameters
from keeper.rpc import Rpc
from keeper.snapshot import Verdict, assemble, judge
from keeper.units import to_float
from keeper.venues.base import VenueState
from keeper.venues.perp_curie import PerpCurie

CRASH = (BTC_MARCH_2020[0], *BTC_MARCH_2020[10:13])  # 09:00, 10:00 and 11:00 on 12 March after the opening
OTHERS = ("market_maker", "arbitrageur", "keeper")
REVERT = "0x60006000fd"
CLOSE = 1e-9
SLOTS = 600  # where Curie's mappings start: beyond its base contracts' gaps


@dataclass(frozen=True, slots=True)
class Seen:
    """What the keeper makes of one block."""

    state: VenueState
    prices: Prices
    verdicts: dict[str, Verdict]
    plans: tuple[Plan, ...]
    holds: tuple[Held, ...]

    @property
    def liquidated(self) -> set[str]:
        return {plan.account for plan in self.plans if plan.kind == "liquidate"}

    def status(self, account: str) -> str:
        return self.verdicts[account].status


@dataclass(frozen=True, slots=True)
class Asked:
    """What the contracts say of one account, exactly: 18 decimals, `value` floored to 6 of them."""

    value: int
    mm: int
    im: int
    liquidatable: int  # position size, signed; 0: not liquidatable


class Reader:
    """The keeper's eyes beside the contracts' own views, on one world."""

    def __init__(self, rpc: Rpc, world: Deployment) -> None:
        self.rpc, self.world = rpc, world
        self.venue = PerpCurie(rpc, world.contracts.clearing_house)
        self.accounts = (*world.accounts, *(getattr(world, name) for name in OTHERS))

    def see(self, block: Block | None = None, heartbeat_s: int = 3_600) -> Seen:
        at = block or self.rpc.block()
        held = (*self.world.markets, *self.world.collaterals)
        feeds = [Feed(h.name, h.aggregator, 8, heartbeat_s) for h in held]
        state = self.venue.read(at, self.accounts)
        prices = fuse(state, Chainlink(self.rpc).read(at, feeds))
        verdicts = judge(self.venue, state, prices, margin(*assemble(state, prices)))
        policy = Policy("", True, True, 0.0, 1_000, 3, ())
        plans, holds = decide(state, prices, verdicts, Known({}, {}, {}), policy)
        return Seen(state, prices, {v.account: v for v in verdicts}, plans, holds)

    def ask(self, block: Block | None = None, accounts: tuple[str, ...] = ()) -> dict[str, Asked]:
        at, c, base_token = block or self.rpc.block(), self.world.contracts, self.world.markets[0].base_token
        asked = accounts or self.accounts
        value = self._ints(at, [call(c.vault, "getAccountValue(address)", a) for a in asked])
        mm = self._ints(at, [call(c.account_balance, "getMarginRequirementForLiquidation(address)", a) for a in asked])
        debt = self._ints(at, [call(c.account_balance, "getTotalDebtValue(address)", a) for a in asked])
        (im_ratio,) = self._ints(at, [call(c.clearing_house_config, "getImRatio()")])
        signature = "getLiquidatablePositionSize(address,address,int256)"
        sized = [
            call(c.account_balance, signature, a, base_token, v * 10**12) for a, v in zip(asked, value, strict=True)
        ]
        sizes = self._ints(at, sized)
        rows = zip(asked, value, mm, debt, sizes, strict=True)
        return {a: Asked(v * 10**12, m, d * im_ratio // 10**6, s) for a, v, m, d, s in rows}

    def _ints(self, block: Block, calls: Sequence[Call]) -> list[int]:
        answers = self.rpc.eth_calls(calls, block)
        assert all(isinstance(a, bytes) and len(a) == 32 for a in answers), [a for a in answers if len(str(a)) < 200]
        return [int_at(a, 0) for a in answers]

    def require_agreement(self, block: Block | None = None) -> Seen:
        """Compare every account with the contract: integers to the last one, floats to 1e-9, status exactly."""
        seen, asked = self.see(block), self.ask(block)
        assert not seen.state.unknown
        assert {a.address for a in seen.state.accounts} == set(self.accounts)
        for account in seen.state.accounts:
            exact, truth = self.venue.exact(seen.state, account), asked[account.address]
            assert (exact.equity, exact.mm, exact.im) == (truth.value, truth.mm, truth.im), account.address
            verdict = seen.verdicts[account.address]
            pairs = ((verdict.equity, truth.value), (verdict.mm, truth.mm), (verdict.im, truth.im))
            for ours, theirs in pairs:
                assert ours == pytest.approx(to_float(theirs, 18), rel=CLOSE, abs=CLOSE)
            if not account.has_orders:
                assert (verdict.status == "endangered") == (truth.liquidatable != 0), account.address
        return seen


@pytest.fixture(scope="module")
def crash(anvil: Anvil, rpc: Rpc, curie: Deployment) -> Iterator[range]:
    """The morning of 12 March 2020 without a keeper; yields the numbers of its blocks, the one before them first."""
    snapshot = rpc.call("evm_snapshot")
    first = rpc.block().number
    last = replay(anvil.url, curie, CRASH, block_seconds=0.0, blocks_per_hour=4)
    assert last == first + 3 * 4 + BLOCKS_AFTER
    yield range(first, last + 1)
    assert rpc.call("evm_revert", snapshot) is True


@pytest.fixture
def reader(rpc: Rpc, world: Deployment) -> Reader:
    return Reader(rpc, world)


@pytest.fixture
def fallen(crash: range, reader: Reader) -> Reader:
    """The world after the crash; whatever a test does to it is undone."""
    assert len(crash) > BLOCKS_AFTER
    return reader


# --- the numbers --------------------------------------------------------------------------------------


def test_every_account_at_the_start_is_the_contract_s(reader: Reader) -> None:
    seen = reader.require_agreement()
    assert {v.status for v in seen.verdicts.values()} == {"healthy"}
    assert not seen.plans
    maker = next(a for a in seen.state.accounts if a.address == reader.world.market_maker)
    assert maker.has_orders


def test_every_account_through_the_crash_is_the_contract_s(crash: range, reader: Reader) -> None:
    endangered, funding, collateral = set(), 0, 0
    for number in sorted({*crash[::4], *crash[1::4]}):  # every other one of these has a price pushed in it
        seen = reader.require_agreement(reader.rpc.block(number))
        endangered |= {v.account for v in seen.verdicts.values() if v.status == "endangered"}
        funding += sum(p.pending_funding != 0 for a in seen.state.accounts for p in a.positions)
        collateral += sum(bool(a.balances) for a in seen.state.accounts)
    assert len(endangered) >= 12
    assert endangered & set(seen.liquidated)
    assert funding > 100 and collateral > 100


def test_a_partial_liquidation_leaves_numbers_that_agree(fallen: Reader) -> None:
    asked = fallen.ask()
    partly = [a for a, truth in asked.items() if truth.mm // 2 <= truth.value < truth.mm]
    assert partly
    receipt = liquidate(fallen, partly[0])
    seen = fallen.require_agreement()
    after = next(a for a in seen.state.accounts if a.address == partly[0])
    assert receipt.succeeded and after.positions[0].size != 0 and after.owed_pnl + after.cash != 0
    assert abs(after.positions[0].size) <= abs(asked[partly[0]].liquidatable) + 1


def test_a_whole_liquidation_leaves_numbers_that_agree(fallen: Reader) -> None:
    asked = fallen.ask()
    wholly = [a for a, truth in asked.items() if truth.value < truth.mm // 2]
    assert wholly
    assert liquidate(fallen, wholly[0]).succeeded
    seen = fallen.require_agreement()
    after = next(a for a in seen.state.accounts if a.address == wholly[0])
    assert after.positions == ()
    assert seen.status(wholly[0]) == "healthy" and seen.verdicts[wholly[0]].health == float("inf")


def test_one_millionth_of_a_dollar_decides_as_on_the_chain(fallen: Reader) -> None:
    account = next(a for a, truth in fallen.ask().items() if truth.mm // 2 <= truth.value < truth.mm)
    vault = fallen.world.contracts.vault
    slot, cash = slot_of_cash(fallen, account)
    truth = fallen.ask()[account]
    enough = -(-truth.mm // 10**12) - truth.value // 10**12  # USDC base units that lift equity to at least MM
    statuses = []
    for more in (enough - 2, enough - 1, enough, enough + 1):
        set_storage(fallen, vault, slot, cash + more)
        statuses.append(fallen.require_agreement().status(account))
    assert statuses == ["endangered", "endangered", "healthy", "healthy"]


# --- markets that are not open ------------------------------------------------------------------------


def test_a_paused_market_is_valued_as_the_contract_does_and_nothing_is_planned(fallen: Reader) -> None:
    base_token = fallen.world.markets[0].base_token
    before = fallen.see()
    assert before.liquidated
    send(fallen, DEPLOYER, call(base_token, "pause()"))
    seen = fallen.require_agreement()
    assert not seen.state.markets[0].open
    endangered = {v.account for v in seen.verdicts.values() if v.status == "endangered"}
    assert endangered and not seen.plans
    held = {h.subject: h.reason for h in seen.holds}
    assert all("not open" in held[account] for account in endangered - {fallen.world.market_maker})
    with pytest.raises(Exception, match="CH_MNO"):
        liquidate(fallen, min(endangered))


@pytest.mark.parametrize("closed_usd", [4_000, 12_000])
def test_a_closed_market_is_valued_at_its_closed_price(fallen: Reader, closed_usd: int) -> None:
    base_token = fallen.world.markets[0].base_token
    send(fallen, DEPLOYER, call(base_token, "pause()"))
    send(fallen, DEPLOYER, call(base_token, "close(uint256)", closed_usd * WHOLE))
    seen = fallen.require_agreement()
    assert seen.state.markets[0].mark == closed_usd * WHOLE
    assert not seen.plans


# --- what cannot be read ------------------------------------------------------------------------------


def test_an_account_whose_views_revert_is_unknown_and_alone(fallen: Reader) -> None:
    healthy_before = fallen.see()
    victim = min(healthy_before.liquidated)
    length = slot_of_tokens(fallen, victim)
    set_storage(fallen, fallen.world.contracts.account_balance, length, 2)  # a second, non-existent base token
    seen = fallen.see()
    assert set(seen.state.unknown) == {victim}
    require_unknown(seen, victim)
    assert seen.liquidated == healthy_before.liquidated - {victim}
    for account in set(fallen.accounts) - {victim}:
        assert seen.verdicts[account] == healthy_before.verdicts[account]


def test_a_list_too_long_to_read_is_unknown_not_endless(fallen: Reader) -> None:
    victim = fallen.world.accounts[0]
    length = slot_of_tokens(fallen, victim)
    set_storage(fallen, fallen.world.contracts.account_balance, length, 2**255)
    seen = fallen.see()
    assert set(seen.state.unknown) == {victim}
    require_unknown(seen, victim)


@pytest.mark.parametrize("what", ["token", "price_feed", "aggregator"])
def test_a_broken_collateral_makes_its_holders_unknown_and_nobody_else(fallen: Reader, what: str) -> None:
    before = fallen.see()
    holders = {a.address for a in before.state.accounts if a.balances}
    assert holders & before.liquidated and before.liquidated - holders
    fallen.rpc.call(
        "anvil_setCode", getattr(fallen.world.collaterals[0], what), "0x" if what == "aggregator" else REVERT
    )
    fresh = Reader(fallen.rpc, fallen.world)  # one that has no token's facts in memory
    for seen in (fresh.see(), *([fallen.see()] if what != "token" else [])):
        for account in holders:
            require_unknown(seen, account)
        assert seen.liquidated == before.liquidated - holders
        known = {a for a, v in seen.verdicts.items() if v.status != "unknown"}
        assert known == set(fallen.accounts) - holders


def test_a_collateral_with_a_name_of_bytes32_is_a_collateral(reader: Reader) -> None:
    token = reader.world.collaterals[0].token
    answer_18 = "0x6012" + "60005260206000f3"  # every call answers the one word 18
    reader.rpc.call("anvil_setCode", token, answer_18)
    seen = Reader(reader.rpc, reader.world).require_agreement()
    assert seen.state.collaterals[0].name == token


def test_a_market_whose_feed_has_no_contract_leaves_its_traders_unknown(fallen: Reader) -> None:
    fallen.rpc.call("anvil_setCode", fallen.world.markets[0].aggregator, "0x")
    seen = fallen.see()
    for account in (*fallen.world.accounts, fallen.world.market_maker):
        require_unknown(seen, account)
    assert seen.status(fallen.world.keeper) == "healthy"  # cash only
    assert not seen.plans


def test_a_venue_that_cannot_be_read_is_an_error_not_an_empty_state(reader: Reader) -> None:
    reader.rpc.call("anvil_setCode", reader.world.contracts.clearing_house_config, REVERT)
    with pytest.raises(ReadError, match=r"parameters at block \d+ not read"):
        reader.see()


def test_another_contract_and_no_contract_are_told_apart(rpc: Rpc, curie: Deployment) -> None:
    with pytest.raises(ReadError, match=f"expected a Curie deployment at {curie.contracts.usdc}, found no getVault"):
        PerpCurie(rpc, curie.contracts.usdc)
    with pytest.raises(MissingContract, match=r"venue\.clearing_house"):
        PerpCurie(rpc, role("nobody"))


# --- discovery ----------------------------------------------------------------------------------------


def test_events_introduce_every_account_and_nobody_else(rpc: Rpc, curie: Deployment) -> None:
    venue = PerpCurie(rpc, curie.contracts.clearing_house)
    addresses, topics = venue.events()
    logs = rpc.logs(addresses, topics, curie.start_block, rpc.block().number)
    assert set(venue.introduced(logs)) == {*curie.accounts, *(getattr(curie, name) for name in OTHERS)}
    assert venue.introduced(()) == ()


def test_a_liquidity_provider_and_a_liquidator_are_introduced(fallen: Reader) -> None:
    first = fallen.rpc.block().number + 1
    account = next(iter(sorted(fallen.see().liquidated)))
    liquidate(fallen, account)
    addresses, topics = fallen.venue.events()
    found = fallen.venue.introduced(fallen.rpc.logs(addresses, topics, first, fallen.rpc.block().number))
    assert {account, fallen.world.keeper} <= set(found)


def test_a_deposit_for_somebody_introduces_who_received_it(reader: Reader) -> None:
    batch, newcomer = Batch(reader.rpc), role("newcomer")
    deposit(batch, reader.world, newcomer, 5 * USDC)
    batch.mine()
    head = reader.rpc.block().number
    addresses, topics = reader.venue.events()
    assert reader.venue.introduced(reader.rpc.logs(addresses, topics, head, head)) == (newcomer,)


# --- encode and confirm -------------------------------------------------------------------------------


def test_a_liquidation_is_confirmed_by_its_own_event_only(fallen: Reader) -> None:
    one, other = sorted(fallen.see().liquidated)[:2]
    size = fallen.ask()[one].liquidatable
    receipt, foreign = liquidate(fallen, one), liquidate(fallen, other)
    effect = fallen.venue.confirm(plan_for(fallen, one), receipt)
    assert effect.achieved
    assert f"{abs(size) / 1e18:.6g}"[:4] in effect.summary
    assert not fallen.venue.confirm(plan_for(fallen, one), foreign).achieved
    elsewhere = Liquidate("perp_curie", one, role("another market"), 1.0, 1.0, 0)
    assert not fallen.venue.confirm(elsewhere, receipt).achieved


def test_a_reverted_liquidation_is_not_confirmed(fallen: Reader) -> None:
    healthy = next(a for a, truth in fallen.ask().items() if a in fallen.world.accounts and not truth.liquidatable)
    batch = Batch(fallen.rpc)
    batch.add(fallen.world.keeper, fallen.venue.encode(plan_for(fallen, healthy)), "too early", gas=3_000_000)
    (receipt,) = receipts(fallen.rpc, batch.send())
    assert isinstance(receipt, Receipt) and not receipt.succeeded
    effect = fallen.venue.confirm(plan_for(fallen, healthy), receipt)
    assert (effect.achieved, effect.summary) == (False, "reverted")


SETTINGS: list[tuple[str, int, Callable[[VenueState], int]]] = [
    ("collateral_ratio", 650_000, lambda state: state.collaterals[0].ratio),
    ("mm_ratio_buffer", 25_000, lambda state: state.parameters.mm_ratio_buffer),
    ("max_funding_rate", 123_456, lambda state: state.parameters.max_funding_rate),
]


@pytest.mark.parametrize(("kind", "new", "read"), SETTINGS)
def test_a_setter_sets_and_is_confirmed_by_its_own_event_only(
    reader: Reader, kind: str, new: int, read: Callable[[VenueState], int]
) -> None:
    token = reader.world.collaterals[0].token
    name = f"{kind}:{token}" if kind == "collateral_ratio" else kind
    before = reader.see().state
    old = reader.venue.parameter(before, name)
    assert old == read(before) != new
    plan = SetParameters("perp_curie", name, old, new, "", 0)
    (receipt,) = send(reader, reader.world.keeper, reader.venue.encode(plan))
    after = reader.require_agreement().state
    assert reader.venue.parameter(after, name) == read(after) == new
    assert reader.venue.confirm(plan, receipt).achieved
    foreign = [
        SetParameters("perp_curie", f"{k}:{token}" if k == "collateral_ratio" else k, 0, n, "", 0)
        for k, n, _ in SETTINGS
        if k != kind
    ]
    foreign += [SetParameters("perp_curie", name, old, new + 1, "", 0)]
    assert not any(reader.venue.confirm(p, receipt).achieved for p in foreign)
    (unrelated,) = send(reader, DEPLOYER, call(reader.world.markets[0].aggregator, "push(int256)", 1))
    assert not reader.venue.confirm(plan, unrelated).achieved


def test_a_parameter_without_a_setter_is_refused(reader: Reader) -> None:
    state = reader.see().state
    assert reader.venue.parameter(state, "im_ratio") is None
    assert reader.venue.parameter(state, f"collateral_ratio:{role('no token')}") is None
    with pytest.raises(ValueError, match="im_ratio: Curie has no setter"):
        reader.venue.encode(SetParameters("perp_curie", "im_ratio", 0, 1, "", 0))


# --- the chain's own hands ----------------------------------------------------------------------------


def plan_for(reader: Reader, account: str) -> Liquidate:
    return Liquidate("perp_curie", account, reader.world.markets[0].base_token, 1.0, 1.0, 0)


def send(reader: Reader, sender: str, message: Call) -> list[Receipt]:
    batch = Batch(reader.rpc)
    batch.add(sender, message, "test", gas=3_000_000)
    return batch.mine()


def liquidate(reader: Reader, account: str) -> Receipt:
    """Liquidate as the keeper with the adapter's own calldata; raises TransactionFailed when it reverts."""
    (receipt,) = send(reader, reader.world.keeper, reader.venue.encode(plan_for(reader, account)))
    return receipt


def require_unknown(seen: Seen, account: str) -> None:
    verdict = seen.verdicts[account]
    assert verdict.status == "unknown" and verdict.reason
    assert verdict.equity != verdict.equity and verdict.health != verdict.health  # NaN: never a number
    assert account not in seen.liquidated
    assert any(h.subject == account and h.reason.startswith("unknown: ") for h in seen.holds)


def slot_of_tokens(reader: Reader, account: str) -> int:
    """Return where AccountBalance keeps how many base tokens the account has: one."""
    slots = mapped(account, range(SLOTS))
    contents = storage(reader, reader.world.contracts.account_balance, slots)
    first = storage(reader, reader.world.contracts.account_balance, [int.from_bytes(keccak(word(s))) for s in slots])
    base_token = int(reader.world.markets[0].base_token, 16)
    (found,) = [s for s, n, item in zip(slots, contents, first, strict=True) if (n, item) == (1, base_token)]
    return found


def slot_of_cash(reader: Reader, account: str) -> tuple[int, int]:
    """Return where the Vault keeps the account's USDC, and how much it is."""
    contracts = reader.world.contracts
    (answer,) = reader.rpc.eth_calls([call(contracts.vault, "getBalance(address)", account)], reader.rpc.block())
    assert isinstance(answer, bytes)
    cash = int_at(answer, 0)
    slots = [slot for inner in mapped(account, range(SLOTS)) for slot in mapped(contracts.usdc, [inner])]
    contents = storage(reader, contracts.vault, slots)
    (found,) = [s for s, held in zip(slots, contents, strict=True) if held == cash % 2**256]
    return found, cash


def mapped(key: str, slots: Iterable[int]) -> list[int]:
    """Return where mappings that start at `slots` keep the entry of an address (Solidity's storage layout)."""
    return [int.from_bytes(keccak(word(int(key, 16)) + word(slot))) for slot in slots]


def storage(reader: Reader, contract: str, slots: list[int]) -> list[int]:
    found = reader.rpc.batch([("eth_getStorageAt", (contract, hex(slot), "latest")) for slot in slots])
    return [int(content, 16) for content in found]


def word(number: int) -> bytes:
    return number.to_bytes(32)


def set_storage(reader: Reader, contract: str, slot: int, content: int) -> None:
    reader.rpc.call("anvil_setStorageAt", contract, hex(slot), f"0x{content % 2**256:064x}")
