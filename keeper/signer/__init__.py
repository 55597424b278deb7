"""The signer: a process of its own that alone holds the keys, remembers all it signed, and refuses the rest."""
