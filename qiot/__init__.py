"""qiot: Wi-Fi provisioning for Linux devices; the device, the phone and a local cloud in one tool.

The names below load their module when they are first used, so that `import qiot` stays cheap. A new public
name is a row in `_EXPORTS`, a name in `__all__` and an import for type checkers; a test compares the three.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from qiot.api import CloudOptions, SessionResult, Settings, State, WifiConfig
    from qiot.blocking import (
        BlockingWifiConfig,
        is_wifi_config_successful,
        query_wifi_config_state,
        start_log_softAP,
        start_smartconfig,
        start_softAP,
        start_wifi_config,
        stop_wifi_config,
    )
    from qiot.device_info import DeviceInfo, load_device_info, save_device_info
    from qiot.errors import QiotError
    from qiot.model import Event, Failure, Outcome, Reason, Secret, Step

__version__ = "0.1.0"

__all__ = [
    "BlockingWifiConfig",
    "CloudOptions",
    "DeviceInfo",
    "Event",
    "Failure",
    "Outcome",
    "QiotError",
    "Reason",
    "Secret",
    "SessionResult",
    "Settings",
    "State",
    "Step",
    "WifiConfig",
    "__version__",
    "is_wifi_config_successful",
    "load_device_info",
    "query_wifi_config_state",
    "save_device_info",
    "start_log_softAP",
    "start_smartconfig",
    "start_softAP",
    "start_wifi_config",
    "stop_wifi_config",
]

_EXPORTS: Final = {
    "BlockingWifiConfig": "qiot.blocking",
    "CloudOptions": "qiot.api",
    "DeviceInfo": "qiot.device_info",
    "Event": "qiot.model",
    "Failure": "qiot.model",
    "Outcome": "qiot.model",
    "QiotError": "qiot.errors",
    "Reason": "qiot.model",
    "Secret": "qiot.model",
    "SessionResult": "qiot.api",
    "Settings": "qiot.api",
    "State": "qiot.api",
    "Step": "qiot.model",
    "WifiConfig": "qiot.api",
    "is_wifi_config_successful": "qiot.blocking",
    "load_device_info": "qiot.device_info",
    "query_wifi_config_state": "qiot.blocking",
    "save_device_info": "qiot.device_info",
    "start_log_softAP": "qiot.blocking",
    "start_smartconfig": "qiot.blocking",
    "start_softAP": "qiot.blocking",
    "start_wifi_config": "qiot.blocking",
    "stop_wifi_config": "qiot.blocking",
}


def __getattr__(name: str) -> Any:
    """Load a public name from its module (PEP 562)."""
    if name not in _EXPORTS:
        raise AttributeError(f"module 'qiot' has no attribute {name!r}")
    value = getattr(importlib.import_module(_EXPORTS[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_EXPORTS})
