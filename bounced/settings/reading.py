"""Command line over environment over file over default, checked as a whole.

Every error is found, not just the first, and says where the value came from.
"""

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar, get_args, get_origin

import msgspec
from msgspec import Struct

from bounced.core.model import Category
from bounced.core.policy import Period
from bounced.settings.schema import Durability, Settings, Tls
from bounced.settings.values import Endpoint, Size, mask

DEFAULT_FILE = Path("/etc/bounced/bounced.toml")
ENVIRONMENT_PREFIX = "BOUNCED_"

T = TypeVar("T", bound=Struct)


class Value(NamedTuple):
    """What somebody wrote, and where."""

    raw: object
    origin: str


@dataclass(frozen=True, slots=True)
class Effective:
    """The settings, and for each key that is not at its default where it was set."""

    settings: Settings
    origins: Mapping[str, str]


class SettingsError(Exception):
    """The settings cannot be used. `problems` holds a line for each reason."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


def load(file: Path | None = None, assignments: Sequence[str] = ()) -> Effective:
    """Read the settings: `file` (None: the default one, if there is one), the environment, `assignments`.

    An assignment is "smtp.limits.recipients=50". Raises SettingsError.
    """
    problems: list[str] = []
    values: dict[str, Value] = {}
    if file is not None or DEFAULT_FILE.exists():
        values |= _from_file(file or DEFAULT_FILE, problems)
    values |= _from_environment(os.environ)
    values |= _from_assignments(assignments, problems)
    unknown = values.keys() - KEYS.keys()
    problems += [f"{values[key].origin}: {key}: no such setting{_did_you_mean(key)}" for key in unknown]
    settings = _build(Settings, "", values, problems)
    if settings is not None:
        problems += _contradictions(settings)
    if problems or settings is None:
        raise SettingsError(sorted(problems))
    return Effective(settings, {key: value.origin for key, value in values.items()})


def _contradictions(settings: Settings) -> Iterator[str]:
    """Yield what no single setting shows."""
    yield from _of_what_listens(settings)
    yield from _of_tls(settings)
    yield from _of_redis(settings)
    if settings.return_path_domains:
        for one in settings.return_path.modes:
            if one.domain not in settings.return_path_domains:
                yield f"return_path.modes: {one.domain} is none of return_path_domains"
    limits = settings.smtp.limits
    if 0 < limits.message_memory < limits.message_size:
        yield (
            f"smtp.limits.message_memory: {limits.message_memory} is less than one message of"
            f" smtp.limits.message_size, {limits.message_size}: a large one would never be taken"
        )


def _of_what_listens(settings: Settings) -> Iterator[str]:
    incoming = settings.smtp.listen + settings.smtp.lmtp
    exposed = [str(endpoint) for endpoint in incoming if not endpoint.is_loopback]
    if exposed and not settings.return_path_domains:
        yield (
            f"return_path_domains: expected the domains of your return paths, as smtp.listen or smtp.lmtp "
            f"opens {', '.join(exposed)} to other machines; without any, mail for every domain would be taken"
        )
    every = incoming + settings.metrics.listen
    for endpoint in sorted({one for one in every if every.count(one) > 1}):
        if endpoint.port or endpoint.is_unix:
            yield f"smtp.listen, smtp.lmtp, metrics.listen: {endpoint} is named twice; each needs its own"


def _of_tls(settings: Settings) -> Iterator[str]:
    tls = settings.smtp.tls
    if (tls.certificate is None) != (tls.key is None):
        yield "smtp.tls: expected both certificate and key, or neither"
    if tls.required and tls.certificate is None:
        yield "smtp.tls.required: expected smtp.tls.certificate and smtp.tls.key, without which there is no TLS"


def _of_redis(settings: Settings) -> Iterator[str]:
    redis = settings.redis
    if redis.url == "embedded":
        if redis.durability is Durability.WAIT_REPLICAS:
            yield 'redis.durability: the embedded store has no replicas: expected "always" or "everysec"'
    elif redis.tls != Tls() and not redis.url.startswith("rediss"):
        yield "redis.tls: expected redis.url to begin with rediss, as nothing is encrypted without"
    if (redis.tls.cert_file is None) != (redis.tls.key_file is None):
        yield "redis.tls: expected both cert_file and key_file, or neither"


def shown(effective: Effective) -> Iterator[tuple[str, str, str]]:
    """Yield every key, its value as TOML without secrets, and where it was set."""
    for key in KEYS:
        value: Any = effective.settings
        for name in key.split("."):
            value = value.get(Category(name)) if isinstance(value, dict) else getattr(value, name)
        if value is not None:
            yield key, _toml(value), effective.origins.get(key, "default")


def _toml(value: object) -> str:
    if isinstance(value, Endpoint):
        return f'"{value}"'
    if isinstance(value, tuple):
        return f"[{', '.join(_toml(item) for item in value)}]"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, int) and not isinstance(value, Size):
        return str(value).lower()  # true and false are integers too
    if isinstance(value, Period):
        return f'"{value.months} months"' if value.months else f'"{value.days} days"'
    return msgspec.json.encode(mask(str(value))).decode()


def _keys(struct: type[Struct], path: str) -> Iterator[tuple[str, Any]]:
    for field in msgspec.structs.fields(struct):
        base, _ = _unwrap(field.type)
        if isinstance(base, type) and issubclass(base, Struct):
            yield from _keys(base, f"{path}{field.name}.")
        elif get_origin(base) is dict:
            yield from ((f"{path}{field.name}.{member}", get_args(base)[1]) for member in get_args(base)[0])
        else:
            yield f"{path}{field.name}", field.type


def _unwrap(annotation: object) -> tuple[Any, str]:
    """Return the type without its Annotated, and the words for what it expects."""
    if get_origin(annotation) is Annotated:
        base, meta = get_args(annotation)[:2]
        return base, meta.description
    return annotation, ""


KEYS = dict(_keys(Settings, ""))


def _from_file(file: Path, problems: list[str]) -> dict[str, Value]:
    try:
        tree = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        problems.append(f"{file}: {error.strerror}")
    except ValueError as error:  # not TOML, or not UTF-8
        problems.append(f"{file}: {error}")
    else:
        return {key: Value(value, str(file)) for key, value in _flatten(tree, "")}
    return {}


def _flatten(tree: Mapping[str, object], path: str) -> Iterator[tuple[str, object]]:
    for name, value in tree.items():
        if isinstance(value, dict) and (not value or f"{path}{name}" not in KEYS):
            yield from _flatten(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value


def _from_environment(environment: Mapping[str, str]) -> dict[str, Value]:
    """Take BOUNCED_SECTION__KEY; without "__" only what is a key: Kubernetes sets BOUNCED_PORT and more."""
    names = {key.upper().replace(".", "__").replace("-", "_"): key for key in KEYS}
    values = {}
    for variable, raw in environment.items():
        name = variable.removeprefix(ENVIRONMENT_PREFIX)
        if name != variable and (name in names or "__" in name):
            key = names.get(name, name.lower().replace("__", "."))
            values[key] = Value(raw, variable)
    return values


def _from_assignments(assignments: Sequence[str], problems: list[str]) -> dict[str, Value]:
    values = {}
    for assignment in assignments:
        key, equals, raw = assignment.partition("=")
        if equals:
            values[key.strip()] = Value(raw.strip(), "command line")
        else:
            problems.append(f"command line: {assignment}: expected KEY=VALUE")
    return values


def _did_you_mean(key: str) -> str:
    found = difflib.get_close_matches(key, KEYS, n=1)
    if not found:  # the right name under the wrong section
        last = {name.rpartition(".")[2]: name for name in KEYS}
        found = [
            last[name] for name in difflib.get_close_matches(key.rpartition(".")[2], last, n=1, cutoff=0.8)
        ]
    return f"; did you mean {found[0]}?" if found else ""


def _build(struct: type[T], path: str, values: Mapping[str, Value], problems: list[str]) -> T | None:
    """Make a struct of what was set under `path`; None, with the reasons in `problems`, when it cannot be."""
    found: dict[str, Any] = {}
    before = len(problems)
    for field in msgspec.structs.fields(struct):
        key = f"{path}{field.name}"
        base, expected = _unwrap(field.type)
        if isinstance(base, type) and issubclass(base, Struct):
            found[field.name] = _build(base, f"{key}.", values, problems)
        elif get_origin(base) is dict:
            members, kind = get_args(base)
            found[field.name] = {
                member: _convert(kind, expected, f"{key}.{member}", values[f"{key}.{member}"], problems)
                for member in members
                if f"{key}.{member}" in values
            }
        elif key in values:
            found[field.name] = _convert(field.type, expected, key, values[key], problems)
    return struct(**found) if len(problems) == before else None


def _convert(annotation: object, expected: str, key: str, value: Value, problems: list[str]) -> object:
    try:
        return _read(annotation, value.raw)
    except (TypeError, ValueError, msgspec.ValidationError):
        got = msgspec.json.encode(value.raw, enc_hook=str).decode()
        problems.append(f"{value.origin}: {key}: expected {expected}, got {mask(got)}")
        return None


def _read(annotation: Any, raw: object) -> Any:  # noqa: ANN401 - a type, and a value of it
    base, _ = _unwrap(annotation)
    if hasattr(base, "parse"):
        return base.parse(raw)
    if get_origin(base) is tuple:
        # The environment and the command line write lists with commas; a file that does so is understood too.
        items = [item for item in raw.split(",") if item.strip()] if isinstance(raw, str) else raw
        items = msgspec.convert(items, Annotated[list[object], get_args(annotation)[1]])
        return tuple(_read(get_args(base)[0], item) for item in items)
    return msgspec.convert(raw, annotation, strict=False, dec_hook=lambda kind, given: kind(given))
