"""Lists of suppressed addresses go out and in: ours, those of other systems, and what is none."""

import csv
import io
import json
import re

import pytest
import redis

from bounced import lists
from bounced.core.model import Category
from bounced.core.naming import KeyForm, hidden_name
from bounced.core.policy import Change, What
from tests.daemon.running import run
from tests.senders.test_client import hard, record, soft

JANE, JOE, ANN = "jane@example.org", "joe@example.org", "ann@example.org"
SAID = "550 5.1.1 <jane@example.org>: Recipient address rejected: User unknown"
AT = 1_750_000_000  # 2025-06-15T15:06:40Z

SES_ANSWER = json.dumps(
    {
        "SuppressedDestinationSummaries": [
            {"EmailAddress": JANE, "Reason": "BOUNCE", "LastUpdateTime": "2025-06-15T15:06:40+00:00"},
            {"EmailAddress": JOE, "Reason": "COMPLAINT", "LastUpdateTime": "2025-06-15T15:06:40+00:00"},
        ],
        "NextToken": "x",
    },
    indent=4,
)
SES_BULK = f"{JANE},BOUNCE\n{JOE}, COMPLAINT\n"
SES_LINES = (
    f'{{"emailAddress":"{JANE}","reason":"BOUNCE"}}\n{{"emailAddress":"{JOE}","reason":"COMPLAINT"}}\n'
)
SENDGRID_ANSWER = json.dumps(
    [
        {"created": AT, "email": JANE, "reason": SAID, "status": "5.1.1"},
        {"created": AT, "email": JOE, "reason": "Error dialing remote address", "status": "4.0.0"},
    ]
)
SENDGRID_CSV = f'status,reason,email,created\n5.1.1,"{SAID}",{JANE},{AT}\n4.0.0,odd words,{JOE},{AT}\n'
MAILGUN_ANSWER = json.dumps(
    {
        "items": [
            {"address": JANE, "code": "550", "error": SAID, "created_at": "Sun, 15 Jun 2025 15:06:40 UTC"},
            {"address": JOE, "code": "550", "error": "", "created_at": "Sun, 15 Jun 2025 15:06:40 UTC"},
        ],
        "paging": {"first": "https://api.mailgun.net/v3/x", "next": "https://api.mailgun.net"},
    }
)
MAILGUN_CSV = (
    f'address,code,error,created_at\n{JANE},550,"{SAID}","Sun, 15 Jun 2025 15:06:40 UTC"\n{JOE},550,,\n'
)
POSTMARK_ANSWER = json.dumps(
    {
        "Suppressions": [
            {
                "EmailAddress": JANE,
                "SuppressionReason": "HardBounce",
                "Origin": "Recipient",
                "CreatedAt": "2025-06-15T11:06:40-04:00",
            },
            {
                "EmailAddress": JOE,
                "SuppressionReason": "SpamComplaint",
                "Origin": "Recipient",
                "CreatedAt": "2025-06-15T11:06:40-04:00",
            },
        ]
    }
)
PLAIN_CSV = f"Date,E-mail,Category\n2025-06-15,{JANE},invalid-mailbox\n,{JOE},\n"
LISTS = {
    "SES, answer": SES_ANSWER,
    "SES, bulk file": SES_BULK,
    "SES, bulk file of JSON": SES_LINES,
    "SendGrid, answer": SENDGRID_ANSWER,
    "SendGrid, CSV": SENDGRID_CSV,
    "Mailgun, answer": MAILGUN_ANSWER,
    "Mailgun, two answers": MAILGUN_ANSWER.replace(JOE, ANN)
    + "\n"
    + MAILGUN_ANSWER.replace(JANE, "x@example.org"),
    "Mailgun, CSV": MAILGUN_CSV,
    "Postmark, answer": POSTMARK_ANSWER,
    "CSV": PLAIN_CSV,
    "CSV of a spreadsheet": "\ufeff" + PLAIN_CSV.replace("\n", "\r\n"),
    "lines": f"{JANE}\n{JOE}\n",
}


@pytest.mark.parametrize("size", [1, 7, 1 << 16])
@pytest.mark.parametrize("name", LISTS)
def test_every_form_is_read_however_it_is_cut(name, size):
    text = LISTS[name]
    entries = list(lists.read(text[i : i + size] for i in range(0, len(text), size)))
    assert entries[0].address == JANE
    assert JOE in [entry.address for entry in entries]
    assert len(entries) == (4 if "two" in name else 2)
    if "SES, bulk" not in name and name != "lines":
        assert entries[0].at in {AT, AT - AT % 86400}


@pytest.mark.parametrize("name", ["SendGrid, answer", "SendGrid, CSV", "Mailgun, answer", "Mailgun, CSV"])
def test_what_the_server_said_is_read(name):
    [first, *_] = lists.read([LISTS[name]])
    assert first.said == SAID


@pytest.mark.parametrize(
    "name", ["SES, answer", "SES, bulk file", "SES, bulk file of JSON", "Postmark, answer"]
)
def test_who_complained_is_told_from_who_bounced(name):
    assert [entry.asked for entry in lists.read([LISTS[name]])] == [False, True]


@pytest.mark.parametrize(
    "text",
    [
        "<html>",
        "name,phone\nJane,1\n",
        '{"error": "unauthorized"',
        "[1, 2]",
        '[{"email": "a@b"',
        "[" * 100_000,
    ],
)
def test_what_is_no_list_is_said_to_be_none(text):
    with pytest.raises(lists.NotAList):
        list(lists.read([text]))


