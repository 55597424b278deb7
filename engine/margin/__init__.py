"""One file a margin model."""
