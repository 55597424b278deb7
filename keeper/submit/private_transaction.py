"""Route `private_transaction`: eth_sendPrivateTransaction, each by itself and up to a last block."""

from collections.abc import Callable, Sequence

from keeper.submit.parcels import Parcel, PrivateRoute, Request, hexed


def _offer(parcel: Parcel) -> Sequence[Request]:
    return [
        Request("eth_sendPrivateTransaction", ({"tx": hexed(raw), "maxBlockNumber": hex(parcel.last)},), (h,), _is(h))
        for raw, h in zip(parcel.raws, parcel.hashes, strict=True)
    ]


def _withdraw(parcel: Parcel) -> Sequence[Request]:
    return [Request("eth_cancelPrivateTransaction", ({"txHash": h},), (h,), lambda _: True) for h in parcel.hashes]


def _is(tx_hash: str) -> Callable[[object], bool]:
    return lambda result: isinstance(result, str) and result.lower() == tx_hash


PRIVATE_TRANSACTION = PrivateRoute(_offer, _withdraw)
