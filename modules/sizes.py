"""Sizes of memory as people write them."""

from __future__ import annotations

SIZES = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def size_text(size: int) -> str:
    """The shortest exact form: `16m` for 16777216."""
    unit = next((unit for unit in "gmk" if size % SIZES[unit] == 0), "")
    return f"{size // SIZES[unit]}{unit}"
