"""API keys: where they come from, and whether a request has one."""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from pathlib import Path

ENVIRONMENT = "FULLCLIP_API_KEYS"
SHORTEST = 16


def read_keys(environment: Mapping[str, str], file: Path | None) -> tuple[str, ...]:
    """The keys of $FULLCLIP_API_KEYS, separated by commas or white space, and of a file with one a line (# begins a remark).

    ValueError where a place is named and has none, or a key could be guessed: one of fewer than 16 characters.
    """
    keys = environment.get(ENVIRONMENT, "").replace(",", " ").split()
    if ENVIRONMENT in environment and not keys:
        raise ValueError(f"${ENVIRONMENT} is set and has no key: give one of {SHORTEST} characters or more, or unset it")
    if file is not None:
        lines = [line.partition("#")[0].strip() for line in file.read_text(encoding="utf-8-sig").splitlines()]
        found = [line for line in lines if line]
        if not found:
            raise ValueError(f"{file}: no key in it; write one of {SHORTEST} characters or more on each line")
        keys += found
    for key in keys:
        if len(key) < SHORTEST or not key.isascii() or not key.isprintable() or " " in key:
            raise ValueError(
                f"an API key of {len(key)} characters ({key[:2]}...): at least {SHORTEST} of ASCII, without spaces, as from"
                " `openssl rand -hex 24`"
            )
    return tuple(dict.fromkeys(keys))


class Keys:
    """Keys to compare with, in a time that tells nothing of them: their hashes, all of them, each time."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._hashes = [_hash(key.encode()) for key in keys]

    def __bool__(self) -> bool:
        return bool(self._hashes)

    def allow(self, authorization: bytes) -> bool:
        """Whether the header `Authorization: Bearer KEY` has one of them."""
        scheme, _, given = authorization.strip().partition(b" ")
        own = _hash(given.strip())
        found = [hmac.compare_digest(own, one) for one in self._hashes]
        return scheme.lower() == b"bearer" and any(found)


def _hash(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
