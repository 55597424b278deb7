"""A model world for the transaction ledger: chain, endpoints and crashes by an adversary, and a reader of its own."""
