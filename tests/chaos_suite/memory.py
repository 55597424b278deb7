"""How much memory is held, as Linux tells of a process; nothing is told elsewhere, and counts as nothing."""

from pathlib import Path

STATUS = Path("/proc/self/status")
FORGET_PEAK = "5"
"""For clear_refs: the peak begins anew at what is held now."""


def held() -> int:
    """Return what this process holds now, bytes."""
    return _told("VmRSS")


def peak() -> int:
    """Return the most it held since `forget_peak`, or since it began, bytes."""
    return _told("VmHWM")


def forget_peak() -> None:
    if STATUS.exists():
        Path("/proc/self/clear_refs").write_text(FORGET_PEAK, encoding="ascii")


def _told(name: str) -> int:
    if not STATUS.exists():
        return 0
    lines = dict(line.split(":", 1) for line in STATUS.read_text(encoding="ascii").splitlines())
    return int(lines[name].split()[0]) << 10
