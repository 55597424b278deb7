"""What a lane may do and spend."""

from dataclasses import dataclass

from keeper.sending.fees import Caps
from keeper.sending.limits import BalanceWatch, SpendCaps
from keeper.sending.priority import SendingPolicy


@dataclass(frozen=True, slots=True)
class Windows:
    """Most that may be signed for, wei, worst case, in one block and in a rolling hour and day of block time."""

    per_block: int
    per_hour: int
    per_day: int


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
    windows: Windows
    policy: SendingPolicy
    gas_margin_ppm: int = 250_000  # on top of what a call used when it was simulated
    priced: bool = False  # an ether has a price in USD, so that takes state what they are worth
    reserved_ppm: int = 0  # of block gas, transactions, and the caps on block, hour, day and exposure: for liquidations

    def __post_init__(self) -> None:
        if min(self.chain_id, self.gas, self.per_block, self.patience) < 1 or self.confirmations < 0:
            raise ValueError(f"expected chain id, gas, transactions and patience of at least 1, found {self}")

    @property
    def caps(self) -> SpendCaps:
        return SpendCaps(
            per_transaction=self.fees.spend,
            per_block=self.windows.per_block,
            per_hour=self.windows.per_hour,
            per_day=self.windows.per_day,
            exposure=self.exposure_cap,
            share_of_worth_ppm=self.fees.share_ppm,
            reserved_ppm=self.reserved_ppm,
        )
