"""Numbers that seem drawn at random, and are always the same for a text: so draws and orders do not depend on partitions."""

import hashlib


def number_of(text: str) -> int:
    """64 bits of a text, evenly spread."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
