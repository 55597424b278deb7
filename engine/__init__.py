"""Margin engine: pure functions over frozen columnar records. Imports nothing of the keeper."""
