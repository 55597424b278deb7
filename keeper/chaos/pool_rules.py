"""What Geth's transaction pool refuses, in Geth's order and words.

Sources: core/txpool/validation.go, core/txpool/errors.go, core/error.go, internal/ethapi SubmitTransaction.
A fee cap below the base fee is no reason to refuse: such a transaction waits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from keeper.chaos.transactions import PoolTx

SERVER_ERROR = -32_000
ETHER = 10**18
MAX_BYTES = 128 * 1024
GAS_CAP = 1 << 24  # EIP-7825


class PoolRefusal(Exception):
    """The pool did not take the bytes: JSON-RPC error code and message as Geth gives them."""

    def __init__(self, message: str, code: int = SERVER_ERROR) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Limits:
    """Geth's defaults. None switches a rule off."""

    price_bump: int = 10  # percent, on both fee fields
    price_limit: int = 1  # least tip, wei per gas
    account_slots: int = 16  # executable transactions a sender keeps when the pool is over its global slots
    account_queue: int = 64  # queued transactions a sender may have
    global_slots: int = 5_120
    global_queue: int = 1_024
    fee_cap: int | None = ETHER  # --rpc.txfeecap, wei
    gas_cap: int | None = GAS_CAP
    queues_gaps: bool = True  # False: a nonce behind a gap is refused, as Nitro's sequencer does


@dataclass(frozen=True, slots=True)
class Holding:
    """A sender at the head block."""

    nonce: int
    balance: int  # wei
    delegated: bool = False  # its code is an EIP-7702 delegation


@dataclass(frozen=True, slots=True)
class State:
    """The head block as far as the pool looks at it, and every sender it is asked about."""

    base_fee: int  # wei per gas
    gas_limit: int
    holdings: Mapping[str, Holding]  # by checksummed address


def require_valid(tx: PoolTx, chain_id: int, limits: Limits, gas_limit: int) -> None:
    """Raise PoolRefusal for what can be seen without the sender's state."""
    _require_within_node_limits(tx, limits, gas_limit)
    if tx.tip_cap > tx.fee_cap:
        raise PoolRefusal("max priority fee per gas higher than max fee per gas")
    if tx.chain_id != chain_id:
        raise PoolRefusal(f"invalid sender: invalid chain id for signer: have {tx.chain_id} want {chain_id}")
    if tx.gas < tx.minimum_gas:
        raise PoolRefusal(f"intrinsic gas too low: gas {tx.gas}, minimum needed {tx.minimum_gas}")
    if tx.gas < tx.floor_gas:
        raise PoolRefusal(f"insufficient gas for floor data gas cost: gas {tx.gas}, minimum needed {tx.floor_gas}")
    if tx.tip_cap < limits.price_limit:
        least = limits.price_limit
        raise PoolRefusal(f"transaction underpriced: gas tip cap {tx.tip_cap}, minimum needed {least}")


def _require_within_node_limits(tx: PoolTx, limits: Limits, gas_limit: int) -> None:
    if limits.fee_cap is not None and tx.gas * tx.fee_cap > limits.fee_cap:
        found, cap = tx.gas * tx.fee_cap / ETHER, limits.fee_cap / ETHER
        raise PoolRefusal(f"tx fee ({found:.2f} ether) exceeds the configured cap ({cap:.2f} ether)")
    if tx.chain_id is None:
        raise PoolRefusal("only replay-protected (EIP-155) transactions allowed over RPC")
    if len(tx.raw) > MAX_BYTES:
        raise PoolRefusal(f"oversized data: transaction size {len(tx.raw)}, limit {MAX_BYTES}")
    if limits.gas_cap is not None and tx.gas > limits.gas_cap:
        raise PoolRefusal(f"transaction gas limit too high (cap: {limits.gas_cap}, tx: {tx.gas})")
    if tx.gas > gas_limit:
        raise PoolRefusal("exceeds block gas limit")


def require_affordable(tx: PoolTx, holding: Holding, spent: int, sibling: PoolTx | None) -> None:
    """Raise PoolRefusal for a used nonce or a balance below all executable costs together.

    `spent` is the cost of the sender's executable transactions, wei; `sibling` the one of them with this nonce.
    A balance equal to what is needed is enough.
    """
    if tx.nonce < holding.nonce:
        raise PoolRefusal(f"nonce too low: next nonce {holding.nonce}, tx nonce {tx.nonce}")
    balance, short = holding.balance, "insufficient funds for gas * price + value: balance"
    if balance < tx.cost:
        raise PoolRefusal(f"{short} {balance}, tx cost {tx.cost}, overshot {tx.cost - balance}")
    added = tx.cost - (sibling.cost if sibling else 0)
    if balance < spent + added:
        what = "tx bumped" if sibling else "tx cost"
        over = spent + added - balance
        raise PoolRefusal(f"{short} {balance}, queued cost {spent}, {what} {added}, overshot {over}")


def require_no_gap(tx: PoolTx, next_nonce: int) -> None:
    """Raise PoolRefusal for a nonce above the next executable one, in Nitro's words (execution/gethexec)."""
    if tx.nonce > next_nonce:
        raise PoolRefusal(f"nonce too high: address {tx.sender}, tx: {tx.nonce} state: {next_nonce}")


def require_delegation_limit(tx: PoolTx, next_nonce: int, pending: Sequence[PoolTx]) -> None:
    """Raise PoolRefusal for a second transaction in flight of a delegated account, or one behind a gap.

    Others may move such an account's balance, so Geth lets it have one (legacypool checkDelegationLimit).
    """
    if any(old.nonce == tx.nonce for old in pending):
        return
    if pending:
        raise PoolRefusal("in-flight transaction limit reached for delegated accounts")
    if tx.nonce != next_nonce:
        raise PoolRefusal("gapped-nonce tx from delegated accounts")


def replaces(old: PoolTx, new: PoolTx, bump: int) -> bool:
    """Whether `new` may take the place of `old`: both fee fields higher, each by `bump` percent or more.

    The threshold is rounded down and reaching it is enough (core/txpool/legacypool/list.go, list.Add).
    """
    pairs = ((old.fee_cap, new.fee_cap), (old.tip_cap, new.tip_cap))
    return all(after > before and after >= before * (100 + bump) // 100 for before, after in pairs)
