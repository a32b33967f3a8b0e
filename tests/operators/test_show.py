"""Show: what is known of an address, and which report, rule and words made it so."""

import json

from bounced.core.naming import hidden_name
from bounced.core.policy import Change, What
from tests.operators.calling import call
from tests.operators.test_undo import BAD, GOOD, JANE, hard, record, soft, undo

SAID = {"diagnostic": "550 5.1.1 <jane@example.org>: gone\x1b[2J", "reporting_mta": "relay.example.net"}


def show(url, *words, form="plain"):
    return call("show", f"--set=redis.url={url}", f"--set=redis.key_form={form}", *words)


def test_every_change_is_explained(valkey):
    record(valkey, soft(JANE, "<m0@x>"), hard(JANE, "<m1@x>", **(GOOD | SAID)), Change(JANE, What.RELEASE))
    told = show(valkey, JANE).stdout
    for words in (
        "state        send",
        "rule         user-unknown",
        "soft bounce as full-mailbox",
        "hard bounce as invalid-mailbox",
        "released by hand",
        "diagnostic   550 5.1.1 <jane@example.org>: gone\\x1b[2J",
        "remote MTA   mx.example.com",
        "reported by  relay.example.net",
        "message      <m1@x>",
    ):
        assert words in told
    assert "\x1b" not in told


def test_in_json_it_is_one_object_with_all_of_it(valkey):
    record(valkey, hard(JANE, "<m1@x>", **(GOOD | SAID)), hard(JANE, "<m2@x>", **BAD))
    undo(valkey, "--rule", "bad-rule", "--yes")
    [line] = show(valkey, "--json", JANE).stdout.splitlines()
    told = json.loads(line)
    assert told["record"]["reason"] == "invalid-mailbox"
    assert [(event["what"], event["rule"], event["identity"]) for event in told["history"]] == [
        ("hard", "user-unknown", "<m1@x>"),
        ("hard", "bad-rule", "<m2@x>"),
        ("undo", "", ""),
    ]
    assert told["history"][2]["undoes"] == [told["history"][1]["id"]]
    assert told["history"][0]["diagnostic"] == SAID["diagnostic"]


def test_an_address_that_a_forwarder_hid_is_found_by_itself_and_by_its_name(valkey):
    name = hidden_name(JANE)
    record(valkey, hard(name, "m0", **GOOD))
    assert f"known as {name}" in show(valkey, JANE).stdout
    assert "hard bounce as invalid-mailbox" in show(valkey, JANE).stdout
    assert "hard bounce as invalid-mailbox" in show(valkey, name).stdout


def test_what_the_stream_has_forgotten_is_said(valkey, store):
    record(valkey, hard(JANE, "m0", **GOOD), hard("joe@example.org", "m0", **GOOD))
    store.xtrim("bounced:events", maxlen=1, approximate=False)
    assert "No event that is kept tells of it since" in show(valkey, JANE).stdout
    store.delete(f"bounced:addr:{JANE}")
    assert show(valkey, JANE).returncode == 1


def test_a_record_that_is_gone_is_told_by_its_events(valkey, store):
    record(valkey, hard(JANE, "m0", **GOOD))
    store.delete(f"bounced:addr:{JANE}", f"bounced:hard:{JANE}")
    told = show(valkey, JANE)
    assert told.returncode == 0
    assert "nothing is known any more" in told.stdout
    assert "hard bounce" in told.stdout
