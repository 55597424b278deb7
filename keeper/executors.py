"""Which executor a configuration gets: a lane with a signer behind it in mode live, else one that signs nothing."""

import os
import socket
from collections.abc import Callable, Collection
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from keeper.allowed import allowed_calls
from keeper.config import Config, keystore_password
from keeper.decide import Policy
from keeper.errors import JournalError, SigningRefused
from keeper.journal import Journal
from keeper.lanes.executor import LaneExecutor
from keeper.lanes.privacy import Private
from keeper.lanes.rules import LaneRules, Windows
from keeper.lanes.seat import Seat
from keeper.lanes.silent import SilentExecutor
from keeper.lanes.simulate import Simulation
from keeper.own_signer import OwnSigner, signer_toml
from keeper.rpc import Rpc
from keeper.sending.fees import Caps
from keeper.sending.limits import PPM, BalanceWatch
from keeper.sending.priority import SendingPolicy
from keeper.signer.client import Line, SignerClient
from keeper.signer.hardening import harden
from keeper.signer.keystore import PASSWORD
from keeper.stakes import staked
from keeper.submit.endpoints import Endpoints, named
from keeper.submit.facts import Facts
from keeper.submit.identity import identity
from keeper.submit.relay import ROUTES, Relay, relays
from keeper.units import to_base
from keeper.venues.base import PerpetualVenue
from keeper.venues.portfolio import PortfolioVenue

Mode = Literal["observe", "shadow", "live"]
NOBODY = "0x" + "0" * 40
GWEI_DECIMALS, ETHER_DECIMALS = 9, 18


@dataclass(frozen=True, slots=True)
class SignerWish:
    """What the keeper asks of its signer; in `live` the signer's own mode still decides."""

    mode: Mode
    address: str


def wish(config: Config, *, signing: bool) -> SignerWish:
    return SignerWish(config.signer.mode if signing else "observe", config.signer.address or NOBODY)


def silent(
    config: Config, rpc: Rpc, venue: PerpetualVenue | PortfolioVenue, journal: Journal, asked: SignerWish
) -> SilentExecutor:
    simulation = Simulation(rpc, venue, config.signer.max_gas, config.signer.gas_margin_ppm)
    return SilentExecutor(rpc, journal, simulation, asked.address, "shadow" if asked.mode == "shadow" else "observe")


class Access:
    """The way to the signer of mode live: one that runs by itself, or a process of the keeper's own.

    One line a key: a new one closes the one before, and with it that one's lease.
    """

    def __init__(self, path: Path, own: OwnSigner | None = None) -> None:
        self._path = path
        self._own = own
        self._lines: dict[str, Line] = {}

    def launch(self) -> None:
        """Start the keeper's own process, if it has one, without waiting for it.

        Its password stays here for the next start, so this process lets nobody read its memory either.
        """
        if self._own is not None:
            harden()
            self._own.launch()
            os.environ.pop(PASSWORD, None)  # whatever else the keeper starts does not inherit it

    def require(self) -> None:
        """Return once the signer can be asked. Raises SignerUnreachable, or what the own process ended with."""
        if self._own is not None:
            self._own.await_ready()
        Line(self._path).close()

    def connect(self, address: str) -> SignerClient:
        """Return one key's line; a process of the keeper's own that has died is started again. Raises
        SignerUnreachable."""
        if self._own is not None:
            self._own.revive()
        if address in self._lines:
            self._lines.pop(address).close()
        line = self._lines[address] = Line(self._path)
        return SignerClient(line, address, f"{socket.gethostname()}:{os.getpid()}")

    def alarm(self) -> str:
        """Return what a person should know of the process, '' for nothing."""
        return "" if self._own is None else self._own.alarm()

    def close(self) -> None:
        for line in self._lines.values():
            line.close()
        self._lines.clear()
        if self._own is not None:
            self._own.stop()


def access(config: Config, venue: PerpetualVenue | PortfolioVenue, policy: Policy) -> Access:
    """Return the way to the signer; one of the keeper's own has its folder beside the keystore.

    Raises ConfigError if there is no password for it.
    """
    if config.signer.socket is not None:
        return Access(config.signer.socket)
    keystore = config.signer.keystore
    assert keystore is not None, "the configuration refuses mode live without a keystore or a socket"
    own = _signer_in(keystore.with_name(f"{keystore.stem}-signer"), config, venue, policy)
    return Access(own.socket, own)


