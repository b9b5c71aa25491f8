"""A bumble phone in a process of its own: ``python -m lab.tests.echo_phone TRANSPORT TEXT``."""

import asyncio
import sys

from bumble.device import Device
from bumble.hci import Address
from bumble.transport import open_transport

from lab.tests import echo_service


async def main(transport: str, text: str) -> None:
    async with await open_transport(transport) as (source, sink):
        phone = Device.with_hci("PHONE", Address("F5:F4:F3:F2:F1:F0"), source, sink)
        await phone.power_on()
        for answer in await echo_service.asked_by_bumble(phone, [text.encode()]):
            print(answer.decode())


asyncio.run(main(*sys.argv[1:]))
