"""Resource modules: one kind, one file."""
