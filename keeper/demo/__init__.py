"""A world to run the keeper in: Anvil, Perp Curie from its published bytecode, traders, and March 2020."""
