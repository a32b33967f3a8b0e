"""`bounced serve-map`: answer Postfix, which asks whether a recipient is to be left alone."""

import argparse
import asyncio
import contextlib
import signal
import sys

from bounced.commands import Exit, complain
from bounced.commands.asking import ask
from bounced.settings import Endpoint
from bounced.socketmap import NOT_FOUND, TRY_LATER, SocketMap
from bounced.store import Store, StoreUnavailable


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT."""
    try:
        endpoint = Endpoint.parse(args.listen)
    except ValueError:
        complain(f"{args.listen}: expected an address with port such as 127.0.0.1:10047")
        return Exit.USAGE
    when_down = TRY_LATER if args.when_down == "defer" else NOT_FOUND

    async def work(store: Store) -> int:
        return await _serve(store, endpoint, when_down)

    return ask(args, work)


async def _serve(store: Store, endpoint: Endpoint, when_down: str) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    responder = SocketMap(store.check, when_down=when_down)
    try:
        bound = endpoint._replace(port=await responder.listen(*endpoint))
    except OSError as error:
        complain(f"cannot listen on {endpoint}: {error.strerror or error}")
        return Exit.NO
    sys.stderr.write(f"bounced answers as socketmap:inet:{bound} from {store.url}\n")
    sys.stderr.flush()
    watch = asyncio.create_task(store.watch())
    try:
        await store.ping()
    except StoreUnavailable as error:  # it may come back, and until then the answer is `when_down`
        complain(f"the store does not answer: {error.cause}")
    await stop.wait()
    await responder.stop()
    watch.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watch
    return Exit.OK
