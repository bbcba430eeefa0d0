"""Real test hosts: throw-away booted systemd machines, and real servers that only they can reach."""
