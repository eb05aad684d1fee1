"""The book of routes: what they are, and what each change made of them, when and by whom.

Pure: a change comes in, another book goes out. It knows no clock, no caller and no place where books are kept.
"""

from serve_app.plan import Block
from serve_app.routes import RouteTable

KEPT = 100
"""Changes that a book remembers, and can undo."""
BY_CONFIGURATION = "configuration"


class Change(Block):
    """What the routes were from one moment on."""

    version: int
    at: float
    """Unix seconds."""
    who: str
    """The public id of a key, `guard`, or `configuration`."""
    what: str
    table: RouteTable
    back_to: int
    """The version that undoing it goes back to: of an undo, the one before what it undid; -1 where there is none."""


class Book(Block):
    """The latest changes, the last one last: it holds."""

    declared: RouteTable = RouteTable()
    """What the configuration said when it was last heard."""
    changes: tuple[Change, ...] = ()

    @property
    def version(self) -> int:
        """Rises with every change; 0 before the first."""
        return self.changes[-1].version if self.changes else 0

    @property
    def table(self) -> RouteTable:
        """What holds now."""
        return self.changes[-1].table if self.changes else RouteTable()

    def changed(self, table: RouteTable, who: str, what: str, at: float) -> "Book":
        """The book after a change."""
        return self._with(table, who, what, at, self.version)

    def declaring(self, table: RouteTable, at: float) -> "Book":
        """The book after the configuration was heard: it is a change only when it says something new.

        A replica that starts hears it again, and must not take back what was changed since.
        """
        if table == self.declared:
            return self
        book = Book(declared=table, changes=self.changes)
        return book.changed(table, BY_CONFIGURATION, "declared", at)

    def undone(self, who: str, at: float) -> "Book":
        """The book after the last change is taken back, and the one before it when that is an undo itself.

        Raises ValueError where there is nothing that can be taken back.
        """
        if not self.changes or (back_to := self.changes[-1].back_to) < 0:
            raise ValueError("no change is left that could be undone")
        if back_to == 0:
            return self._with(RouteTable(), who, "undone, back to no routes", at, -1)
        before = next((change for change in self.changes if change.version == back_to), None)
        if before is None:
            raise ValueError(
                f"the last {KEPT} changes are remembered, and version {back_to} is not among them any more"
            )
        return self._with(before.table, who, f"undone, back to version {back_to}", at, before.back_to)

    def _with(self, table: RouteTable, who: str, what: str, at: float, back_to: int) -> "Book":
        change = Change(version=self.version + 1, at=at, who=who, what=what, table=table, back_to=back_to)
        return Book(declared=self.declared, changes=(*self.changes, change)[-KEPT:])
