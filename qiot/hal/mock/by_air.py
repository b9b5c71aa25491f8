"""What the mock's methods of the air have in common: their starts can be made to fail."""

from __future__ import annotations

from qiot.errors import HalError
from qiot.hal.contract import ListenContext
from qiot.sim.faults import Faults
from qiot.wifi_config.drivers.air import AirWatch
from qiot.wifi_config.drivers.air_listener import AirListener

__all__ = ["FailingStart"]


class FailingStart(AirListener):
    """A method whose start fails as often as the options say.

    Args:
        watch: Shared by all methods of the air.
        start_failures: Starts that fail.
    """

    def __init__(self, watch: AirWatch, start_failures: Faults) -> None:
        super().__init__(watch)
        self._start_failures = start_failures

    async def start(self, context: ListenContext) -> None:
        """Listen, where it is not said that this fails."""
        failure = self._start_failures.take()
        if failure is not None:
            raise HalError(f"{self.method} did not start: start_failure says so", reason=failure)
        await super().start(context)
