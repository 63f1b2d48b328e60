"""The product page: every part is saved by its operation, and refusals keep what was typed."""

import json
import re
from html import unescape
from io import BytesIO
from typing import Any

import pytest
from flask import Flask
from PIL import Image

from shop import catalog, inventory, media
from shop.catalog.models import Product, Variant
from shop.core.db import session, transaction
from tests.admin.desk import Desk, sit
from tests.cast import Cast


@pytest.fixture
def editor(app: Flask, cast: Cast) -> Desk:
    return sit(app, "Catalogue")


@pytest.fixture
def mug(cast: Cast) -> Variant:
    found = cast.mug
    assert found.product
    session.expunge_all()
    return found


@pytest.fixture
def bowl(cast: Cast) -> int:
    """A draft with two colours and no variants."""
    with transaction():
        product = catalog.create_product("Low bowl")
        colours = (catalog.ValueDraft("Ember", "#b4623e"), catalog.ValueDraft("Oat"))
        catalog.set_options(product, [catalog.OptionDraft("Colour", colours)])
    session.expunge_all()
    return product.id


def whole(product_id: int) -> Product:
    session.remove()
    return catalog.get_product(product_id)


def details(**changes: Any) -> dict[str, Any]:
    return {
        "name": "Tidal mug",
        "slug": "tidal-mug",
        "primary_category": "0",
        "tax_class": "standard",
        **changes,
    }


def image_file(width: int = 60, kind: str = "PNG") -> BytesIO:
    made = BytesIO()
    Image.new("RGB", (width, 75), "#b4623e").save(made, kind)
    made.seek(0)
    return made


def test_draft_is_added_and_opens_for_rest(editor: Desk) -> None:
    answer = editor.post("/admin/products/add", details(name="Tall vase", slug=""))

    page = editor.text(answer.location)
    assert "Tall vase" in page
    assert "Draft" in page


def test_first_category_is_main_unless_another_is_chosen(editor: Desk, mug: Variant) -> None:
    cups, gifts = (catalog.create_category(name) for name in ("Cups", "Gifts"))
    session.commit()

    editor.post(f"/admin/products/edit/{mug.product_id}", details(categories=[cups.id, gifts.id]))
    first = whole(mug.product_id).primary_category
    typed = details(categories=[cups.id, gifts.id], primary_category=str(gifts.id))
    editor.post(f"/admin/products/edit/{mug.product_id}", typed)

    assert first is not None and first.name == "Cups"
    assert whole(mug.product_id).primary_category.name == "Gifts"


def test_words_are_saved_and_old_address_leads_on(editor: Desk, mug: Variant) -> None:
    typed = details(slug="wave-mug", attributes="Material: stoneware\nCare: dishwasher safe")

    answer = editor.post(f"/admin/products/edit/{mug.product_id}", typed)

    product = whole(mug.product_id)
    assert answer.status_code == 303
    assert product.slug == "wave-mug"
    assert product.attributes == {"Material": "stoneware", "Care": "dishwasher safe"}
    assert catalog.redirect_for("/products/tidal-mug")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": ""}, "Fill in: Name."),
        ({"slug": "Not An Address"}, "URL slug"),
        ({"attributes": "no colon here"}, "has no “:” in it"),
        ({"tax_class": "none-such"}, "Not a valid choice"),
        ({"featured_rank": "-4"}, "whole number"),
        ({"seo_title": "x" * 121}, "120"),
    ],
)
def test_refused_words_stay_in_form_with_reason(
    editor: Desk, mug: Variant, changes: dict[str, str], words: str
) -> None:
    typed = details(tagline="Typed with care") | changes

    answer = editor.post(f"/admin/products/edit/{mug.product_id}", typed)

    page = answer.get_data(as_text=True)
    assert answer.status_code == 422
    assert words in page
    assert "Typed with care" in page
    assert whole(mug.product_id).tagline == ""


def test_box_that_was_not_sent_is_empty(editor: Desk, mug: Variant) -> None:
    editor.post(f"/admin/products/edit/{mug.product_id}", details())

    assert whole(mug.product_id).tagline == ""


def test_adding_an_image_causes_no_edit_conflict(editor: Desk, mug: Variant) -> None:
    path = f"/admin/products/edit/{mug.product_id}"
    seen = opened(editor, path)
    editor.post(
        f"/admin/products/{mug.product_id}/pictures", {"picture": (image_file(), "mug.png")},
        content_type="multipart/form-data",
    )  # fmt: skip

    mine = editor.post(path, details(tagline="Mine", seen=seen))
    theirs = editor.post(path, details(tagline="Theirs", seen=seen))

    assert (mine.status_code, theirs.status_code) == (303, 422)
    assert whole(mug.product_id).tagline == "Mine"


