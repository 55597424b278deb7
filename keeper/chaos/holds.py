"""Requests kept back, until somebody lets them go or a block comes."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(slots=True)
class _Held:
    fault: int
    due: int | None  # block number; None: until released by hand or by its own timer
    resume: Callable[[], Awaitable[None]]


class Holds:
    """Everything kept back, in order of arrival. For the proxy's own loop only."""

    def __init__(self) -> None:
        self._held: list[_Held] = []
        self._timers: set[asyncio.Task[None]] = set()

    def count(self, fault: int) -> int:
        return sum(held.fault == fault for held in self._held)

    def waits_for_blocks(self) -> bool:
        return any(held.due is not None for held in self._held)

    def keep(self, fault: int, due: int | None, seconds: float, resume: Callable[[], Awaitable[None]]) -> None:
        """Call `resume` once: when released, at block `due`, or after `seconds` unless they are 0."""
        held = _Held(fault, due, resume)
        self._held.append(held)
        if seconds > 0:
            timer = asyncio.create_task(self._after(seconds, held))
            self._timers.add(timer)
            timer.add_done_callback(self._timers.discard)

    def gate(self, fault: int, due: int | None, seconds: float) -> asyncio.Event:
        """Return what is set on release; the caller waits for it and is what is kept back."""
        free = asyncio.Event()

        async def resume() -> None:
            free.set()

        self.keep(fault, due, seconds, resume)
        return free

    async def release(self, fault: int) -> int:
        """Let go of all that this fault holds, in order of arrival; return how many."""
        return await self._resume([held for held in self._held if held.fault == fault])

    async def reached(self, block: int) -> int:
        """Let go of what is due at this head or before."""
        return await self._resume([held for held in self._held if held.due is not None and held.due <= block])

    async def _after(self, seconds: float, held: _Held) -> None:
        await asyncio.sleep(seconds)
        if held in self._held:
            await self._resume([held])

    async def _resume(self, free: list[_Held]) -> int:
        self._held = [held for held in self._held if held not in free]
        for held in free:
            await held.resume()
        return len(free)
