"""Requests whose head never ends: the parser keeps all of it, before anybody is asked who they are."""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_MAX = 64 << 10
"""Bytes: addresses, cookies and tokens take a tenth."""


class BoundedHeads(HttpToolsProtocol):
    """uvicorn's protocol, which ends a connection where so much comes and is no part of a body: trailers too."""

    _waiting_bytes, _got_on = 0, False

    def data_received(self, data: bytes) -> None:
        self._got_on = False
        super().data_received(data)
        self._waiting_bytes = 0 if self._got_on else self._waiting_bytes + len(data)
        if self._waiting_bytes > HEAD_MAX and not self.transport.is_closing():
            self.send_400_response("The head of a request must be shorter.")

    def on_headers_complete(self) -> None:
        self._got_on = True
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._got_on = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._got_on = True
        super().on_message_complete()