def opened(editor: Desk, path: str) -> str:
    """What the form of the product's own words says that it was made from."""
    found = re.search(r'id="details".*?name="seen" value="([^"]+)"', editor.text(path), re.S)
    assert found
    return found[1]


def test_words_of_two_editors_are_merged_by_field(editor: Desk, mug: Variant) -> None:
    path = f"/admin/products/edit/{mug.product_id}"
    product = whole(mug.product_id)
    shown = details(name=product.name, slug=product.slug, description=product.description)
    first = second = opened(editor, path)

    editor.post(path, shown | {"tagline": "Glazed by hand", "seen": first})
    merged = editor.post(path, shown | {"attributes": "Care: by hand", "seen": second})
    refused = editor.post(path, shown | {"tagline": "Made to last", "seen": second})

    kept = whole(mug.product_id)
    assert merged.status_code == 303
    assert (kept.tagline, kept.attributes) == ("Glazed by hand", {"Care": "by hand"})
    assert refused.status_code == 422
    assert refused.text.count("Someone else has changed this to “Glazed by hand”.") == 1
    assert 'value="Made to last"' in refused.text


def test_a_saved_product_leads_back_to_the_filtered_list(editor: Desk, mug: Variant) -> None:
    path = f"/admin/products/edit/{mug.product_id}?tab=active&q=mug"

    saved = editor.post(path, details(tagline="Glazed by hand"))
    rows = rows_of(editor, mug.product_id, f"sku-{mug.id}")
    part = editor.post(f"/admin/products/{mug.product_id}/variants?tab=active&q=mug", rows)

    came_from = {"Referer": f"http://localhost{path}"}
    hidden = editor.post(f"/admin/products/{mug.product_id}/state/unpublish", headers=came_from)

    assert hidden.location.endswith(path)
    assert saved.location.endswith(path)
    assert part.location.endswith(f"{path}#variants")
    back = '<a class="back" href="/admin/products/list/?tab=active&amp;q=mug"'
    assert back in " ".join(editor.text(saved.location).split())


def test_second_editor_is_warned_and_keeps_their_text(editor: Desk, mug: Variant) -> None:
    answer = editor.post(
        f"/admin/products/edit/{mug.product_id}",
        details(tagline="Mine", seen="2020-01-01T00:00:00+00:00"),
    )

    page = answer.get_data(as_text=True)
    assert answer.status_code == 422
    assert "Someone else changed this product while you were editing it" in page
    assert "Mine" in page


def rows_of(editor: Desk, product_id: int, part: str) -> dict[str, str]:
    """The form of a part as the page shows it: every field with its value, and what it saw."""
    page = editor.text(f"/admin/products/edit/{product_id}")
    found = next(seen for seen in re.findall(r'name="seen" value="([^"]+)"', page) if part in seen)
    seen = unescape(found)
    return {name: text for name, text in json.loads(seen).items() if text} | {"seen": seen}


def test_two_people_at_table_of_variants_lose_nothing(editor: Desk, mug: Variant) -> None:
    path, row = f"/admin/products/{mug.product_id}/variants", f"-{mug.id}"
    first = second = rows_of(editor, mug.product_id, f"sku{row}")

    editor.post(path, first | {f"price_minor{row}": "25.00", f"backorder_allowed{row}": "1"})
    editor.post(path, second | {f"low_stock_level{row}": "7"})

    session.remove()
    both = catalog.get_variant(mug.id)
    assert (both.price_minor, both.low_stock_level) == (2500, 7)
    assert both.backorder_allowed

    refused = editor.post(path, second | {f"price_minor{row}": "18.00"})
    session.remove()
    assert refused.status_code == 422
    assert f"Someone else changed “{second[f'price_minor{row}']}” to “25.00”" in refused.text
    assert 'value="18.00"' in refused.text
    assert catalog.get_variant(mug.id).price_minor == 2500

    again = json.loads(
        unescape(
            next(
                seen
                for seen in re.findall(r'name="seen" value="([^"]+)"', refused.text)
                if f"sku{row}" in seen
            )
        )
    )
    typed = again | {f"price_minor{row}": "18.00", "seen": json.dumps(again)}
    assert editor.post(path, typed).status_code == 303
    session.remove()
    assert catalog.get_variant(mug.id).price_minor == 1800
    assert catalog.get_variant(mug.id).low_stock_level == 7


