"""What the C SDK's sample does with a bound device: ask for its status, report, carry out controls."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Mapping
from typing import Any

from qiot.cloud.tencent.thing import Thing
from qiot.device_info import DeviceInfo
from qiot.errors import CloudError
from qiot.log import get_logger
from qiot.model import Reason, Step

__all__ = ["demo"]

log = get_logger()


async def demo(thing: Thing, info: DeviceInfo, *, loop: bool) -> bool:
    """Get the status, then report; with `loop` again and again, until the connection is lost.

    Returns:
        True where the cloud answered every time.
    """
    state: dict[str, Any] = {"power_switch": 0, "color": 0, "brightness": 0, "name": info.device_name}

    async def control(params: Mapping[str, Any]) -> int:
        state.update(params)
        return 0

    thing.on_control = control
    interrupt = asyncio.Event()
    if loop:  # Ctrl-C is how a loop ends well
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, interrupt.set)
    try:
        async with thing:
            answered = [await _tried(thing.get_status()), await _tried(thing.report(state))]
            while loop and not await _is_set(interrupt, within=1.0):
                state["brightness"] = (state["brightness"] + 1) % 100
                await _tried(thing.report(state))
    except CloudError as error:
        log.warning(f"the demo ended: {error.failure(Step.BOUND)}")
        return False
    finally:
        if loop:
            asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)
    return all(answered)


async def _is_set(event: asyncio.Event, *, within: float) -> bool:
    try:
        async with asyncio.timeout(within):
            return await event.wait()
    except TimeoutError:
        return False


async def _tried(request: Awaitable[object]) -> bool:
    """A cloud that does not answer properties is worth a warning: the device is connected all the same."""
    try:
        await request
    except CloudError as error:
        if error.reason is Reason.MQTT_LOST:
            raise
        log.warning(f"bound, but {error}. {error.hint}")
        return False
    return True
