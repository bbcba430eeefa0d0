"""The example fleet, and a demonstration of it on a throw-away host."""
