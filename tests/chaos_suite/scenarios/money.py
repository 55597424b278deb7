"""Money that runs out, and accounts that cannot pay: T26, T29, T29-budget."""

import random
from dataclasses import replace
from typing import Final

from keeper.abi import interface
from keeper.demo.transactions import GWEI
from keeper.rpc import answered
from keeper.sending.limits import BalanceState, BalanceWatch
from keeper.sending.priority import SendingPolicy
from tests.chain.lane_world import ETHER, GAS, LaneKeeper
from tests.chaos_suite.interrupted import finish
from tests.chaos_suite.judge import alarms, kept_once
from tests.chaos_suite.scenario import Figures, Run, hit, require
from tests.chaos_suite.stage import Stage
from tests.chaos_suite.world import ENDANGERED, CurieSite

AMPLE: Final = 1_000 * ETHER
ALERT_BELOW: Final = 5 * ETHER
A_TICK = 10
BUDGET_BLOCKS = 6
DEARER: Final = 4
"""Times the base fee: above what was offered at first, below the caps with what a replacement offers."""
INSUFFICIENT = "insufficient funds"


def out_of_ether(*, protected: bool) -> Run:
    """T26: the key's ether runs out in the middle of the crash.

    Unprotected: the keeper does not look at its balance.
    """

    def run(stage: Stage, rng: random.Random) -> Figures:
        base_fee = rng.randint(5, 20) * GWEI
        stage.mine(base_fee=base_fee)
        _fund(stage, AMPLE)
        rules = replace(stage.site.rules, balance=BalanceWatch(ALERT_BELOW, 0))
        keeper = stage.keeper(most=A_TICK, rules=rules)
        if not protected:
            keeper.lane.fleet.home.issue._balance = lambda _: BalanceState("ok", AMPLE, "")  # type: ignore[attr-defined]
        stage.tick(keeper)
        worst = max(tx.cost for tx in stage.offered())
        _until_final(stage, base_fee)
        _fund(stage, worst * A_TICK + worst // 2)
        _alerted(stage, keeper)
        _until_final(stage, base_fee)
        enough_for = rng.randint(2, A_TICK - 3)
        _fund(stage, worst * enough_for + worst // 2)
        first = _most_at_risk_first(stage, keeper, enough_for)
        _until_final(stage, base_fee)
        _fund(stage, 0)
        _nothing_sent(stage, keeper)
        refused = sum(INSUFFICIENT in str(e.error) for e in stage.proxy.exchanges if e.error)
        require(refused == 0, f"expected no transaction that the key cannot pay, found {refused} refused by the node")
        require(not stage.errors, f"expected it to stop cleanly, found {stage.errors}")
        stage.settle(keeper)
        stopped_at = len(stage.effects())
        _fund(stage, AMPLE)
        stage.mine(base_fee=base_fee)
        blocks = _resumed(stage, keeper)
        return kept_once(stage, keeper, ENDANGERED) | {
            "before_the_end": stopped_at,
            "sent_with_the_last_of_it": first,
            "blocks_after_funding": blocks,
        }

    return run


def _until_final(stage: Stage, base_fee: int) -> None:
    """Make the blocks after which what was sent counts no longer as money at stake; gas stays as dear as it was."""
    for _ in range(1 + stage.site.rules.confirmations):
        stage.mine(base_fee=base_fee)


def _fund(stage: Stage, wei: int) -> None:
    stage.site.rpc.call("anvil_setBalance", stage.site.address, hex(wei))


def _alerted(stage: Stage, keeper: LaneKeeper) -> None:
    """Require an alarm while everything can still be sent."""
    since = stage.now()
    stage.tick(keeper)
    sent = len({tx.nonce for tx in stage.offered(since)})
    told = alarms(keeper)
    require(sent == A_TICK, f"expected {A_TICK} sent with enough for them, found {sent}")
    require("send ETH to the key" in told, f"expected an alarm before the ether is gone, found {told!r}")


def _most_at_risk_first(stage: Stage, keeper: LaneKeeper, enough_for: int) -> int:
    """Require that with money for so many those most at risk are sent, by the contracts' own figures; say how many."""
    ranked, since = _by_shortfall(stage), stage.now()
    stage.tick(keeper)
    sent = {_account(tx.data) for tx in stage.offered(since)}
    hit(len(sent) < A_TICK, f"expected too little ether for {A_TICK}, found all of them sent")
    missing = set(ranked[:enough_for]) - sent
    require(not missing, f"expected the {enough_for} most at risk sent, found {len(missing)} of them not")
    require("it is not sent" in alarms(keeper), f"expected an alarm for the rest, found {alarms(keeper)!r}")
    return len(sent)


def _nothing_sent(stage: Stage, keeper: LaneKeeper) -> None:
    since = stage.now()
    stage.tick(keeper)
    sent = len(stage.offered(since))
    require(sent == 0, f"expected nothing sent without ether, found {sent}")
    require("send ETH to the key" in alarms(keeper), f"expected an alarm without ether, found {alarms(keeper)!r}")


def _resumed(stage: Stage, keeper: LaneKeeper) -> int:
    since = stage.now()
    stage.tick(keeper)
    sent = len({tx.nonce for tx in stage.offered(since)})
    require(sent == A_TICK, f"expected {A_TICK} sent once there is ether, found {sent}")
    return finish(stage, keeper, ENDANGERED)


# --- accounts, by the contracts ----------------------------------------------------------------------


def _account(data: bytes) -> str:
    """Return whom `liquidate(address,address)` is about, lower case."""
    return "0x" + data[16:36].hex()


def _figures(stage: Stage) -> dict[str, tuple[int, int]]:
    """Return account (lower case) → what it is worth and what it must be, USD with 18 decimals, asked of Curie."""
    site = stage.site
    assert isinstance(site, CurieSite), "these are Curie's own questions"
    contracts, accounts, head = site.fallen.deployment.contracts, site.fallen.deployment.accounts, stage.head()
    value = interface("perp_curie/ClearingHouse").function("getAccountValue")
    required = interface("perp_curie/AccountBalance").function("getMarginRequirementForLiquidation")
    calls = [value.call(contracts.clearing_house, account) for account in accounts]
    calls += [required.call(contracts.account_balance, account) for account in accounts]
    words = [int.from_bytes(word, signed=True) for word in answered(site.rpc.eth_calls(calls, head))]
    return {
        account.lower(): (worth, least)
        for account, worth, least in zip(accounts, words[: len(accounts)], words[len(accounts) :], strict=True)
    }


def _by_shortfall(stage: Stage) -> list[str]:
    """Return the accounts with a position that are below their requirement, the largest shortfall first."""
    short = {account: least - worth for account, (worth, least) in _figures(stage).items() if worth < least > 0}
    return sorted(short, key=lambda account: -short[account])


def _insolvent(stage: Stage) -> set[str]:
    return {account for account, (worth, _) in _figures(stage).items() if worth < 0}


# --- policies ----------------------------------------------------------------------------------------


def insolvent(*, protected: bool) -> Run:
    """T29: the fall left accounts worth less than nothing: `protocol` closes them, `profit` does not.

    Unprotected: the keeper with policy `profit` does not ask what a transaction earns.
    """

    def run(stage: Stage, rng: random.Random) -> Figures:
        fee = rng.randint(1, 50) * GWEI
        stage.mine(base_fee=fee)
        broke, a_tick = _insolvent(stage), ENDANGERED
        hit(len(broke) > 0, "expected accounts worth less than nothing, found none")
        greedy = stage.keeper(most=a_tick, rules=replace(stage.site.rules, policy=SendingPolicy("profit")))
        if not protected:
            greedy.lane.fleet.home.issue._rules = stage.site.rules  # type: ignore[attr-defined]
        stage.tick(greedy)
        sent = len(stage.offered())
        require(sent == 0, f"expected nothing sent that earns nothing, found {sent} raw transactions")
        causes = [cause for (cause,) in greedy.rows("SELECT DISTINCT cause FROM intents")]
        hit(bool(causes) and not stage.errors, f"expected liquidations asked for and refused, found {stage.errors}")
        require(all("policy profit" in cause for cause in causes), f"expected the policy named, found {causes}")
        stage.close(greedy)
        stage.mine(base_fee=fee)
        keeper = stage.keeper(most=a_tick)  # the same keeper, restarted with the other policy
        stage.tick(keeper)
        finish(stage, keeper, ENDANGERED)
        done = {account.lower() for account in stage.effects()}
        require(broke <= done, f"expected {len(broke)} insolvent accounts closed, found {len(broke & done)}")
        require(stage.reverted() == 0, f"expected no transaction without effect, found {stage.reverted()} reverted")
        return kept_once(stage, keeper, ENDANGERED) | {
            "insolvent": len(broke),
        }

    return run


def loss_budget(*, protected: bool) -> Run:
    """T29-budget: a day's loss budget has room for some accounts, and gas gets dearer once they are sent.

    Unprotected: replacements are not asked for the budget.
    """

    def run(stage: Stage, rng: random.Random) -> Figures:
        fee = rng.randint(1, 25) * GWEI
        stage.mine(base_fee=fee)
        budget = round(ENDANGERED * GAS * fee * rng.uniform(0.15, 0.3))
        rules = replace(stage.site.rules, policy=SendingPolicy("protocol", loss_budget=budget))
        keeper = stage.keeper(rules=rules)
        if not protected:
            keeper.lane.fleet.home._rescue._rules = stage.site.rules  # type: ignore[attr-defined]
        within = _within_budget(stage, keeper, budget, fee)
        stage.close(keeper)
        keeper = stage.keeper()  # the same keeper, restarted with a larger budget
        stage.tick(keeper)
        finish(stage, keeper, ENDANGERED)
        return kept_once(stage, keeper, ENDANGERED) | {"done_within_budget": within, "loss_budget_wei": str(budget)}

    return run


def _within_budget(stage: Stage, keeper: LaneKeeper, budget: int, fee: int) -> int:
    """Let the keeper do what its budget (wei) has room for, at `fee` and between at a multiple; return how much."""
    stage.tick(keeper)
    heard = _dearer(stage, keeper, fee)
    for _ in range(BUDGET_BLOCKS):
        stage.tick(keeper)
        stage.mine(base_fee=fee)
    stage.settle(keeper)
    done, spent = len(stage.effects()), stage.spent()
    require(spent <= budget, f"expected at most the budget of {budget} wei lost, found {spent}")
    require("is not replaced: policy protocol" in heard, f"expected an alarm for the budget, found {heard!r}")
    hit(0 < done < ENDANGERED, f"expected a budget for some of {ENDANGERED}, found {done} done")
    causes = [cause for (cause,) in keeper.rows("SELECT cause FROM intents WHERE status = 'refused'")]
    told = any("rest of the day's budget" in cause for cause in causes)
    require(told, f"expected the budget named where it stands in the way, found {causes[-3:]}")
    return done


def _dearer(stage: Stage, keeper: LaneKeeper, fee: int) -> str:
    """Make gas so dear that what was sent waits, and mine what replaces it at that price; return the alarms."""
    sent = len({tx.nonce for tx in stage.offered()})
    stage.mine(base_fee=DEARER * fee)
    hit(sent > len(stage.effects()) == 0, f"expected {sent} to wait, found {len(stage.effects())} done")
    stage.tick(keeper)
    heard = alarms(keeper)
    stage.mine(base_fee=DEARER * fee)
    return heard
