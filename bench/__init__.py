"""How fast and how small the agent is, as ratios: `python -m bench` (`make bench`)."""
