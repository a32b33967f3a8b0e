"""What a category means to a person: data for `explain`, from categories.toml. Pure."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass

from bounced.core.model import Category


@dataclass(frozen=True, slots=True)
class Advice:
    """One category in words."""

    meaning: str  # "the mailbox is full"
    who: str  # who has to act
    advice: str  # one sentence: what to do


def read(content: str) -> Mapping[Category, Advice]:
    """Return the advice for each of the fifteen categories; KeyError or TypeError when the TOML lacks some."""
    tables = tomllib.loads(content)
    return {category: Advice(**tables[category]) for category in Category}
