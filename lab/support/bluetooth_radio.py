"""bumble's simulated radio, with what bumble 0.0.236 leaves out put right; to import it takes seconds."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

from bumble import hci
from bumble.controller import Controller
from bumble.core import PhysicalTransport
from bumble.link import LocalLink

__all__ = ["Link", "Radio"]

_SCAN_RESPONSES = {
    hci.HCI_LE_Advertising_Report_Event: hci.HCI_LE_Advertising_Report_Event.EventType.SCAN_RSP,
    hci.HCI_LE_Extended_Advertising_Report_Event: (
        hci.HCI_LE_Extended_Advertising_Report_Event.EventType.SCAN_RESPONSE
    ),
}
"""The event type of a scan response in each kind of advertising report."""
_ACTIVE = 1  # scan type (Core specification, volume 4, part E, 7.8.10)


class Link(LocalLink):
    """The air: bumble's, but the sender of data is the address that its connection was made with.

    bumble always says the random address. The kernel has a public one, so its peer would know no connection
    with whom its data comes from, and drop all of it.
    """

    def send_acl_data(self, sender: Any, receiver: Any, kind: PhysicalTransport, data: bytes) -> None:
        """Deliver data, as bumble's."""
        connection = sender.le_connections.get(receiver)
        found = self.find_le_controller(receiver)
        if kind != PhysicalTransport.LE or connection is None or found is None:
            super().send_acl_data(sender, receiver, kind, data)
            return
        asyncio.get_running_loop().call_soon(found.on_link_acl_data, connection.self_address, kind, data)

    def scan_response(self, address: hci.Address) -> bytes:
        """What whoever advertises with `address` answers to a scan request."""
        for controller in self.controllers:
            for each in (controller.le_legacy_advertiser, *controller.advertising_sets.values()):
                if each.enabled and each.address == address:
                    return bytes(each.scan_response_data)
        return b""


class Radio(Controller):
    """A controller: bumble's, but who scans actively gets scan responses, and who does not gets none.

    bumble reports the advertisement a second time in their place.
    """

    def on_hci_le_set_extended_scan_parameters_command(
        self, command: hci.HCI_LE_Set_Extended_Scan_Parameters_Command
    ) -> hci.HCI_StatusReturnParameters:
        """Note whether to scan actively, which bumble does with the legacy command only."""
        self.le_scan_type = command.scan_types[0]
        return super().on_hci_le_set_extended_scan_parameters_command(command)

    def send_hci_packet(self, packet: hci.HCI_Packet) -> None:
        """Send to the host, as bumble's."""
        kind = type(packet)
        if kind in _SCAN_RESPONSES and packet.reports[0].event_type == _SCAN_RESPONSES[kind]:
            if self.le_scan_type != _ACTIVE:
                return
            (report,) = packet.reports
            packet = kind([dataclasses.replace(report, data=self.link.scan_response(report.address))])
        super().send_hci_packet(packet)
