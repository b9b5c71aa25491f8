"""The contract between qiot's core and a platform: media, and how this platform runs a method.

For whoever writes an adapter:

- Few verbs, no policy. Retries, turns, time-outs of a run and the choice of the next step belong to the
  session.
- `start` works, or raises and leaves nothing behind. `stop` is idempotent and safe after a failed or
  cancelled `start`. A cancelled verb undoes what it began.
- Streams are read in batches and are bounded; what did not fit is counted, never silently lost.
- Blocking vendor code goes to a thread inside the adapter (`asyncio.to_thread`).
- Every failure is a `HalError` with a typed reason; `NotSupportedError` says what to install or choose.
- New verbs arrive here with a default, so that an older adapter goes on working.

Times are seconds, monotonic where they are points in time.
"""

from qiot.hal.contract.air import Frame, FrameFilter, Injector, Sniffer
from qiot.hal.contract.listener import (
    AirKiss,
    BtCombo,
    ChipSoftAp,
    ListenContext,
    Listener,
    SimpleConfig,
    SmartConfig,
)
from qiot.hal.contract.near import Camera, Gatt, GattEvent, GattProfile, Written
from qiot.hal.contract.platform import Capabilities, Combination, Platform, PortT, Role
from qiot.hal.contract.storage import Slot, Storage
from qiot.hal.contract.transport import HttpRequest, HttpResponse, MqttParameters, Tls, Transport
from qiot.hal.contract.udp import Datagram, Endpoint, Udp
from qiot.hal.contract.wifi import SoftAp, SoftApSpec, Station, Wifi, WifiStatus

__all__ = [
    "AirKiss",
    "BtCombo",
    "Camera",
    "Capabilities",
    "ChipSoftAp",
    "Combination",
    "Datagram",
    "Endpoint",
    "Frame",
    "FrameFilter",
    "Gatt",
    "GattEvent",
    "GattProfile",
    "HttpRequest",
    "HttpResponse",
    "Injector",
    "ListenContext",
    "Listener",
    "MqttParameters",
    "Platform",
    "PortT",
    "Role",
    "SimpleConfig",
    "Slot",
    "SmartConfig",
    "Sniffer",
    "SoftAp",
    "SoftApSpec",
    "Station",
    "Storage",
    "Tls",
    "Transport",
    "Udp",
    "Wifi",
    "WifiStatus",
    "Written",
]
