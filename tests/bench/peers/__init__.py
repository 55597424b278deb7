"""One file a peer: what others would write or install for the same work."""
