"""What bounced is compared with: python -m benchmarks.end_to_end.peers KIND PORT [REDIS_PORT].

discard     stock aiosmtpd, which throws mail away; "discard-uvloop" on uvloop
afternoon   the daemon that one would write in an afternoon: aiosmtpd, the standard library's email, flufl.bounce, and
            one call of Redis for each failure
"""

import asyncio
import email
import sys

import uvloop
from aiosmtpd.smtp import SMTP
from flufl.bounce import all_failures
from redis.asyncio import Redis


class Discard:
    async def handle_DATA(self, _server, _session, _envelope):  # noqa: N802 - aiosmtpd's name
        return "250 OK"


class Afternoon:
    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def handle_DATA(self, _server, _session, envelope):  # noqa: N802 - aiosmtpd's name
        temporary, permanent = all_failures(email.message_from_bytes(envelope.content))
        for address in temporary | permanent:
            await self._redis.hincrby("bounces", address)
        return "250 OK"


async def serve(kind: str, port: int, redis_port: int) -> None:
    handler = Afternoon(Redis(port=redis_port)) if kind == "afternoon" else Discard()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(handler), "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    kind, *ports = sys.argv[1:]
    factory = uvloop.new_event_loop if kind == "discard-uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(serve(kind, *(int(port) for port in (*ports, "0")[:2])))
