"""Orders of the reference venue: signed as EIP-712 says, matched two by two."""

from dataclasses import dataclass, fields

from eth_abi.abi import encode
from eth_account.signers.local import LocalAccount
from eth_typing import Hash32
from eth_utils.crypto import keccak

from keeper.abi import interface
from keeper.chain import Call

VENUE = "reference/MarginVenue"
DOMAIN_TYPE = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
ORDER_TYPE = (
    "Order(uint256 account,uint128 instrument,int128 size,uint128 limitPrice,uint64 nonce,uint40 deadline,"
    "bool reduceOnly)"
)
ORDER_WORDS = ("uint256", "uint128", "int128", "uint128", "uint64", "uint40", "bool")
NAME, VERSION = "Reference Margin Venue", "1"


@dataclass(frozen=True, slots=True)
class Order:
    """A resting intention to trade, as IMarginVenue.Order."""

    account: int
    instrument: int
    size: int  # contracts, wad; > 0 buys
    limit_price: int  # USD a contract, wad
    nonce: int
    deadline: int  # last second it may be matched
    reduce_only: bool = False

    @property
    def words(self) -> tuple[int | bool, ...]:
        return tuple(getattr(self, f.name) for f in fields(self))


def domain_of(venue: str, chain_id: int) -> bytes:
    """Return the venue's EIP-712 domain separator."""
    hashed = [keccak(text=text) for text in (DOMAIN_TYPE, NAME, VERSION)]
    return keccak(encode(["bytes32", "bytes32", "bytes32", "uint256", "address"], [*hashed, chain_id, venue]))


def digest(order: Order, domain: bytes) -> bytes:
    """Return what is signed, filled and cancelled: MarginVenue.orderHash."""
    body = keccak(encode(["bytes32", *ORDER_WORDS], [keccak(text=ORDER_TYPE), *order.words]))
    return keccak(b"\x19\x01" + domain + body)


def signed(order: Order, domain: bytes, key: LocalAccount) -> bytes:
    """Return the 65-byte signature of an order by the account's owner or his delegate."""
    return bytes(key.unsafe_sign_hash(Hash32(digest(order, domain))).signature)


def match(venue: str, buy: Order, buy_signature: bytes, sell: Order, sell_signature: bytes, price: int) -> Call:
    """Return the call that matches the whole of both orders, which are of one size, at `price` (USD, wad)."""
    orders = (buy.words, buy_signature, sell.words, sell_signature)
    return interface(VENUE).function("matchOrders").packed(venue, *orders, buy.size, price)
