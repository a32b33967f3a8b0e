"""The tool that takes over IANA's registry of enhanced status codes, in both forms that the registry has."""

import csv
import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SPEC = importlib.util.spec_from_file_location("update_iana", ROOT / "tools" / "update_iana.py")
assert SPEC is not None
assert SPEC.loader is not None
update_iana = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(update_iana)

CSV = """\
Code,Sample Text,Associated basic status code,Description,Reference,Submitter,Change Controller
X.7.28,Mail flood detected,.,It appears to be part of a mail flood.,[draft-levine-mailbomb-header],J. L.,a@b.c
X.1.10,Recipient address has null MX,556,"This status code is returned when the associated\x20
address is marked as invalid using a null MX.",[RFC7505] (Standards Track); [RFC7504] (Standards Track),"J., M.",IESG
X.6.8,"UTF-8 string reply is required,
but not permitted by the SMTP client","252, 553, 550","This indicates that a reply
is required.",[RFC6531] (Standards track),J. Y.,ima@ietf.org
X.6.10,,,This is a duplicate of X.6.8 and is thus deprecated.,[RFC6531] (Standards track),,
X.7.25,Reverse DNS validation failed,550,The client failed.,"[RFC7372], Section 3.3 (Standards Track)",M. K.,IESG
"""
XML = """\
<?xml version='1.0' encoding='UTF-8'?>
<?xml-stylesheet type="text/xsl" href="smtp-enhanced-status-codes.xsl"?>
<registry xmlns="http://www.iana.org/assignments" id="smtp-enhanced-status-codes">
  <title>Simple Mail Transfer Protocol (SMTP) Enhanced Status Codes Registry</title>
  <updated>2024-12-06</updated>
  <registry id="smtp-enhanced-status-codes-1">
    <title>Class Sub-Codes</title>
    <record>
      <code>2.XXX.YYY</code>
      <summary>Success</summary>
      <reference><xref type="rfc" data="rfc3463"/> (Standards track)</reference>
    </record>
  </registry>
  <registry id="smtp-enhanced-status-codes-3">
    <title>Enumerated Status Codes</title>
    <record>
      <code>X.7.28</code>
      <sample>Mail flood detected</sample>
      <basic_code>.</basic_code>
      <description>The message appears to be part of a mail flood.</description>
      <reference><xref type="draft" data="draft-levine-mailbomb-header"/></reference>
    </record>
    <record>
      <code>X.1.10</code>
      <sample>Recipient address has null MX</sample>
      <basic_code>556</basic_code>
      <description>This status code is returned when the associated
address is marked as invalid using a null MX.</description>
      <reference><xref type="rfc" data="rfc7505"/> (Standards Track); <xref type="rfc" data="rfc7504"/></reference>
    </record>
    <record>
      <code>X.6.8</code>
      <sample>UTF-8 string reply is required,
but not permitted by the SMTP client</sample>
      <reference><xref type="rfc" data="rfc6531"/> (Standards track)</reference>
    </record>
    <record>
      <code>X.6.10</code>
      <description>This is a duplicate of X.6.8 and is thus deprecated.</description>
      <reference><xref type="rfc" data="rfc6531"/> (Standards track)</reference>
    </record>
    <record>
      <code>X.7.25</code>
      <sample>Reverse DNS validation failed</sample>
      <reference><xref type="rfc" data="rfc7372"/>, Section 3.3 (Standards Track)</reference>
    </record>
  </registry>
</registry>
"""
ROWS = [
    ("X.7.28", "Mail flood detected", "draft-levine-mailbomb-header"),
    ("X.1.10", "Recipient address has null MX", "RFC 7505, RFC 7504"),
    ("X.6.8", "UTF-8 string reply is required, but not permitted by the SMTP client", "RFC 6531"),
    ("X.6.10", "This is a duplicate of X.6.8 and is thus deprecated.", "RFC 6531"),
    ("X.7.25", "Reverse DNS validation failed", "RFC 7372"),
]


@pytest.mark.parametrize("text", [CSV, XML], ids=["CSV", "XML"])
def test_the_registry_is_read_in_both_of_its_forms(text):
    assert list(update_iana.rows(text)) == ROWS


@pytest.mark.parametrize("text", ["", "Value,Description\n1,One\n", XML.replace("codes-3", "codes-2")])
def test_another_registry_is_refused(text):
    with pytest.raises(ValueError, match="smtp-enhanced-status-codes-3"):
        list(update_iana.rows(text))


def test_what_is_known_of_a_code_is_kept_and_a_new_one_is_to_be_decided():
    known = [{"code": "X.1.10", "says": "something"}, {"code": "X.9.9", "says": "nothing"}]
    says = {row["code"]: row["says"] for row in update_iana.merged(ROWS, known)}
    assert list(says) == ["X.1.10", "X.6.8", "X.6.10", "X.7.25", "X.7.28"]
    assert says["X.1.10"] == "something"
    assert says["X.7.28"] == "undecided"


def test_the_file_is_written_anew(tmp_path, monkeypatch):
    ours = tmp_path / "iana.csv"
    ours.write_bytes(update_iana.OURS.read_bytes())
    monkeypatch.setattr(update_iana, "OURS", ours)
    registry = tmp_path / "registry.csv"
    registry.write_text("\ufeff" + CSV, "utf-8")
    update_iana.main(registry)
    with ours.open(newline="") as file:
        table = {row["code"]: (row["description"], row["reference"]) for row in csv.DictReader(file)}
    with update_iana.OURS.open(newline="") as file:
        assert list(csv.DictReader(file))
    assert table == {code: (description, reference) for code, description, reference in ROWS}


def test_our_table_is_the_registry_s():
    """What these rows say is what ours does: the sample is the registry's own wording."""
    with (ROOT / "bounced" / "core" / "rules" / "iana.csv").open(newline="") as file:
        ours = {row["code"]: (row["description"], row["reference"]) for row in csv.DictReader(file)}
    assert {code: ours[code] for code, *_ in ROWS} == {code: tuple(rest) for code, *rest in ROWS}
