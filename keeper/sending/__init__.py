"""The rules of sending, as pure functions: what answers mean, what to pay, what to send first, where to stop.

Nothing here reads a clock, a chain or a database: block time, fees and what was spent are arguments.
"""
