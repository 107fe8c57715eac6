"""HTTP messages and the text in them: the bytes of a record in, status, headers and a body of bounded size out."""

import io
import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fullclip.core.extras import require

_HEADER_END = re.compile(rb"\r?\n\r?\n")
_MAX_HEADER = 64 << 10
_STATUS = re.compile(rb"HTTP/[0-9.]+ +([0-9]{3})")
_CHUNK = re.compile(rb"[ \t]*([0-9a-fA-F]{1,8})[ \t]*(?:;[^\r\n]*)?\r?\n")
_MAX_ENCODINGS = 3
_BLOCK = 64 << 10
_HTML_START = re.compile(rb"<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE)
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w.:-]{1,40})", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Message:
    """A response. Headers by their names in small letters, several of one name with a comma between. is_cut: the body was
    longer than wanted.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    is_cut: bool = False


def read_message(block: bytes, *, max_bytes: int) -> Message | None:
    """The response in a record's block, decoded as its headers say; what is not so encoded, as it is. None where it is none."""
    status = _STATUS.match(block)
    end = _HEADER_END.search(block, 0, _MAX_HEADER)
    if status is None or end is None:
        return None
    headers = dict[str, str]()
    for line in block[: end.start()].decode("latin-1").splitlines()[1:]:
        name, colon, value = line.partition(":")
        if colon:
            name = name.strip().lower()
            headers[name] = f"{headers[name]}, {value.strip()}" if name in headers else value.strip()
    body = block[end.end() :]
    if "chunked" in headers.get("transfer-encoding", "").lower():
        body = unchunked(body)
    encodings = [one.strip().lower() for one in headers.get("content-encoding", "").split(",")]
    for encoding in reversed(encodings[:_MAX_ENCODINGS]):
        if decoder := _DECODERS.get(encoding):
            body = decoder(body, max_bytes + 1)
    return Message(status=int(status[1]), headers=headers, body=body[:max_bytes], is_cut=len(body) > max_bytes)


def unchunked(body: bytes) -> bytes:
    """A body sent in chunks as one; one that is none, as it is."""
    found, at = list[bytes](), 0
    while chunk := _CHUNK.match(body, at):
        size = int(chunk[1], 16)
        if size == 0:
            return b"".join(found)
        found.append(body[chunk.end() : chunk.end() + size])
        at = chunk.end() + size
        at += 2 if body.startswith(b"\r\n", at) else 1
    return b"".join(found) or body


def _inflated(body: bytes, size: int) -> bytes:
    """What gzip or deflate packed, with its header or without; of a damaged one what lies before the damage."""
    for bits in (zlib.MAX_WBITS | 32, -zlib.MAX_WBITS):
        if found := _inflated_as(body, size, bits):
            return found
    return body


def _inflated_as(body: bytes, size: int, bits: int) -> bytes:
    stream, found = zlib.decompressobj(bits), bytearray()
    for at in range(0, len(body), _BLOCK):
        given = body[at : at + _BLOCK]
        try:
            while given and len(found) < size and not stream.eof:
                found += stream.decompress(given, size - len(found))
                given = stream.unconsumed_tail
        except zlib.error:
            break
        if len(found) >= size or stream.eof:
            break
    return bytes(found)


def _read_as(name: str) -> Callable[[bytes, int], bytes]:
    def read(body: bytes, size: int) -> bytes:
        reader = getattr(require("fastwarc.stream_io", extra="data"), name)(io.BytesIO(body))
        found = bytearray()
        try:
            while len(found) < size and (more := reader.read(min(_BLOCK, size - len(found)))):
                found += more
        except OSError:
            return bytes(found) or body
        return bytes(found)

    return read


_DECODERS: Mapping[str, Callable[[bytes, int], bytes]] = {
    "gzip": _inflated,
    "x-gzip": _inflated,
    "deflate": _inflated,
    "br": _read_as("BrotliReader"),
    "zstd": _read_as("ZstdReader"),
}


def is_html(content_type: str, body: bytes) -> bool:
    """Whether a body is a page: by its declared type; where none is declared, by its beginning."""
    declared = content_type.partition(";")[0].strip().lower()
    if declared:
        return declared in ("text/html", "application/xhtml+xml")
    return _HTML_START.search(body[:1024]) is not None


def to_text(body: bytes, content_type: str = "") -> str:
    """A page's text: UTF-8 where it is that, else in the encoding of its mark, its header, itself, or as its bytes look."""
    encodings = require("resiliparse.parse.encoding", extra="data")
    if body[:2] not in (b"\xff\xfe", b"\xfe\xff"):
        try:
            return body.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            if error.start >= len(body) - 3 and error.reason == "unexpected end of data":  # cut within a character
                return body[: error.start].decode("utf-8-sig")
    declared = _CHARSET.search(content_type)
    name = encodings.map_encoding_to_html5(declared[1], fallback_utf8=False) if declared else None
    if name is None or body[:2] in (b"\xff\xfe", b"\xfe\xff"):
        name = encodings.detect_encoding(body, from_html_meta=True)
    found: str = encodings.bytes_to_str(body, name or "utf-8", "replace")
    return found
