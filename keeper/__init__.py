"""On-chain margin keeper and oracle bot."""

__version__ = "0.1.0"
