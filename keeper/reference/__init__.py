"""The reference venue deployed: its board, its contracts by plain transactions, and the manifest that says where."""
