"""Schema revisions, applied when a journal is opened."""
