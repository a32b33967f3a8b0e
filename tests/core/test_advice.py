"""Every category says who has to act and what to do."""

from importlib.resources import files

from bounced.core import advice
from bounced.core.model import Category

ADVICE = advice.read(files("bounced.core").joinpath("categories.toml").read_text("utf-8"))


def test_every_category_has_a_sentence_of_advice():
    assert set(ADVICE) == set(Category)
    assert [
        category for category, one in ADVICE.items() if not (one.meaning and one.advice.endswith("."))
    ] == []


def test_who_has_to_act_is_one_of_the_parties():
    parties = ("sender", "recipient", "recipient's administrator", "network")
    assert {part for one in ADVICE.values() for part in one.who.split(", or ")} <= set(parties)
