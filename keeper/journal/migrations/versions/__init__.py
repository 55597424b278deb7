"""One file a revision, never changed after release."""
