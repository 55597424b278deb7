"""Tokens of a board that are on the chain already: asked for their decimals before anything is sent."""

from keeper.abi import interface
from keeper.errors import ConfigError
from keeper.reference.board import Board
from keeper.rpc import Rpc, RpcRefusal


def require_tokens(rpc: Rpc, board: Board) -> None:
    """Raise ConfigError for a token that is not there, or has other decimals than the board says.

    Products.addCollateral asks the same, in the middle of a deployment.
    """
    places = [("settlement", board.settlement)]
    places += [(f"collaterals[{n}].token", accepted.token) for n, accepted in enumerate(board.collaterals)]
    there = [(place, token, token.address) for place, token in places if token.address is not None]
    if not there:
        return
    decimals = interface("demo/MintableToken").function("decimals")
    answers = rpc.eth_calls([decimals.call(address) for _, _, address in there], rpc.block())
    for (place, token, address), answer in zip(there, answers, strict=True):
        try:
            found = None if isinstance(answer, RpcRefusal) else decimals.one(answer)
        except ValueError:  # no code answers nothing
            found = None
        if found is None:
            raise ConfigError(f"{place}.address: expected a token at {address}, found none; is it of this chain?")
        if found != token.decimals:
            raise ConfigError(
                f"{place}.decimals: expected {found}, as the token at {address} says, found {token.decimals}; "
                "correct the board"
            )