def lane(
    config: Config,
    rpc: Rpc,
    venue: PerpetualVenue | PortfolioVenue,
    journal: Journal,
    connect: Callable[[str], SignerClient],
    alarm: Callable[[], str] = lambda: "",
) -> LaneExecutor:
    """Return the executor of mode live. Raises JournalError while what it does not look at is under way."""
    journal.require_lasting()
    _require_alone(journal, config.signer.addresses)
    chain, signer = config.chain, config.signer
    endpoints = Endpoints(
        named(chain.endpoints, chain.timeout_seconds),
        chain.chain_id,
        agreeing=chain.agreeing,
        patience_s=chain.patience_seconds,
    )
    seats = [Seat(address, partial(connect, address)) for address in signer.addresses]
    stake = staked(signer.gas_token_usd, config.policy.plan_lifetime_blocks)
    facts, rules = Facts(endpoints), rules_of(config)
    return LaneExecutor(rpc, endpoints, facts, venue, seats, journal, rules, stake, private_of(config), alarm)


def private_of(config: Config) -> Callable[[str], Private | None]:
    """Return where a key's private plans go, None where every plan is public; each key has bundles of its own.

    Raises ConfigError for an unusable auth key.
    """
    relay, chain = config.relay, config.chain
    if relay.auth_key is None:
        return lambda _: None
    served = relays(relay.urls, chain.timeout_seconds, identity(relay.auth_key).stamp)
    asked = Endpoints(served, chain.chain_id, agreeing=1, patience_s=chain.patience_seconds)

    def private(sender: str) -> Private:
        return Private(Relay(asked, ROUTES[relay.route], sender), frozenset(relay.kinds), relay.deadline_blocks)

    return private


def _require_alone(journal: Journal, senders: Collection[str]) -> None:
    """Refuse to start beside open transactions of an older keeper or another key: nobody would see them through."""
    older = journal.open_attempts()
    if older:
        raise JournalError(
            f"journal: expected no transaction of an older keeper under way, found {len(older)}, the first "
            f"{older[0].tx_hash}; let that version settle them (`keeper once`), then start this one"
        )
    others = [slot for slot in journal.open_slots() if slot.sender not in senders]
    if others:
        raise JournalError(
            f"journal: expected no open nonce of another key, found {len(others)} of {others[0].sender}; run with that "
            "key until they are final, then change signer.address or signer.key"
        )


def rules_of(config: Config) -> LaneRules:
    signer = config.signer
    return LaneRules(
        chain_id=config.chain.chain_id,
        gas=signer.max_gas,
        per_block=signer.max_transactions_per_block,
        confirmations=config.chain.confirmations,
        patience=signer.patience_blocks,
        fees=Caps(
            max_fee=signer.max_fee,
            tip=signer.tip,
            tip_ceiling=to_base(signer.tip_ceiling_gwei, GWEI_DECIMALS, up=False),
            spend=_wei(signer.max_ether_per_transaction),
        ),
        exposure_cap=_wei(signer.max_ether_open),
        gas_margin_ppm=signer.gas_margin_ppm,
        balance=BalanceWatch(_wei(signer.alert_below_ether), 0),
        windows=Windows(_wei(signer.ether_per_block), _wei(signer.max_ether_per_hour), _wei(signer.max_ether_per_day)),
        policy=_policy(config),
        priced=signer.gas_token_usd is not None,
        reserved_ppm=round(config.sending.reserved * PPM),
    )


def _policy(config: Config) -> SendingPolicy:
    sending = config.sending
    if sending.policy == "profit":
        return SendingPolicy("profit", least_net=_wei(sending.least_net_ether))
    budget = config.signer.max_ether_per_day if sending.loss_ether_per_day is None else sending.loss_ether_per_day
    return SendingPolicy("protocol", loss_budget=_wei(budget))


def _wei(ether: float) -> int:
    return to_base(ether, ETHER_DECIMALS, up=False)


# --- the signer's process ----------------------------------------------------------------------------


def rehearsed(config: Config, venue: PerpetualVenue | PortfolioVenue, policy: Policy) -> str:
    """Return what the signer of mode live says of itself; a keeper that runs meanwhile is not disturbed.

    One of the keeper's own is tried in a folder of its own, which unlocks the key and signs nothing. Raises the error
    that would stop `keeper run`.
    """
    if config.signer.socket is None:
        with TemporaryDirectory() as folder, _signer_in(Path(folder) / "signer", config, venue, policy):
            return f"mode live, {', '.join(config.signer.addresses)}"
    with closing(Access(config.signer.socket)) as running:
        lanes = running.connect(config.signer.address or NOBODY).status()
    held = {found["address"]: found["mode"] for found in lanes}
    for address in config.signer.addresses:
        if address not in held:
            raise SigningRefused(
                f"signer.address: expected one of {', '.join(held)}, which the signer at {config.signer.socket} has, "
                f"found {address}; correct one of them"
            )
    mode = held[config.signer.addresses[0]]
    return f"mode live, {', '.join(config.signer.addresses)}, at a signer in mode {mode}"


def _signer_in(folder: Path, config: Config, venue: PerpetualVenue | PortfolioVenue, policy: Policy) -> OwnSigner:
    keystore_password()
    calls = allowed_calls(config, venue, policy)
    return OwnSigner(folder, signer_toml(config, calls, "the signer of its own"))
