"""`bounced snippets`: the lines that make a sender ask, with the settings' own prefix, host and port."""

import argparse
import re
from importlib.resources import files
from urllib.parse import urlsplit

from bounced import settings
from bounced.commands import Exit, complain, say
from bounced.commands.asking import ask
from bounced.core.naming import KeyForm
from bounced.store import Store


def run(args: argparse.Namespace) -> int:
    """Print the template of that sender, filled in."""
    [template] = [
        file for file in files("bounced.snippets").iterdir() if file.name.startswith(f"{args.sender}.")
    ]

    async def work(store: Store) -> int:
        redis = settings.load(args.config, args.set).settings.redis
        parts = urlsplit(store.url)
        if parts.scheme != "redis" or "," in parts.netloc or "@" in str(redis.url):
            complain("redis.url is more than a host and a port: add what is missing, such as password or TLS")
        db = parts.path.strip("/") or "0"
        values = {
            "prefix": redis.prefix,
            "key_form": redis.key_form,
            "url": store.url,
            "host": parts.netloc.split(",")[0].rpartition(":")[0] or "127.0.0.1",
            "port": parts.netloc.split(",")[0].rpartition(":")[2] or "6379",
            "db": db,
            "db_length": str(len(db)),
        }
        say(filled(template.read_text("utf-8"), redis.key_form, values))
        return Exit.OK

    return ask(args, work, creates=True)


def filled(template: str, form: KeyForm, values: dict[str, str]) -> str:
    """Fill in a template.

    A line that begins with the name of a key form in brackets is only for stores with that form; `@name@` stands
    for a value.
    """
    lines = []
    for line in template.splitlines():
        only = re.match(r"\[(plain|sha256)\]", line)
        if only is None or only[1] == form:
            lines.append(line.removeprefix(f"[{form}]"))
    return re.sub(r"@(\w+)@", lambda found: values[found[1]], "\n".join(lines))
