"""Bumble's software controller, with what it leaves out: scan responses, and addresses as they were used.

Imported only where bumble is installed.
"""

from __future__ import annotations

import asyncio
from typing import Any

from bumble import hci, ll
from bumble.controller import Controller
from bumble.core import PhysicalTransport
from bumble.link import LocalLink

__all__ = ["Link", "SimulatedController"]

_SIGNAL = -50


class Link(LocalLink):
    """The air.

    bumble 0.0.236 names the sender of data by its random address, whatever address the connection was made
    with; then a host that uses its public address is not heard.
    """

    def send_acl_data(
        self, sender_controller: Controller, destination_address: hci.Address, transport: Any, data: bytes
    ) -> None:
        """Deliver to the other end of the connection."""
        connection = sender_controller.le_connections.get(destination_address)
        if transport != PhysicalTransport.LE or connection is None:
            super().send_acl_data(sender_controller, destination_address, transport, data)
            return
        receiver = self.find_le_controller(destination_address)
        if receiver is not None:
            asyncio.get_running_loop().call_soon(
                receiver.on_link_acl_data, connection.self_address, transport, data
            )

    def scan_response(self, advertiser: hci.Address) -> bytes:
        """What an advertiser answers to a scanner that asks for more."""
        for each in self.controllers:
            if each.le_legacy_advertiser.enabled and each.le_legacy_advertiser.address == advertiser:
                return bytes(each.le_legacy_advertiser.scan_response_data)
        return b""


class SimulatedController(Controller):
    """A controller of Bluetooth 4.2: legacy advertisements of 31 octets, with their scan responses."""

    le_features = Controller.le_features & ~(
        hci.LeFeatureMask.LE_EXTENDED_ADVERTISING | hci.LeFeatureMask.LE_PERIODIC_ADVERTISING
    )

    def on_advertising_pdu(self, pdu: ll.AdvInd | ll.AdvExtInd) -> None:
        """Report the advertisement, and the scan response where the scan is active."""
        scanning = self.le_scan_enable
        if scanning:
            self._report(pdu)
        self.le_scan_enable = False  # what bumble reports itself has the advertisement's data in both places
        try:
            super().on_advertising_pdu(pdu)
        finally:
            self.le_scan_enable = scanning

    def vanish(self) -> None:
        """Stop advertising and end all connections; the other ends see a time-out of the link."""
        self.le_legacy_advertiser.stop()
        for connection in list(self.le_connections.values()):
            connection.send_ll_control_pdu(ll.TerminateInd(hci.HCI_CONNECTION_TIMEOUT_ERROR))
            self.le_connections.pop(connection.peer_address, None)

    def _report(self, pdu: ll.AdvInd | ll.AdvExtInd) -> None:
        report = hci.HCI_LE_Advertising_Report_Event.Report
        kinds = hci.HCI_LE_Advertising_Report_Event.EventType
        found = [(kinds.ADV_IND, pdu.data)]
        if self.le_scan_type and isinstance(self.link, Link):
            found.append((kinds.SCAN_RSP, self.link.scan_response(pdu.advertiser_address)))
        for kind, data in found:
            self.send_hci_packet(
                hci.HCI_LE_Advertising_Report_Event(
                    [
                        report(
                            event_type=kind,
                            address_type=pdu.advertiser_address.address_type,
                            address=pdu.advertiser_address,
                            data=data,
                            rssi=_SIGNAL,
                        )
                    ]
                )
            )
