"""HTTP as uvicorn speaks it, with an end for clients that keep a connection and give or take nothing."""

import time
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 10.0
READ_SECONDS, READ_BYTES = 15.0, 16 << 10  # how much of an answer that waits for its client is to be taken in that time
WORK_SECONDS = 2.0  # 32 MiB in one piece take a tenth of it
_PIECE_BYTES = 32 << 10  # are read at a time, before others have their turn


class PatientProtocol(H11Protocol):
    """uvicorn's, which gives up a client whose request's head does not arrive in ten seconds, who does not read the answer (it
    would be kept, with its connection, for as long as the client likes), or whose bytes take long to read: a body in chunks of
    a byte each keeps the loop, and with it all others, busy.
    """

    _late: Any = None
    _looks: Any = None
    _work = 0.0  # seconds that reading this connection has taken since the last answer
    _left = 0  # bytes of answers that had not been taken at the last look

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        transport.max_size = _PIECE_BYTES
        self._watch()
        self._looks = self.loop.call_later(READ_SECONDS, self._look_at_reading)

    def data_received(self, data: bytes) -> None:
        if self._late is None and self._is_idle():
            self._watch()
        began = time.thread_time()
        super().data_received(data)
        self._work += time.thread_time() - began
        if self._work > WORK_SECONDS:
            self.transport.abort()
        if not self._is_idle():
            self._stop_watching()

    def on_response_complete(self) -> None:
        self._work, self._left = 0.0, 0  # what has just been added is not what was left
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_watching()
        if self._looks is not None:
            self._looks.cancel()
        super().connection_lost(exc)

    def resume_writing(self) -> None:
        self._left = 0
        super().resume_writing()

    def _look_at_reading(self) -> None:
        left = self.transport.get_write_buffer_size()
        if left and self._left and left > self._left - READ_BYTES:
            self.transport.abort()
            return
        self._left = left
        self._looks = self.loop.call_later(READ_SECONDS, self._look_at_reading)

    def _is_idle(self) -> bool:
        """Whether no request is in work."""
        return self.cycle is None or self.cycle.response_complete

    def _watch(self) -> None:
        self._late = self.loop.call_later(HEAD_SECONDS, self._hang_up)

    def _stop_watching(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _hang_up(self) -> None:
        self._late = None
        if self._is_idle() and not self.transport.is_closing():
            if self.conn.our_state is not h11.ERROR:
                self.conn.send(h11.ConnectionClosed())
            self.transport.close()
