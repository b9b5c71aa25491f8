"""Who this device is to its cloud: device_info.json, as the C SDK reads it (contract section 11).

`"cloud": "rlink"` makes it an rlink device, with the same fields (docs/rlink.md).

A file is never guessed at: what cannot be used is a `ConfigurationError` with the path, the field and what
to do. Saving changes only what has changed; sub-devices, the other mode's block, unknown keys and their order
stay.
"""

from qiot.device_info.identity import AuthMode, Cloud, DeviceInfo, Endpoints, IssuedCertificate, SubDevice
from qiot.device_info.loading import load_device_info
from qiot.device_info.saving import save_device_info

__all__ = [
    "AuthMode",
    "Cloud",
    "DeviceInfo",
    "Endpoints",
    "IssuedCertificate",
    "SubDevice",
    "load_device_info",
    "save_device_info",
]
