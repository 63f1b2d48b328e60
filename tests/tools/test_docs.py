"""The documents name what is there, and the check of them finds what is not."""

from pathlib import Path

import pytest

from tools import docs

ONE_OF_THEM = docs.PROJECT / "docs" / "recipes.md"


def test_documents_name_what_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    status = docs.main()

    assert (status, capsys.readouterr().out) == (0, "")


def test_readers_find_the_recipes() -> None:
    assert "(docs/recipes.md)" in (docs.PROJECT / "README.md").read_text()
    assert "(docs/recipes.md)" in (docs.PROJECT / "CONTRIBUTING.md").read_text()


@pytest.mark.parametrize(
    ("said", "missing"),
    [
        ("[map](map.md)", []),
        ("[map](no_map.md)", ["link no_map.md"]),
        ("[page](https://example.com/x)", []),
        ("`shop/reactions.py` `catalog/fields.py` `fields.py`", []),
        ("`shop/no_reactions.py` `nowhere.py`", ["`shop/no_reactions.py`", "`nowhere.py`"]),
        ("`orders.cancel(…)` `payments.methods` `OrderStatus.PENDING`", []),
        ("`orders.call_off`", ["`orders.call_off`"]),
        ("`order.placed_at`", []),
        ("`order.was_sent_by_pigeon`", ["`order.was_sent_by_pigeon`"]),
        ("`refund.updated`", []),
        ("`mark_paid` `StockLevel` `units`", []),
        ("`mark_as_bought` `StockHeap`", ["`mark_as_bought`", "`StockHeap`"]),
        ("```\n`no_such_name`\n```", []),
    ],
)
def test_what_is_missing_is_named(said: str, missing: list[str]) -> None:
    assert docs.missing_in(said, where=ONE_OF_THEM) == missing


def test_decisions_may_name_what_was() -> None:
    said = "[map](../gone.md), then `orders.call_off`"

    assert docs.missing_in(said, where=ONE_OF_THEM, names=False) == ["link ../gone.md"]


@pytest.mark.parametrize("name", docs.ALLOWED)
def test_allowed_methods_are_listed_in_the_answer(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = [file.read_text() for file in docs.documents(docs.NAMED)]
    monkeypatch.delitem(docs.ALLOWED, name)

    assert any(f"`{name}`" in text for text in said)
    if not (docs.PROJECT / name).exists():  # what bin/dev makes may be there
        assert docs.missing_in(f"`{name}`", where=Path("x.md")) == [f"`{name}`"]
