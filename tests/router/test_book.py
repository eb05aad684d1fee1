"""What a book of routes makes of changes, one after the other."""

import pytest

from serve_app.router.book import KEPT, Book
from serve_app.routes import Lane, Route, RouteTable


def _table(weight: float) -> RouteTable:
    return RouteTable().with_route(
        Route(name="search", lanes=(Lane(variant="a", weight=weight), Lane(variant="b", weight=1)))
    )


def _changed(book: Book, *weights: float) -> Book:
    for weight in weights:
        book = book.changed(_table(weight), "ann", f"to {weight:g}", 5.0)
    return book


def test_a_change_says_who_what_and_when() -> None:
    book = _changed(Book(), 10, 20)
    assert (book.version, book.table) == (2, _table(20))
    assert [(c.version, c.at, c.who, c.what, c.back_to) for c in book.changes] == [
        (1, 5.0, "ann", "to 10", 0),
        (2, 5.0, "ann", "to 20", 1),
    ]


def test_undo_goes_back_step_by_step_and_is_a_change_itself() -> None:
    book = _changed(Book(), 10, 20, 30).undone("bob", 6.0)
    assert (book.version, book.table, book.changes[-1].what) == (4, _table(20), "undone, back to version 2")
    book = book.undone("bob", 7.0)
    assert (book.version, book.table) == (5, _table(10))
    book = book.undone("bob", 8.0)
    assert (book.version, book.table) == (6, RouteTable())
    with pytest.raises(ValueError, match="no change is left"):
        book.undone("bob", 9.0)


def test_a_change_after_an_undo_is_undone_to_what_was_before_it() -> None:
    book = _changed(_changed(Book(), 10, 20).undone("bob", 6.0), 40).undone("bob", 7.0)
    assert book.table == _table(10)
    assert book.undone("bob", 8.0).table == RouteTable()


def test_nothing_can_be_undone_in_a_new_book() -> None:
    with pytest.raises(ValueError, match="no change is left"):
        Book().undone("bob", 1.0)


def test_what_is_forgotten_cannot_be_undone() -> None:
    book = _changed(Book(), *range(1, KEPT + 2))
    assert len(book.changes) == KEPT
    for _ in range(KEPT // 2):
        book = book.undone("bob", 6.0)
    with pytest.raises(ValueError, match=r"version \d+ is not among them"):
        book.undone("bob", 7.0)


def test_what_the_configuration_says_is_a_change_once() -> None:
    book = Book().declaring(_table(10), 1.0)
    assert (book.version, book.changes[-1].who) == (1, "configuration")
    book = _changed(book, 20)
    assert book.declaring(_table(10), 2.0) is book  # a replica that starts takes nothing back
    book = book.declaring(_table(30), 3.0)
    assert (book.version, book.table) == (3, _table(30))
    assert book.undone("bob", 4.0).table == _table(20)
    assert book.declaring(RouteTable(), 5.0).table == RouteTable()


def test_no_routes_at_first_are_no_change() -> None:
    assert Book().declaring(RouteTable(), 1.0).version == 0


def test_a_book_is_json() -> None:
    book = _changed(Book().declaring(_table(10), 1.0), 20)
    assert Book.model_validate_json(book.model_dump_json()) == book
