"""What a thing.network device says of itself.

Source: protco-tech/protco_docs, provisioning/WiFi_BLE_mode.md step 4, and sentino-jp/iot-docs,
reference/ref-ble-en.md section 5.2.1.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from qiot.model import Secret
from qiot.protocols.ble.thing_messages import GET_INFO, message_id, time_stamp
from qiot.protocols.ble.thing_sign import HMAC_SHA1, information_sign

__all__ = ["ThingIdentity"]


@attrs.frozen
class ThingIdentity:
    """Who a device is.

    Attributes:
        product_id: `pid`.
        uuid: The device's UUID, which the sign is made over.
        secret: The device's secret, as it is printed; None gives no sign.
        wifi_mac: For the phone to show, "44:4a:d6:0a:ba:a9"; left out where it is empty.
        ble_mac: The same of Bluetooth.
        version: The firmware's version.
        mcu_version: That of a second processor, where there is one.
        gateway: It is a gateway.
        sign_method: "hmacSha1" or "hmacSha256".
    """

    product_id: str
    uuid: str
    secret: Secret | None
    wifi_mac: str
    ble_mac: str
    version: str
    mcu_version: str
    gateway: bool
    sign_method: str

    def information(self, request: Mapping[str, object], wall: float, *, bound: bool) -> dict[str, object]:
        """The answer to a `device.information.get`.

        Args:
            request: That message.
            wall: Seconds since 1970.
            bound: The device has an owner.
        """
        ts = time_stamp(request, wall)
        data: dict[str, object] = {"version": self.version}
        if self.mcu_version:
            data["mcuVersion"] = self.mcu_version
        data |= {"msgType": "poweron", "pid": self.product_id, "bind": bound}
        data |= {"gateway": int(self.gateway), "gatewayType": 1}
        if self.secret is not None:
            if self.sign_method != HMAC_SHA1:
                data["signMethod"] = self.sign_method
            data["sign"] = information_sign(self.uuid, ts, self.secret, self.sign_method)
        data |= {name: mac for name, mac in (("wifi_mac", self.wifi_mac), ("ble_mac", self.ble_mac)) if mac}
        answer: dict[str, object] = {"type": f"{GET_INFO}.response", "ts": ts, "data": data}
        ident = message_id(request)
        return answer | {"msgId": ident} if ident else answer
