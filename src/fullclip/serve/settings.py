"""What a server is told once, and the limits of what a client may ask of it. Knows nothing of HTTP."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field, fields

_DAY = 86_400
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much a request may hold, how long it may take, and how much may wait.

    body_bytes: of one request; held_bytes: of all that are in work, with pictures that were fetched for them, of which copies
    take about three times as much. pixels: of a picture, looked up before it is decoded. items: pictures or texts of a
    request; prompts: labels times templates. image_batch, text_batch: how many go through the model at a time;
    gather_seconds: how long the first of them waits for others. waiting_images, waiting_texts, waiting_jobs (searches and
    rerankings): beyond which a request is told to come again. body_seconds: for a body to arrive; seconds: for an answer;
    drain_seconds: for those that are in work when the server is stopped. connections: beyond which one is answered with 503.
    """

    body_bytes: int = 32 << 20
    held_bytes: int = 128 << 20
    pixels: int = 50_000_000
    items: int = 512
    text_characters: int = 4_000
    labels: int = 1_000
    prompts: int = 8_000
    image_batch: int = 16
    text_batch: int = 64
    gather_seconds: float = 0.003
    waiting_images: int = 2_048
    waiting_texts: int = 16_384
    waiting_jobs: int = 128
    body_seconds: float = 20.0
    seconds: float = 60.0
    drain_seconds: float = 30.0
    connections: int = 1_000

    def __post_init__(self) -> None:
        for one in fields(self):
            if getattr(self, one.name) <= 0 and one.name != "gather_seconds":
                raise ValueError(f"{one.name} is {getattr(self, one.name)}: above 0")
            if one.name.endswith("seconds") and not getattr(self, one.name) <= _DAY:
                raise ValueError(f"{one.name} is {getattr(self, one.name)}: at most {_DAY}, a day")
        if self.items > min(self.waiting_images, self.waiting_texts) or self.prompts > self.waiting_texts:
            raise ValueError(f"a request of {self.items} items or {self.prompts} prompts could never wait: raise waiting_*")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """model: as `fullclip.load` takes it. index: a folder that `fullclip search build` wrote, or none. api_keys: of which a
    client gives one; none lets everybody in. images_from: hosts that pictures may be fetched from, "*.example.org" for all
    below one; none fetches nothing. hosts: the names that a request may ask for; none is any.
    """

    model: str = "small"
    index: str | None = None
    precision: str | None = None
    device: str | None = None
    api_keys: tuple[str, ...] = field(default=(), repr=False)
    images_from: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    limits: Limits = Limits()


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that listens at `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def names_of(host: str, *, api_keys: tuple[str, ...], allowed: Sequence[str] = ()) -> tuple[str, ...]:
    """The names that a server at `host` answers to; none is any. One without keys that only this machine reaches answers to the
    loopback's alone: a page of the web whose name was made to point here would have its visitor's browser ask for another.
    allowed: names that are let in as well, after which no other server answers to any name either.
    """
    if not allowed and (api_keys or not is_loopback(host)):
        return ()
    own = f"[{host}]" if ":" in host else host
    return tuple(dict.fromkeys((*LOOPBACK_NAMES, own, *allowed)))
