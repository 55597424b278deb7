"""How clients word their answers, as facts: read in their sources and public threads.

go-ethereum core/txpool/errors.go, validation.go, core/error.go; Nethermind AcceptTxResult.cs and
TxPoolErrorMessages.cs; Besu RpcErrorType.java; Erigon txpoolcfg.go; reth rpc-eth-types; Nitro sequencer.go;
Anvil 1.7.1 as measured; the rest from other transaction managers' tables. Lower case, single spaces.
"""

from dataclasses import dataclass
from typing import Final

from keeper.sending.answer_classes import AnswerClass as Is


@dataclass(frozen=True, slots=True)
class Fact:
    """One client's wording: a regular expression over the normalised text, anchored at the start of a clause.

    What follows it must be the end or punctuation, never a further word. `alone`: it must be the whole text,
    for it is too short or too common to be trusted inside a longer one.
    """

    client: str
    error_class: Is
    phrase: str
    alone: bool = False


FACTS: Final[tuple[Fact, ...]] = (
    # A contract's own words follow these, so they come before every other clause.
    Fact("geth, arbitrum", Is.REVERT_PRECHECK, r"execution reverted"),
    Fact("hardhat, ganache", Is.REVERT_PRECHECK, r"vm exception while processing transaction"),
    # The bytes are there.
    Fact("geth, reth, nethermind 2026", Is.ALREADY_KNOWN, r"already known"),
    Fact("gnosis, nethermind", Is.ALREADY_KNOWN, r"alreadyknown"),
    Fact("geth before 2021, besu, zksync", Is.ALREADY_KNOWN, r"known transaction"),
    Fact("erigon", Is.ALREADY_KNOWN, r"existing txn? with same hash"),
    Fact("openethereum", Is.ALREADY_KNOWN, r"transaction with the same hash was already imported"),
    Fact("anvil", Is.ALREADY_KNOWN, r"transaction already imported"),
    Fact("substrate", Is.ALREADY_KNOWN, r"pool\(alreadyimported\)"),
    Fact("sei", Is.ALREADY_KNOWN, r"tx already exists in cache"),
    # Nonces.
    Fact("every client", Is.NONCE_USED, r"(?:transaction )?nonce (?:is )?too low"),
    Fact("nethermind to 2025", Is.NONCE_USED, r"oldnonce"),
    Fact("erigon", Is.NONCE_USED, r"mined", alone=True),
    Fact("substrate", Is.NONCE_USED, r"pool\(stale\)"),
    Fact("harmony", Is.NONCE_USED, r"transaction already finalized"),
    Fact("every client", Is.NONCE_GAP, r"(?:transaction )?nonce (?:is )?too high"),
    Fact("besu", Is.NONCE_GAP, r"transaction nonce is too distant from current sender nonce"),
    Fact("besu", Is.NONCE_GAP, r"an invalid transaction with a lower nonce exists"),
    Fact("nethermind to 2025", Is.NONCE_GAP, r"noncegap"),
    Fact("nethermind 2026", Is.NONCE_GAP, r"nonce too far in future"),
    Fact("arbitrum classic", Is.NONCE_AMBIGUOUS, r"invalid transaction nonce"),
    Fact("ethermint", Is.NONCE_AMBIGUOUS, r"invalid nonce"),
    Fact("cosmos", Is.NONCE_AMBIGUOUS, r"invalid sequence", alone=True),
    # A sibling is pooled.
    Fact("geth, besu, reth, anvil", Is.REPLACE_UNDERPRICED, r"replacement transaction underpriced"),
    Fact("geth", Is.REPLACE_UNDERPRICED, r"future transaction tries to replace pending"),
    Fact("nethermind to 2025", Is.REPLACE_UNDERPRICED, r"ownnoncealreadyused"),
    Fact("nethermind to 2025", Is.REPLACE_UNDERPRICED, r"replacementnotallowed"),
    Fact("erigon", Is.REPLACE_UNDERPRICED, r"could not replace existing tx"),
    Fact("erigon", Is.REPLACE_UNDERPRICED, r"replaced by transaction with higher tip"),
    Fact(
        "openethereum",
        Is.REPLACE_UNDERPRICED,
        r"transaction gas price \S+ is too low\. there is another transaction with same nonce in the queue"
        r"(?: with gas price)?",
    ),
    # Fees.
    Fact("geth", Is.UNDERPRICED, r"transaction underpriced"),
    Fact("erigon", Is.UNDERPRICED, r"underpriced", alone=True),
    Fact("geth 2025, bor", Is.UNDERPRICED, r"transaction gas price below minimum"),
    Fact("besu", Is.UNDERPRICED, r"gas price below configured minimum gas price"),
    Fact("nethermind to 2025", Is.UNDERPRICED, r"feetoolow(?:tocompete)?"),
    Fact("erigon", Is.UNDERPRICED, r"fee too low", alone=True),
    Fact("arbitrum, metis", Is.UNDERPRICED, r"gas price too low"),
    Fact("celo", Is.UNDERPRICED, r"gasprice is less than gas price minimum floor"),
    Fact("geth, arbitrum, anvil", Is.FEECAP_BELOW_BASEFEE, r"max fee per gas less than block base fee"),
    Fact("besu", Is.FEECAP_BELOW_BASEFEE, r"gas price below current base fee"),
    Fact("geth, reth", Is.NODE_FEE_CAP, r"tx fee \([0-9.]+ (?:ether|wei)\) exceeds the configured cap"),
    Fact("besu", Is.NODE_FEE_CAP, r"transaction fee cap exceeded"),
    # Money.
    Fact(
        "geth, reth, anvil",
        Is.INSUFFICIENT_FUNDS,
        r"insufficient funds for (?:gas \* price \+ value|transfer|intrinsic transaction cost)",
    ),
    Fact("erigon", Is.INSUFFICIENT_FUNDS, r"insufficient funds"),
    Fact("besu", Is.INSUFFICIENT_FUNDS, r"upfront cost exceeds account balance"),
    Fact("nethermind to 2025", Is.INSUFFICIENT_FUNDS, r"insufficientfunds"),
    Fact("monad", Is.INSUFFICIENT_FUNDS, r"signer had insufficient balance"),
    # Room.
    Fact("geth, reth", Is.POOL_FULL, r"txpool is full"),
    Fact("geth", Is.POOL_FULL, r"account limit exceeded"),
    Fact("erigon", Is.POOL_FULL, r"(?:pending|basefee|queued) sub-pool is full"),
    Fact("erigon", Is.POOL_FULL, r"spammer", alone=True),
    Fact("openethereum", Is.POOL_FULL, r"there are too many transactions in the queue"),
    Fact("arbitrum", Is.POOL_FULL, r"sequencer pending tx pool full"),
    Fact("arbitrum", Is.POOL_FULL, r"queue full", alone=True),
    # Kinds of transactions and accounts.
    Fact("geth", Is.TYPE_CONFLICT, r"address already reserved"),
    Fact("nethermind 2026", Is.TYPE_CONFLICT, r"pending transaction type conflict"),
    Fact("erigon", Is.TYPE_CONFLICT, r"can't replace blob-txn with a non-blob-txn"),
    Fact("geth, reth", Is.DELEGATED_LIMIT, r"in-flight transaction limit reached for delegated accounts"),
    Fact("geth", Is.DELEGATED_LIMIT, r"gapped-nonce tx from delegated accounts"),
    Fact("geth", Is.DELEGATED_LIMIT, r"authority already reserved"),
    Fact("nethermind 2026", Is.DELEGATED_LIMIT, r"delegation nonce gap"),
    Fact("polygon zkevm", Is.TERMINALLY_STUCK, r"not enough \w+ counters to continue the execution"),
    # This payload will not do here.
    Fact("geth, besu", Is.INVALID, r"(?:transaction gas limit )?exceeds block gas limit"),
    Fact("geth, anvil", Is.INVALID, r"intrinsic gas too (?:low|high)"),
    Fact("geth", Is.INVALID, r"insufficient gas for floor data gas cost"),
    Fact("geth", Is.INVALID, r"transaction gas limit too high"),
    Fact("geth", Is.INVALID, r"gas uint64 overflow"),
    Fact("geth", Is.INVALID, r"max initcode size exceeded"),
    Fact("geth", Is.INVALID, r"nonce has max value"),
    Fact("geth", Is.INVALID, r"oversized data"),
    Fact("geth", Is.INVALID, r"invalid sender"),
    Fact("geth, anvil", Is.INVALID, r"invalid chain id for signer"),
    Fact("geth, reth, anvil", Is.INVALID, r"max priority fee per gas higher than max fee per gas"),
    Fact("geth", Is.INVALID, r"sender not an eoa"),
    Fact("geth", Is.INVALID, r"transaction type not supported"),
    Fact("besu", Is.INVALID, r"intrinsic gas exceeds gas limit"),
    Fact("besu", Is.INVALID, r"invalid signature", alone=True),
    Fact("besu", Is.INVALID, r"wrong chainid"),
    Fact("nethermind to 2025", Is.INVALID, r"gaslimitexceeded"),
    Fact("nethermind to 2025", Is.INVALID, r"failedtoresolvesender"),
    Fact("nethermind 2026", Is.INVALID, r"gas limit reached", alone=True),
    Fact("nethermind 2026", Is.INVALID, r"transaction too large"),
    Fact("erigon", Is.INVALID, r"intrinsicgas", alone=True),
    Fact("erigon", Is.INVALID, r"gas limit is too high"),
    Fact("reth", Is.INVALID, r"exceeds max transaction gas limit"),
    Fact("zksync", Is.INVALID, r"failed to pay the fee to the operator"),
    # Nobody looked at it.
    Fact("besu", Is.NODE_UNAVAILABLE, r"initial sync is still in progress"),
    Fact("besu", Is.NODE_UNAVAILABLE, r"transaction pool not enabled"),
    Fact("nethermind 2026", Is.NODE_UNAVAILABLE, r"node is syncing"),
    Fact("arbitrum", Is.NODE_UNAVAILABLE, r"sequencer temporarily not available"),
    Fact(
        "arbitrum",
        Is.NODE_UNAVAILABLE,
        r"currently not accepting transactions due to expected surplus being below threshold",
    ),
    Fact("geth", Is.NODE_UNAVAILABLE, r"transaction indexing is in progress"),
    Fact("providers", Is.NODE_UNAVAILABLE, r"(?:429 )?too many requests"),
    Fact("providers", Is.NODE_UNAVAILABLE, r"(?:request )?rate limit(?:s)? exceeded"),
    Fact(
        "gateways",
        Is.NODE_UNAVAILABLE,
        r"50[234] (?:bad gateway|service (?:temporarily )?unavailable|gateway time-?out)",
    ),
    Fact("go", Is.NODE_UNAVAILABLE, r"context (?:deadline exceeded|canceled)"),
    Fact("go", Is.NODE_UNAVAILABLE, r"i/o timeout"),
    Fact("go", Is.NODE_UNAVAILABLE, r"connection (?:refused|reset by peer)"),
)
"""In order: of two that match the same clause the earlier counts."""