def test_memory_is_bounded():
    with pytest.raises(lists.NotAList):
        list(lists.read(["address\n", *("x" * 1000 for _ in range(5000))]))
    with pytest.raises(lists.NotAList):
        list(lists.read(["[", '"', *("x" * 1000 for _ in range(5000))]))


def command(url: str, *words: str, stdin: str = "", form: str = "plain"):
    return run([words[0], f"--set=redis.url={url}", f"--set=redis.key_form={form}", *words[1:]], stdin=stdin)


@pytest.fixture
def store(valkey):
    with redis.Redis.from_url(valkey, decode_responses=True) as client:
        yield client


@pytest.mark.parametrize("name", LISTS)
def test_an_import_suppresses_and_says_what_it_did(name, valkey, store):
    dry = command(valkey, "import", "--dry-run", "-", stdin=LISTS[name])
    assert dry.returncode == 0, dry.stderr
    assert store.keys("*") == []
    for _ in range(2):
        done = command(valkey, "import", "-", stdin=LISTS[name])
        assert done.stdout == dry.stdout
        assert store.exists(f"bounced:hard:{JANE}", f"bounced:hard:{JOE}") == 2
    if "SendGrid" in name or "Mailgun" in name:
        known = store.hgetall(f"bounced:addr:{JANE}")
        assert (known["category"], known["hard_total"], known["last_at"]) == ("invalid-mailbox", "1", str(AT))
    if "SES" in name or "Postmark" in name:
        assert store.expiretime(f"bounced:hard:{JOE}") > 250_000_000_000


def test_what_is_no_address_is_named_and_the_rest_is_done(valkey, store):
    done = command(valkey, "import", "-", stdin=f"email\n{JANE}\nnonsense\x1b[2J\n{JOE}\n")
    assert done.returncode == 1
    assert r"entry 2: 'nonsense\x1b[2J' is not an address" in done.stderr
    assert re.search(r"1 +not understood", done.stdout)
    assert store.exists(f"bounced:hard:{JANE}", f"bounced:hard:{JOE}") == 2


FULL = [
    hard(JANE),
    *(soft(JOE, f"m{n}") for n in range(5)),
    Change(ANN, What.SUPPRESS, until=4_000_000_000, reason='asked us to, "please"'),
    hard(hidden_name("x@example.org")),
    hard("x" * 400 + "@example.org"),
    hard('"jane doe"@example.org'),
    hard("jäne@bücher.example"),
]


@pytest.mark.parametrize("format_", ["csv", "jsonl"])
def test_a_store_that_is_gone_exports_nothing_not_even_a_header(format_):
    done = run(["export", "--format", format_, "--set=redis.url=redis://127.0.0.1:1/0"])
    assert (done.returncode, done.stdout) == (69, "")
    assert "the store does not answer" in done.stderr


@pytest.mark.parametrize("form", KeyForm)
@pytest.mark.parametrize("format_", ["csv", "jsonl"])
def test_what_is_exported_and_imported_is_the_same(form, format_, valkey, store):
    record(valkey, *FULL, form=form)
    before = {key: store.get(key) for key in store.keys("bounced:hard:*")}
    reasons = {key: store.hget(key, "reason") for key in store.keys("bounced:addr:*")}
    exported = command(valkey, "export", "--format", format_, form=form).stdout
    assert len(before) == 7
    store.flushall()
    done = command(valkey, "import", "-", stdin=exported, form=form)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {key: store.get(key) for key in store.keys("bounced:hard:*")} == before
    assert {key: store.hget(key, "reason") for key in store.keys("bounced:addr:*")} == reasons
    again = command(valkey, "export", "--format", format_, form=form).stdout
    assert sorted(addresses(again)) == sorted(addresses(exported))


def addresses(exported: str) -> list[str]:
    if exported.startswith("{"):
        return [json.loads(line)["address"] for line in exported.splitlines()]
    return [line["address"] for line in csv.DictReader(io.StringIO(exported))]


def test_many_are_exported_whole(valkey):
    record(valkey, *(hard(f"a{n}@example.org") for n in range(5000)))
    assert set(addresses(command(valkey, "export").stdout)) == {f"a{n}@example.org" for n in range(5000)}


def test_suppress_by_hand(valkey, store):
    done = command(valkey, "suppress", "Jane@Example.org", "--until", "2099-12-31", "--reason", "asked us to")
    assert done.stdout == f"{JANE}: rests until 2100-01-01T00:00:00Z\n"
    assert store.hget(f"bounced:addr:{JANE}", "reason") == "asked us to"
    assert command(valkey, "suppress", JOE).returncode == 0
    assert store.exists(f"bounced:hard:{JOE}")


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["suppress", "jane"], 64),
        (["suppress", JANE, "--until", "2001-01-01"], 64),
        (["suppress", JANE, "--until", "soon"], 64),
        (["import", "/none.csv"], 66),
    ],
)
def test_what_goes_wrong_has_its_status(valkey, words, status):
    done = command(valkey, *words)
    assert done.returncode == status
    assert "Traceback" not in done.stderr


def test_a_category_of_ours_is_taken(valkey, store):
    command(valkey, "import", "-", stdin=PLAIN_CSV)
    assert store.hget(f"bounced:addr:{JANE}", "category") == Category.INVALID_MAILBOX
