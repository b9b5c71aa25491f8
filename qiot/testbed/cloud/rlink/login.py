"""Who may connect as an rlink device, and which topics it may use.

The vendor says of a user name without its parts that the broker answers "not authorized", CONNACK 5
(ref-mqtt-en.md, 7.1); a wrong signature is taken for the same. Time is not checked, as the vendor's own
firmware logs in with `ts=0`.
"""

from __future__ import annotations

import hmac
import re
from typing import Final

from qiot.model import Secret
from qiot.testbed.cloud.rlink.units import Applicant, Unit

__all__ = ["check_rlink_login", "rlink_may_publish", "rlink_may_subscribe"]

_NOT_AUTHORIZED: Final = 5
_USER_NAME: Final = re.compile(
    r"(?P<name>[^|]+)\|signMethod=hmac(?P<hash>Sha1|Sha256),ts=(?P<ts>[0-9]{1,13})"
)


def check_rlink_login(
    user_name: str | None, password: Secret | None, client: Unit | Applicant
) -> tuple[int, str]:
    """The CONNACK code for a login and why; 0 is good."""
    unit = isinstance(client, Unit)
    secret = client.secret if isinstance(client, Unit) else client.product.secret
    name = client.uuid if isinstance(client, Unit) else client.product.product_id
    found = _USER_NAME.fullmatch(user_name or "")
    if found is None:
        return _NOT_AUTHORIZED, "user name is not NAME|signMethod=hmacSha1 or hmacSha256,ts=SECONDS"
    if found["name"] != name:
        return _NOT_AUTHORIZED, f"user name is not the {'uuid' if unit else 'product id'}"
    if secret is None or password is None:
        return _NOT_AUTHORIZED, "there is no password"
    content = f"uuid={name},ts={found['ts']}".encode()
    expected = hmac.new(secret.reveal(), content, found["hash"].lower()).hexdigest().encode()
    if not hmac.compare_digest(expected, password.reveal()):
        return _NOT_AUTHORIZED, "password's signature is wrong"
    return 0, f"hmac{found['hash']}"


def rlink_may_publish(client: Unit | Applicant, topic: str) -> bool:
    """True where it is one of the client's own topics."""
    if isinstance(client, Applicant):
        return topic == f"register/v2/{client.path}/register"
    return topic in {f"rlink/v2/{client.path}/{each}" for each in ("report", "issue_response")}


def rlink_may_subscribe(client: Unit | Applicant, topic_filter: str) -> bool:
    """The same for subscriptions; wildcards are in no own topic."""
    if isinstance(client, Applicant):
        return topic_filter == f"register/v2/{client.path}/register_response"
    return topic_filter in {f"rlink/v2/{client.path}/{each}" for each in ("report_response", "issue")}
