"""A small day of benchmarks/day.py: its outage is undone to the address, and what was known before stays."""

from benchmarks import day
from tests.operators.test_undo import counts

REPORTS = 2000


def test_the_outage_is_undone_and_nothing_else(valkey, tmp_path, capsys):
    before, after, said = day.run(valkey, REPORTS, tmp_path, tmp_path)
    alarms = capsys.readouterr().out
    assert "raised   provider-outage  other university.example" in alarms
    told = counts(said)
    students = {address for address in before if address.startswith("student")}
    gone = set(day.gone_before(REPORTS))
    lifted = before - after
    assert gone <= before
    assert gone <= after
    # Who was refused in the outage, but for those who had been gone before; each student has one report.
    assert len(students - gone) > REPORTS // 10 - len(gone) - 1
    assert students - gone <= lifted
    assert all(address.endswith(f"@{day.OUTAGE}") for address in lifted)
    assert told["may be sent to again"] == len(lifted)
    assert told["of them at rest before"] - told["of them at rest now"] == len(lifted)
    for name in ("day.html", "undone.html"):
        assert day.OUTAGE in (tmp_path / name).read_text()
