"""Which executor a configuration gets: a lane with a signer behind it in mode live, else one that signs nothing."""

import os
import socket
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
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

    One line at a time: a new one closes the one before, and with it that one's lease.
    """

    def __init__(self, path: Path, address: str, own: OwnSigner | None = None) -> None:
        self._path = path
        self._address = address
        self._own = own
        self._line: Line | None = None

    def launch(self) -> None:
        """Start the keeper's own process, if it has one, without waiting for it."""
        if self._own is not None:
            self._own.launch()
            os.environ.pop(PASSWORD, None)  # the signer has it; nothing the keeper starts later needs it

    def require(self) -> None:
        """Return once the signer can be asked. Raises SignerUnreachable, or what the own process ended with."""
        if self._own is not None:
            self._own.await_ready()
        self.connect()

    def connect(self) -> SignerClient:
        """Raises SignerUnreachable."""
        self.hang_up()
        self._line = Line(self._path)
        return SignerClient(self._line, self._address, f"{socket.gethostname()}:{os.getpid()}")

    def hang_up(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None

    def close(self) -> None:
        self.hang_up()
        if self._own is not None:
            self._own.stop()


def access(config: Config, venue: PerpetualVenue | PortfolioVenue, policy: Policy) -> Access:
    """Return the way to the signer; one of the keeper's own has its folder beside the keystore.

    Raises ConfigError if there is no password for it.
    """
    address = config.signer.address or NOBODY
    if config.signer.socket is not None:
        return Access(config.signer.socket, address)
    keystore = config.signer.keystore
    assert keystore is not None, "the configuration refuses mode live without a keystore or a socket"
    own = _signer_in(keystore.with_name(f"{keystore.stem}-signer"), config, venue, policy)
    return Access(own.socket, address, own)


def lane(
    config: Config,
    rpc: Rpc,
    venue: PerpetualVenue | PortfolioVenue,
    journal: Journal,
    connect: Callable[[], SignerClient],
) -> LaneExecutor:
    """Return the executor of mode live. Raises JournalError while what it does not look at is under way."""
    journal.require_lasting()
    _require_alone(journal, config.signer.address or NOBODY)
    chain, signer = config.chain, config.signer
    endpoints = Endpoints(
        named(chain.endpoints, chain.timeout_seconds),
        chain.chain_id,
        agreeing=chain.agreeing,
        patience_s=chain.patience_seconds,
    )
    seat = Seat(signer.address or NOBODY, connect)
    stake = staked(signer.gas_token_usd, config.policy.plan_lifetime_blocks)
    facts, rules = Facts(endpoints), rules_of(config)
    return LaneExecutor(rpc, endpoints, facts, venue, seat, journal, rules, stake, private_of(config))


def private_of(config: Config) -> Private | None:
    """Return where private plans go, None where every plan is public. Raises ConfigError for an unusable auth key."""
    relay, chain = config.relay, config.chain
    if relay.auth_key is None:
        return None
    served = relays(relay.urls, chain.timeout_seconds, identity(relay.auth_key).stamp)
    asked = Endpoints(served, chain.chain_id, agreeing=1, patience_s=chain.patience_seconds)
    way = Relay(asked, ROUTES[relay.route], config.signer.address or NOBODY)
    return Private(way, frozenset(relay.kinds), relay.deadline_blocks)


def _require_alone(journal: Journal, sender: str) -> None:
    """Refuse to start beside open transactions of an older keeper or another key: nobody would see them through."""
    older = journal.open_attempts()
    if older:
        raise JournalError(
            f"journal: expected no transaction of an older keeper under way, found {len(older)}, the first "
            f"{older[0].tx_hash}; let that version settle them (`keeper once`), then start this one"
        )
    others = [slot for slot in journal.open_slots() if slot.sender != sender]
    if others:
        raise JournalError(
            f"journal: expected no open nonce of another key, found {len(others)} of {others[0].sender}; run with that "
            "key until they are final, then change signer.address"
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
            return f"mode live, {config.signer.address}"
    with closing(Access(config.signer.socket, config.signer.address or NOBODY)) as running:
        lanes = running.connect().status()
    for found in lanes:
        if found["address"] == config.signer.address:
            return f"mode live, {config.signer.address}, at a signer in mode {found['mode']}"
    raise SigningRefused(
        f"signer.address: expected one of {', '.join(found['address'] for found in lanes)}, which the signer at "
        f"{config.signer.socket} has, found {config.signer.address}; correct one of them"
    )


def _signer_in(folder: Path, config: Config, venue: PerpetualVenue | PortfolioVenue, policy: Policy) -> OwnSigner:
    keystore_password()
    calls = allowed_calls(config, venue, policy)
    return OwnSigner(folder, signer_toml(config, calls, "the signer of its own"))
