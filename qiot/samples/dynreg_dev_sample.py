"""Dynamic registration alone: get this device's secret or certificate and save it."""

from __future__ import annotations

import argparse
import asyncio
import sys
from contextlib import AsyncExitStack

from qiot.api import make_binder
from qiot.device_info import save_device_info
from qiot.log import get_logger
from qiot.samples.options import add_cloud_options, cloud_options, identity, main, wants_local_cloud
from qiot.samples.surroundings import LocalSide

log = get_logger()


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m qiot.samples.dynreg_dev_sample",
        description="Register this device dynamically and save what the cloud gave in its device_info.json.",
        epilog="Exit code 0: registered, or it was before. 1: failed. 2: usage or configuration.",
    )
    add_cloud_options(parser)
    return parser


async def run(arguments: argparse.Namespace) -> int:
    """Register once."""
    info = identity(arguments)
    if not info.needs_registration:
        print(f"{info.product_id}/{info.device_name} has its secret already: nothing to do")
        return 0
    async with AsyncExitStack() as stack:
        options = cloud_options(arguments)
        if wants_local_cloud(arguments, info):
            side = await stack.enter_async_context(LocalSide(info, arguments.device_info))
            options = side.options(options)
        registered = await make_binder(info, options).register()
    if arguments.device_info is None:
        print(f"{info.product_id}/{info.device_name} is registered; the demo identity is not saved")
        return 0
    await asyncio.to_thread(save_device_info, arguments.device_info, registered)
    print(f"{info.product_id}/{info.device_name} is registered; saved in {arguments.device_info}")
    return 0


if __name__ == "__main__":
    sys.exit(main(make_parser(), run))
