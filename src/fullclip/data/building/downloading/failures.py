"""What a URL gave in place of a picture: a reason, which is counted, and what may come of it.

The reasons are written down in docs/data.md.
"""

from typing import Literal

Health = Literal["", "answered", "failed"]


class FetchError(Exception):
    """No picture from here.

    reason: what is counted. detail: more of it, the same in each run. again: another try may help; after: not before so many
    seconds. health: what this tells of the host: it answered, it failed. host: who it is, where it was asked.
    """

    def __init__(
        self, reason: str, detail: str = "", *, again: bool = False, after: float | None = None, health: Health = ""
    ) -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail
        self.again, self.after, self.health = again, after, health
        self.host = ""


class RefusedAddressError(OSError):
    """A name that stands for no address that may be asked."""


class UnknownHostError(OSError):
    """A name without an address. passing: it may have one later."""

    def __init__(self, host: str, *, passing: bool) -> None:
        super().__init__(host)
        self.passing = passing