def test_two_people_at_the_options_lose_nothing(editor: Desk, bowl: int) -> None:
    path = f"/admin/products/{bowl}/options"
    first = second = rows_of(editor, bowl, "option-")
    ember = next(name for name, text in first.items() if text == "Ember")
    oat = next(name for name, text in first.items() if text == "Oat")
    option = next(name for name in first if name.startswith("option-"))
    more = option.replace("option", "more")

    editor.post(path, first | {ember: "Flame", more: "Ink"})
    editor.post(path, second | {oat: "Oats"})

    values = whole(bowl).options[0].values
    assert [value.name for value in values] == ["Flame", "Oats", "Ink"]

    refused = editor.post(path, second | {ember: "Blaze"})
    assert "Someone else changed “Ember” to “Flame”." in refused.text
    assert 'value="Blaze"' in refused.text
    assert whole(bowl).options[0].values[0].name == "Flame"


def test_products_go_through_their_states(editor: Desk, mug: Variant) -> None:
    for verb, status in [
        ("unpublish", "draft"),
        ("publish", "active"),
        ("archive", "archived"),
        ("restore", "draft"),
    ]:
        editor.post(f"/admin/products/{mug.product_id}/state/{verb}")
        assert whole(mug.product_id).status == status


def test_a_product_without_a_variant_is_not_published(editor: Desk, bowl: int) -> None:
    editor.post(f"/admin/products/{bowl}/state/publish")

    assert "has nothing to sell yet" in editor.said()
    assert whole(bowl).status == "draft"


def test_what_was_ordered_is_archived_instead_of_deleted(editor: Desk, cast: Cast) -> None:
    product_id = cast.paid_order.lines[0].product_id

    editor.post(f"/admin/products/{product_id}/delete")

    assert "archive it instead" in editor.said()
    assert whole(product_id).name == "Tidal mug"


def test_missing_combinations_are_generated_then_priced_in_table(editor: Desk, bowl: int) -> None:
    editor.post(
        f"/admin/products/{bowl}/variants/generate",
        {"sku_pattern": "BOWL-{Colour:3}", "price": "24,50"},
    )
    made = whole(bowl).variants
    ember, oat = (variant.id for variant in made)

    editor.post(
        f"/admin/products/{bowl}/variants",
        {
            f"sku-{ember}": "bowl-emb",
            f"price_minor-{ember}": "26.00",
            f"compare_at_minor-{ember}": "30",
            f"low_stock_level-{ember}": "5",
            f"weight_g-{ember}": "700",
            f"barcode-{ember}": "4006381333931",
            f"backorder_allowed-{ember}": "1",
        },
    )

    changed = catalog.get_variant(ember)
    session.refresh(changed)
    assert [v.sku for v in made] == ["BOWL-EMB", "BOWL-OAT"]
    assert (changed.price_minor, changed.compare_at_minor) == (2600, 3000)
    assert (changed.low_stock_level, changed.weight_g) == (5, 700)
    assert changed.backorder_allowed
    assert catalog.get_variant(oat).price_minor == 2450


def test_one_wrong_price_saves_nothing_and_keeps_input(editor: Desk, mug: Variant) -> None:
    answer = editor.post(
        f"/admin/products/{mug.product_id}/variants",
        {f"sku-{mug.id}": "NEW-SKU", f"price_minor-{mug.id}": "cheap"},
    )

    page = answer.get_data(as_text=True)
    assert answer.status_code == 422
    assert "“cheap” is not an amount. Write 1250.00 or 1,250.00." in page
    assert 'value="NEW-SKU"' in page
    assert 'value="cheap"' in page
    assert f'aria-invalid="true" aria-describedby="flaw-price_minor-{mug.id}"' in page
    assert whole(mug.product_id).variants[0].sku == mug.sku


def test_an_option_grows_and_values_in_use_stay(editor: Desk, bowl: int) -> None:
    option = whole(bowl).options[0]
    ember, oat = option.values
    typed = {
        f"option-{option.id}": "Glaze",
        f"value-{ember.id}": "Ember",
        f"swatch-{ember.id}": "#AA5533",
        f"value-{oat.id}": "",
        f"more-{option.id}": "Ink, Sage",
        "new-option": "Size",
        "new-values": "Small, Large",
    }

    editor.post(f"/admin/products/{bowl}/options", typed)

    options = whole(bowl).options
    assert [o.name for o in options] == ["Glaze", "Size"]
    assert [v.name for v in options[0].values] == ["Ember", "Ink", "Sage"]
    assert options[0].values[0].swatch == "#aa5533"


def test_last_variant_on_sale_cannot_be_archived(editor: Desk, mug: Variant) -> None:
    editor.post(f"/admin/products/{mug.product_id}/variants/{mug.id}/archive")

    assert "unpublish the product instead" in editor.said()


def upload(desk: Desk, product_id: int, content: BytesIO, name: str) -> tuple[int, Any]:
    return desk.ask(f"/admin/products/{product_id}/pictures", {"picture": (content, name)})


