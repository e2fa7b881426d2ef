"""`Chance`: every random draw of a simulated run, determined by the seed, the name of the draw and its occurrence.

No draw depends on how many others were made before it. So leaving out a fault or a command changes no other draw,
which shrinking relies on.
"""

from __future__ import annotations

from zlib import crc32

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_UNIT = 1.0 / (1 << 53)


def _mixed(value: int) -> int:
    """Return 64 well-mixed bits of an integer: the finalizer of SplitMix64 (Steele, Lea, Flood 2014)."""
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


class Chance:
    """Draws by name: `chance.number("commit Account<a>", 3)` is the same in every run of a seed."""

    __slots__ = ("_keys", "_seed")

    def __init__(self, seed: int) -> None:
        self._seed = _mixed((seed + 1) * _GOLDEN & _MASK)
        self._keys: dict[str, int] = {}

    def bits(self, site: str, occurrence: int) -> int:
        """Return 64 bits for one occurrence of a site."""
        key = self._keys.get(site)
        if key is None:
            encoded = site.encode()
            key = self._keys[site] = _mixed(self._seed ^ (crc32(encoded) << 32 | crc32(encoded, 0xACE5)))
        return _mixed((key + occurrence * _GOLDEN) & _MASK)

    def number(self, site: str, occurrence: int) -> float:
        """Return a number in [0, 1) for one occurrence of a site."""
        key = self._keys.get(site)
        if key is None:
            return (self.bits(site, occurrence) >> 11) * _UNIT
        # Same as `bits`, inlined: the most frequent draw.
        value = (key + occurrence * _GOLDEN) & _MASK
        value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
        return ((value ^ (value >> 31)) >> 11) * _UNIT
