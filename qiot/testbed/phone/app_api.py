"""The cloud as the phone's application sees it: three actions, each one POST (contract section 4)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import h11

from qiot.errors import CloudError, ConfigurationError
from qiot.model import Reason, Secret

__all__ = ["TOKEN_USED", "AppApi"]

TOKEN_USED: Final = 2
"""The token's state once the device has handed it in; before it is 1."""

_BODY_MAX: Final = 65536
_OK: Final = 200


class AppApi:
    """The application's API at one URL.

    Args:
        url: http:// or https://, with the path.
        timeout: Seconds for one request.

    Raises:
        ConfigurationError: The URL is of another form.
    """

    def __init__(self, url: str, timeout: float = 10.0) -> None:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username is not None:
            raise ConfigurationError(
                f"{url!r} is no URL of an application API",
                hint="Write http://HOST:PORT/PATH or https://HOST/PATH.",
            )
        self._tls = parts.scheme == "https"
        self._host = parts.hostname
        self._port = port or (443 if self._tls else 80)
        self._host_header = parts.netloc
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._timeout = timeout

    async def create_token(self) -> Secret:
        """`AppCreateBindToken`: a new token.

        Raises:
            CloudError: Not reached, refused, or no token in the answer.
        """
        token = _find(await self._call("AppCreateBindToken"), "Token")
        if not isinstance(token, str) or not token:
            raise CloudError("AppCreateBindToken: no Token in the answer")
        return Secret(token)

    async def token_state(self, token: Secret) -> int:
        """`AppGetDeviceBindTokenState`: `TOKEN_USED` once the device has handed the token in.

        Raises:
            CloudError: Not reached, refused, or no state in the answer.
        """
        state = _find(await self._call("AppGetDeviceBindTokenState", Token=token.text()), "State")
        if not isinstance(state, int) or isinstance(state, bool):
            raise CloudError("AppGetDeviceBindTokenState: no State in the answer")
        return state

    async def bind(self, token: Secret, product_id: str, device_name: str, family: str, room: str) -> None:
        """`AppTokenBindDeviceFamily`: put the device into a family's room.

        Raises:
            CloudError: Not reached or refused.
        """
        await self._call(
            "AppTokenBindDeviceFamily",
            FamilyId=family,
            ProductId=product_id,
            DeviceName=device_name,
            Token=token.text(),
            RoomId=room,
        )

    async def _call(self, action: str, **fields: str) -> Mapping[str, object]:
        body = json.dumps({"Action": action, **fields}, ensure_ascii=False).encode()
        try:
            async with asyncio.timeout(self._timeout):
                status, answer = await self._post(body)
        except TimeoutError as error:
            raise CloudError(f"{action}: no answer", reason=Reason.CLOUD_TIMEOUT) from error
        except ssl.SSLError as error:
            raise CloudError(f"{action}: {error}", reason=Reason.TLS) from error
        except (OSError, UnicodeError) as error:
            raise CloudError(f"{action}: {error}", reason=Reason.TCP) from error
        except h11.ProtocolError as error:
            raise CloudError(f"{action}: no HTTP answer: {error}") from error
        return _checked(action, status, answer)

    async def _post(self, body: bytes) -> tuple[int, bytes]:
        reader, writer = await asyncio.open_connection(self._host, self._port, ssl=self._tls or None)
        try:
            connection = h11.Connection(h11.CLIENT)
            headers = [
                ("Host", self._host_header),
                ("Content-Type", "application/json"),
                ("Content-Length", str(len(body))),
                ("Connection", "close"),
            ]
            request = h11.Request(method="POST", target=self._target, headers=headers)
            for event in (request, h11.Data(data=body), h11.EndOfMessage()):
                writer.write(connection.send(event) or b"")
            await writer.drain()
            return await _read_answer(connection, reader)
        finally:
            # Not close(): that would wait for the other side's TLS goodbye, even after a cancellation.
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def _read_answer(connection: h11.Connection, reader: asyncio.StreamReader) -> tuple[int, bytes]:
    status, answer = 0, bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(4096))
        elif isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            answer += event.data
            if len(answer) > _BODY_MAX:
                raise h11.RemoteProtocolError(f"the answer has more than {_BODY_MAX} octets")
        elif isinstance(event, h11.EndOfMessage):
            return status, bytes(answer)
        elif not isinstance(event, h11.InformationalResponse):
            raise h11.RemoteProtocolError("the connection ended before the answer")


def _layers(answer: Mapping[str, object]) -> list[Mapping[str, object]]:
    """The answer and what is wrapped in it: `Response`, `data`, `Data`, or one inside the other."""
    layers = [answer]
    for layer in layers:
        inner = (layer.get(name) for name in ("Response", "data", "Data"))
        layers += [each for each in inner if isinstance(each, dict)]
    return layers


def _find(answer: Mapping[str, object], name: str) -> object:
    return next((layer[name] for layer in _layers(answer) if name in layer), None)


def _checked(action: str, status: int, answer: bytes) -> Mapping[str, object]:
    try:
        fields = json.loads(answer)
    except (ValueError, RecursionError):
        fields = None
    if status != _OK:
        raise CloudError(f"{action}: HTTP {status}", reason=Reason.HTTP, code=status)
    if not isinstance(fields, dict):
        raise CloudError(f"{action}: the answer is no JSON object")
    error = _find(fields, "Error")
    if isinstance(error, dict):
        text = f"{error.get('Code', 'Error')}: {error.get('Message', '')}"
        raise CloudError(f"{action}: {text}", reason=Reason.TOKEN_REFUSED, permanent=True)
    code = _find(fields, "code")
    if code not in (None, 0):
        message = _find(fields, "msg") or _find(fields, "message") or ""
        raise CloudError(
            f"{action}: code {code} {message}".rstrip(),
            reason=Reason.TOKEN_REFUSED,
            code=code if isinstance(code, int) else None,
            permanent=True,
        )
    return fields
