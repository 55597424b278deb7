"""What a lane may do and spend."""

from dataclasses import dataclass

from keeper.sending.fees import Caps
from keeper.sending.limits import BalanceWatch


@dataclass(frozen=True, slots=True)
class LaneRules:
    chain_id: int
    gas: int  # limit of one transaction
    per_block: int  # new transactions
    confirmations: int  # blocks on top of the mined one before an outcome is final
    patience: int  # blocks the head of line may wait for each of its attempts before it is replaced, >= 1
    fees: Caps
    exposure_cap: int  # wei, the most that all open nonces may cost together
    balance: BalanceWatch
    gas_margin_ppm: int = 250_000  # on top of what a call used when it was simulated

    def __post_init__(self) -> None:
        if min(self.chain_id, self.gas, self.per_block, self.patience) < 1 or self.confirmations < 0:
            raise ValueError(f"expected chain id, gas, transactions and patience of at least 1, found {self}")
