"""The books against what the entries give: in any order, late or twice, and in little memory."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hub.auditing.bookcheck import BookCheck
from hub.auditing.refold import LogWrong
from hub.ledger.books import BookRow, ShedRow, SlotEnergyRow, SlotRow

HOUR = 3_600_000
SHED = ShedRow("n1", "heat", 5, None, "bob", 9, 0, True, "supply", 3)
METERS = tuple(f"m{n}" for n in range(20))


def slot(number: int) -> SlotRow:
    start_ms = number * HOUR
    return SlotRow(start_ms, start_ms + HOUR, number, "complete", "c", "settled", 0, 0, 0, 0, None)


def energy(number: int, meter: str, quality: str = "metered") -> SlotEnergyRow:
    return SlotEnergyRow(number * HOUR, meter, "ann", 7, 0, quality)


def rows_of(number: int) -> list[BookRow]:
    return [slot(number), *(energy(number, meter) for meter in METERS)]


def fault(books: list[BookRow], *given: list[BookRow]) -> str:
    """What a check of these books finds, when entries give these rows."""
    check = BookCheck(books)
    try:
        for rows in given:
            check.explain(rows)
        check.finish()
    except LogWrong as wrong:
        return str(wrong)
    return ""


def test_books_as_the_entries_give_them() -> None:
    assert fault([]) == ""
    assert fault([], []) == ""
    assert fault([*rows_of(0), *rows_of(1)], rows_of(0), rows_of(1)) == ""


def test_the_order_of_the_books_does_not_matter() -> None:
    books = [*rows_of(1), *rows_of(0)]
    assert fault(books[::-1], rows_of(0), rows_of(1)) == ""
    assert fault(books, rows_of(0), rows_of(1)) == ""


def test_a_row_that_a_later_entry_corrects() -> None:
    first, last = energy(0, "m0", "estimated"), energy(0, "m0", "corrected")
    assert fault([slot(0), last], [slot(0), first], [last]) == ""
    assert fault([slot(0), last], [slot(0), first, last]) == ""
    assert fault([slot(0), last, slot(1)], [slot(0), first], [slot(1)], [last]) == ""
    assert fault([slot(0), first], [slot(0), first], [last]).startswith("the books lack 1 rows")
    assert fault([slot(0), last], [slot(0), first]).startswith("the books say SlotEnergyRow(")


def test_a_load_that_was_shed_and_fed_again() -> None:
    done = SHED._replace(until_ms=9, wanted_uwh=4)
    assert fault([done, slot(0)], [SHED], [done], [slot(0)]) == ""
    assert fault([SHED, slot(0)], [SHED], [slot(0)]) == ""
    assert fault([SHED, slot(0)], [SHED], [slot(0)], [done]) != ""


@pytest.mark.parametrize("place", range(3))
def test_one_row_too_many_too_few_or_another_one(place: int) -> None:
    rows = rows_of(0)
    fewer = [*rows[:place], *rows[place + 1 :]]
    assert fault(fewer, rows).startswith("the books lack 1 rows, the first one is ")
    assert fault(rows, fewer).startswith("the books have a row that no entry explains: ")
    wrong = rows[place]
    if isinstance(wrong, SlotEnergyRow):
        changed = [*fewer, wrong._replace(import_uwh=8)]
        assert fault(changed, rows) == f"the books say {changed[-1]}, the entries give {wrong}"


def test_rows_of_a_slot_that_never_closed_are_found() -> None:
    assert "no entry explains" in fault([*rows_of(0), *rows_of(7)], rows_of(0))


def test_no_more_is_read_than_the_slots_that_closed() -> None:
    read: list[BookRow] = []

    def books() -> Iterator[BookRow]:
        for number in range(50):
            for row in rows_of(number):
                read.append(row)
                yield row

    check = BookCheck(books())
    for number in range(50):
        check.explain(rows_of(number))
        assert len(read) <= (number + 1) * (1 + len(METERS)) + 1
    check.finish()
