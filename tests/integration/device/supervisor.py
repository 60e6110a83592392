"""A supervisor process to be killed: starts a device, tells its process id, and waits.

Run as ``python -m tests.integration.device.supervisor <folder> <idle|busy>``.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from dispatcher.device.link import Device, DeviceConfig
from tests.fakes.faulty_runtime import HANGS
from tests.integration.device.conftest import FAULTY, make_batch, make_faulty


async def main(folder: Path, mode: str) -> None:
    """Hold a device until killed; in mode ``busy`` its process hangs in a batch."""
    device = Device(DeviceConfig(runtime=FAULTY, input_bytes=1 << 20, output_bytes=1 << 20))
    await device.start()
    await device.load(make_faulty(folder), timeout_s=10)
    batch = await make_batch(device, HANGS)
    if mode == "busy":
        task = asyncio.create_task(device.infer("tiny/1", batch.items, timeout_s=3600))
        await asyncio.sleep(0.2)
        assert not task.done()
    sys.stdout.write(f"{device.pid}\n")
    sys.stdout.flush()
    await asyncio.sleep(3600)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
