"""The host's own way to the internet."""

from __future__ import annotations

from qiot.cloud.http import request as http_request
from qiot.cloud.mqtt import MqttLink, open_link
from qiot.hal.contract import HttpRequest, HttpResponse, MqttParameters, Transport

__all__ = ["HostTransport"]


class HostTransport(Transport):
    """Sockets of this host; a modem with its own IP stack brings another `Transport`."""

    async def mqtt(self, parameters: MqttParameters) -> MqttLink:
        """As `Transport.mqtt`; a file in `tls` that cannot be used is a `ConfigurationError`."""
        return await open_link(parameters)

    async def request(self, request: HttpRequest) -> HttpResponse:
        """As `Transport.request`."""
        return await http_request(request)
