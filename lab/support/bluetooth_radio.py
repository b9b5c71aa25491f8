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
_ENHANCED = 1 << 9  # LE Enhanced Connection Complete in the event mask (7.8.1)


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
    """A controller: bumble's, but for two things that a kernel as its host needs.

    Who scans actively gets scan responses, and who does not gets none: bumble reports the advertisement a
    second time in their place. And a connection is told by the enhanced event, as to every host that has
    unmasked it (Core specification, volume 4, part E, 7.7.65.10): the kernel waits for that one, and after
    4 s without it cancels what is connected already.
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
        if isinstance(packet, hci.HCI_LE_Connection_Complete_Event) and self.le_event_mask & _ENHANCED:
            packet = _enhanced(packet)
        elif kind in _SCAN_RESPONSES and packet.reports[0].event_type == _SCAN_RESPONSES[kind]:
            if self.le_scan_type != _ACTIVE:
                return
            (report,) = packet.reports
            packet = kind([dataclasses.replace(report, data=self.link.scan_response(report.address))])
        super().send_hci_packet(packet)


def _enhanced(event: hci.HCI_LE_Connection_Complete_Event) -> hci.HCI_LE_Enhanced_Connection_Complete_Event:
    nobody = hci.Address("00:00:00:00:00:00")
    return hci.HCI_LE_Enhanced_Connection_Complete_Event(
        status=event.status,
        connection_handle=event.connection_handle,
        role=event.role,
        peer_address_type=event.peer_address_type,
        peer_address=event.peer_address,
        local_resolvable_private_address=nobody,
        peer_resolvable_private_address=nobody,
        connection_interval=event.connection_interval,
        peripheral_latency=event.peripheral_latency,
        supervision_timeout=event.supervision_timeout,
        central_clock_accuracy=event.central_clock_accuracy,
    )
