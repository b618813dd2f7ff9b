#!/usr/bin/env python3
"""The line between the nodes and the hub, which the demo can cut: a TCP forwarder that closes its
connections, and refuses new ones, while a file named `cut` lies beside its socket's log.

Usage: line.py LISTEN_PORT HUB_PORT CUT_FILE
"""
import asyncio
import os
import sys

LISTEN, HUB, CUT = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
live = set()


async def pump(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


async def accept(reader, writer):
    if os.path.exists(CUT):
        writer.close()
        return
    try:
        hub_reader, hub_writer = await asyncio.open_connection("127.0.0.1", HUB)
    except OSError:
        writer.close()
        return
    pair = (writer, hub_writer)
    live.add(pair)
    await asyncio.gather(pump(reader, hub_writer), pump(hub_reader, writer))
    live.discard(pair)


async def main():
    server = await asyncio.start_server(accept, "127.0.0.1", LISTEN)
    async with server:
        while True:
            await asyncio.sleep(0.1)
            if os.path.exists(CUT):
                for pair in list(live):
                    for writer in pair:
                        writer.transport.abort()


asyncio.run(main())