def test_images_are_uploaded_described_reordered_and_removed(editor: Desk, mug: Variant) -> None:
    product_id = mug.product_id
    for width in (60, 61):
        assert upload(editor, product_id, image_file(width), "mug.png")[0] == 201
    first, second = (image.id for image in whole(product_id).images)

    base = f"/admin/products/{product_id}/pictures"
    editor.post(f"{base}/{first}", {"alt": "A mug on a table"})
    editor.post(f"{base}/order", {"order": f"{second},{first}"})
    moved = [image.id for image in whole(product_id).images]
    editor.post(f"{base}/{second}/move/1")
    editor.post(f"{base}/{second}/delete")

    left = whole(product_id).images
    assert moved == [second, first]
    assert [(image.id, image.alt) for image in left] == [(first, "A mug on a table")]


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        (b"GIF89a nothing", "cat.gif", "is not a JPEG, PNG or WebP image"),
        (b"", "empty.png", "is empty"),
        (b"\x89PNG\r\n\x1a\n broken", "broken.png", "damaged"),
        (b"\xff\xd8\xff" + b"0" * (10 * 1024 * 1024), "huge.jpg", "larger than 10 MB"),
    ],
)
def test_refused_image_says_why_and_leaves_nothing(
    editor: Desk, mug: Variant, content: bytes, name: str, words: str
) -> None:
    before = session.query(media.MediaFile).count()

    status, answer = upload(editor, mug.product_id, BytesIO(content), name)

    assert status == 422
    assert words in answer["error"]
    assert session.query(media.MediaFile).count() == before
    assert not whole(mug.product_id).images


def test_no_transaction_waits_while_an_image_is_read(
    editor: Desk, mug: Variant, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, store = [], media.store_upload

    def look(stream: Any, name: str) -> Any:
        reading.append(session().in_transaction())
        return store(stream, name)

    monkeypatch.setattr(media, "store_upload", look)

    assert upload(editor, mug.product_id, image_file(60), "mug.png")[0] == 201
    assert reading == [False]


@pytest.mark.parametrize("order", ["", "1", "1,abc", "99999999999999999999999"])
def test_order_without_every_image_is_refused(editor: Desk, mug: Variant, order: str) -> None:
    upload(editor, mug.product_id, image_file(), "mug.png")

    status, _ = editor.ask(f"/admin/products/{mug.product_id}/pictures/order", {"order": order})

    assert status == 422


def test_images_of_another_product_cannot_be_changed(editor: Desk, mug: Variant, bowl: int) -> None:
    upload(editor, mug.product_id, image_file(), "mug.png")
    image = whole(mug.product_id).images[0].id

    answer = editor.post(f"/admin/products/{bowl}/pictures/{image}/delete")

    assert answer.status_code == 404
    assert len(whole(mug.product_id).images) == 1


def test_the_preview_shows_markdown_without_its_dangers(editor: Desk) -> None:
    html = editor.post(
        "/admin/products/preview", {"text": "**Bold** <script>alert(1)</script>"}
    ).get_data(as_text=True)

    assert "<strong>Bold</strong>" in html
    assert "<script>" not in html


def test_product_list_finds_name_and_sku_under_tab(editor: Desk, mug: Variant, bowl: int) -> None:
    assert "Tidal mug" in editor.text(f"/admin/products/list/?q={mug.sku.lower()}")
    drafts = editor.text("/admin/products/list/?tab=draft")

    assert "Low bowl" in drafts
    assert "Tidal mug" not in drafts


def test_a_sold_out_product_stands_under_its_tab(editor: Desk, cast: Cast) -> None:
    lamp = cast.lamp
    with transaction():
        inventory.count(lamp.id, 0)

    assert "Pebble lamp" in editor.text("/admin/products/list/?tab=out")


def test_the_list_costs_six_statements_at_most(
    editor: Desk, mug: Variant, statements: list[str]
) -> None:
    assert editor.token
    statements.clear()

    editor.text("/admin/products/list/?q=mug")

    assert len(statements) <= 6, "\n".join(statements)


@pytest.mark.parametrize("role", ["Warehouse", "Support", "Viewer"])
def test_viewers_see_the_page_without_its_buttons(app: Flask, mug: Variant, role: str) -> None:
    desk = sit(app, role)

    page = desk.text(f"/admin/products/show/{mug.product_id}")

    assert "Save variants" not in page
    assert "Choose images" not in page
    assert desk.get(f"/admin/products/edit/{mug.product_id}").status_code == 403
    assert desk.post(f"/admin/products/{mug.product_id}/state/archive").status_code == 403
    assert upload(desk, mug.product_id, image_file(), "mug.png")[0] == 403
