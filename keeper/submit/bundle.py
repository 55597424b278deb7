"""Route `bundle`: eth_sendBundle, all transactions together in one block or none of them."""

from collections.abc import Sequence

from keeper.submit.parcels import Parcel, PrivateRoute, Request, hexed


def _offer(parcel: Parcel) -> Sequence[Request]:
    bundle = {
        "txs": [hexed(raw) for raw in parcel.raws],
        "blockNumber": hex(parcel.target),
        "replacementUuid": parcel.id,
    }
    return (Request("eth_sendBundle", (bundle,), parcel.hashes, _is_taken),)


def _is_taken(result: object) -> bool:
    """Builders answer with the bundle's hash, some with nothing."""
    return result is None or (isinstance(result, dict) and isinstance(result.get("bundleHash", ""), str))


def _withdraw(parcel: Parcel) -> Sequence[Request]:
    return (Request("eth_cancelBundle", ({"replacementUuid": parcel.id},), parcel.hashes, lambda _: True),)


BUNDLE = PrivateRoute(_offer, _withdraw)
