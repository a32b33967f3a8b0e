"""The data that notices are read by: each mark is found by its own examples, and wrong data is named."""

from importlib.resources import files

import pytest

from bounced.core import marks
from bounced.core.marks import MarksError, Named

MARKS = marks.load(files("bounced.core").joinpath("notices.toml").read_text("utf-8"))


@pytest.mark.parametrize(
    ("mark", "example"),
    [
        pytest.param(mark, example, id=f"{mark.id}: {example}")
        for mark in MARKS.marks
        for example in mark.examples
    ],
)
def test_a_mark_finds_its_examples(mark, example):
    alone = marks.Marks([mark])
    if mark.role == "copy":
        assert alone.cut(f"above\n{example}\nbelow")[0] == "above\n"
    elif mark.role == "footer":
        assert alone.without_footers(f"above\n\n--\n{example}\nask us\n\nbelow") == "above\n\nbelow"
    elif mark.role == "closing":
        assert [*alone.closings(f"above\n{example}\nJane Doe")] == [len("above\n")]
    elif mark.role == "bystander":
        assert alone.named(example) == Named("")
    elif mark.role in marks.NAMES:
        named = alone.named(example)
        assert named is not None
        assert "@" in named.address
        assert named.is_label == (mark.role == "label")
    else:
        assert alone.says(example) == {mark.role}


def test_every_mark_has_an_example_and_a_name_of_its_own():
    assert all(mark.examples for mark in MARKS.marks)
    assert len({mark.id for mark in MARKS.marks}) == len(MARKS.marks)


@pytest.mark.parametrize(
    "letter",
    [
        "Hello Jane,\nsee you at the station at 5.\nJoe",
        "Your invoice of March",
        "",
        "The name lookup did not complete",
        "Ihre E-Mail wurde gelesen und beantwortet",
        "Votre facture ne peut attendre",
        "παράδοση χθες",
        "تم تسليم الطلب",
        "سفارش شما ارسال شد",
        "המשלוח הגיע אתמול",
        "ส่งสินค้าแล้วเมื่อวาน",
        "Chúng tôi đã gửi hàng",
        "Pesanan Anda sudah dikirim",
        "Objednávka bola doručená",
        "Paket je isporučen",
        "Пратката беше доставена",
        "Siunta toimitettu perille",
        "A csomagot kézbesítettük",
        "Comanda a fost livrată",
    ],
)
def test_letters_say_nothing(letter):
    assert MARKS.says(letter) == frozenset()


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("Recipient: <jane@example.org>", Named("jane@example.org", is_label=True)),
        ("user jané@example.org does not exist", Named("jané@example.org", rest="does not exist")),
        ("For assistance contact postmaster@example.org", Named("")),
        ("jane likes joe@example.org", None),
        ("Recipient: nobody@@", None),
    ],
)
def test_who_a_line_names(line, named):
    assert MARKS.named(line) == named


@pytest.mark.parametrize(
    ("text", "notice", "copy"),
    [
        ("failed\n--- Below this line is a copy of the message.\nSubject: x\n", "failed\n", "Subject: x\n"),
        (
            "failed\n\nReturn-Path: <a@b.example>\nSubject: x\n",
            "failed\n\n",
            "Return-Path: <a@b.example>\nSubject: x\n",
        ),
        ("failed, nothing returned", "failed, nothing returned", ""),
        ("-" * 2_000 + " Original message ----\nx", "-" * 2_000 + " Original message ----\nx", ""),
        # A mark only counts at the line that it opens.
        ("failed as\n1 below is a copy of\n", "failed as\n1 below is a copy of\n", ""),
    ],
)
def test_where_the_returned_message_begins(text, notice, copy):
    assert MARKS.cut(text) == (notice, copy)


@pytest.mark.parametrize(
    "paragraph",
    [
        "The message was scanned by our gateway, and a virus was found.",
        "Your mail has been scanned for viruses and was rejected: EICAR",
        "This message was checked by the spam filter and not delivered.",
        "scanned for viruses by mx.example.org: jane@example.org: no such user",
    ],
)
def test_what_a_gateway_found_in_this_message_is_no_footer(paragraph):
    assert MARKS.without_footers(f"Failed.\n\n{paragraph}\n") == f"Failed.\n\n{paragraph}\n"


@pytest.mark.parametrize(
    ("entry", "error"),
    [
        ('id = "a"\nrole = "guess"\npattern = "x"\nexamples = ["x"]', "mark a: role must be one of failed,"),
        ('id = "b"\nrole = "failed"\npattern = "("\nexamples = ["x"]', "mark b: "),
        ('role = "guess"', r"mark \(no id\)"),
    ],
)
def test_wrong_data_is_named(entry, error):
    with pytest.raises(MarksError, match=error):
        marks.load(f"[[mark]]\n{entry}\n")
