"""Addresses of images: as a page has them in, absolute and quoted out, or the reason why there is none."""

import re
from urllib.parse import quote, unquote, urljoin, urlsplit, urlunsplit

from fullclip.core.storage import is_remote
from fullclip.data.building.collecting.markup import mended
from fullclip.data.building.collecting.settings import ImageRules

FOLDER_HOST = "folder.invalid"
FOLDER = f"http://{FOLDER_HOST}/"
_STORES = ("s3", "gs", "gcs", "az", "abfs", "hf")
_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*):")
_REMOVED = re.compile(r"[\t\n\r]")
_CONTROLS = "".join(map(chr, range(0x21)))
_SAFE = "%/:=&?~+!$,;'@()*[]|"


class AddressError(ValueError):
    """Its words are the reason for leaving an image out."""


def absolute(base: str, written: str, rules: ImageRules) -> str:
    """An address without its fragment, its spaces and letters quoted, its host in ASCII. AddressError with the reason."""
    written = mended(_REMOVED.sub("", written.strip(_CONTROLS)))
    if not written:
        raise AddressError("image: no address")
    scheme = _SCHEME.match(written)
    if scheme and scheme[1].lower() == "data":
        raise AddressError("image: written into the page (data:)")
    if scheme and scheme[1].lower() not in ("http", "https"):
        raise AddressError("image: an address of another scheme")
    if len(written) > rules.max_address:
        raise AddressError(f"image: an address over {rules.max_address:,} characters")
    found = _quoted(base, written)
    if len(found) > rules.max_address:
        raise AddressError(f"image: an address over {rules.max_address:,} characters")
    if ending_of(found) in rules.left_out_endings:
        raise AddressError(f"image: .{ending_of(found)}")
    return found


def _quoted(base: str, written: str) -> str:
    try:
        parts = urlsplit(urljoin(base, written))
        host = (parts.hostname or "").rstrip(".")
        port = parts.port
        if not host.isascii():
            host = host.encode("idna").decode("ascii")
    except ValueError:  # UnicodeError is one
        raise AddressError("image: a broken address") from None
    if parts.scheme not in ("http", "https"):
        raise AddressError("image: a relative address on a page without one")
    if not host or re.search(r"[^a-z0-9._:-]", host) or parts.username is not None:
        raise AddressError("image: a broken address")
    place = f"[{host}]" if ":" in host else host
    default = {"http": 80, "https": 443}[parts.scheme]
    if port is not None and port != default:
        place = f"{place}:{port}"
    return urlunsplit((parts.scheme, place, quote(parts.path or "/", _SAFE), quote(parts.query, _SAFE), ""))


def ending_of(address: str) -> str:
    """The ending of an address's path or a file's name in small letters, without its dot."""
    path = urlsplit(address).path if address.startswith(("http://", "https://")) else address
    _, dot, found = path.rpartition("/")[2].rpartition(".")
    return found.lower() if dot else ""


def path_in_folder(address: str) -> str | None:
    """The path below the folder that `FOLDER` stands for; None where the address is not of one."""
    parts = urlsplit(address)
    return unquote(parts.path).lstrip("/") if parts.hostname == FOLDER_HOST else None


def of_table(written: str, folder: str, rules: ImageRules) -> str:
    """The address in a table that lies in `folder`: of the web, of a store (s3://), or a path. AddressError with the reason."""
    written = mended(written.strip())
    scheme = _SCHEME.match(written)
    if not written or (scheme and (scheme[1].lower() in ("http", "https", "data") or scheme[1].lower() not in _STORES)):
        return absolute("", written, rules)
    if "\0" in written or len(written) > rules.max_address:
        raise AddressError("image: a broken address")
    if ending_of(written) in rules.left_out_endings:
        raise AddressError(f"image: .{ending_of(written)}")
    return written if is_remote(written) or written.startswith("/") else f"{folder}/{written}"
