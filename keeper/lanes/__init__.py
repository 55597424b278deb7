"""From intents to outcomes: one lane is one key's sequence of nonces. Everything lasting is in the ledger.

Each block: watch (what became of open slots), rescue (the lowest stuck nonce first), issue (new intents by priority).
"""
