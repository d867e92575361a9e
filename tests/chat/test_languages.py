"""What the widget and the server say to visitors, in ten languages."""

from __future__ import annotations

import gettext
import re
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client

from chat.languages import closest, languages, wanted, words_in
from tests.chat.conftest import Visitor
from tests.chat.test_http import RARE, SCRIPTS
from tickets.models import Inbox

LOCALE = Path(settings.BASE_DIR) / "chat" / "locale"
ENTRY = re.compile(r'^msgid "(.+)"\nmsgstr "(.+)"$', re.MULTILINE)
PLACES = re.compile(r"{\w+}|%\(\w+\)s")

others = pytest.mark.parametrize("language", sorted(languages() - {"en"}))


def test_ten_languages_are_spoken() -> None:
    assert languages() == {"ar", "de", "en", "es", "fr", "he", "it", "nl", "pl", "pt"}


@others
def test_every_language_says_the_same_things(language: str) -> None:
    english, words = words_in("en"), words_in(language)
    assert words.keys() == english.keys()
    places = {name: sorted(PLACES.findall(text)) for name, text in words.items()}
    assert places == {name: sorted(PLACES.findall(text)) for name, text in english.items()}


@others
def test_what_the_server_says_is_compiled_as_it_is_written(language: str) -> None:
    folder = LOCALE / language / "LC_MESSAGES"
    written = dict(ENTRY.findall((folder / "django.po").read_text("utf-8")))
    with (folder / "django.mo").open("rb") as compiled:
        catalog = gettext.GNUTranslations(compiled)
    assert {text: catalog.gettext(text) for text in written} == written
    assert len(written) > 20
    for text, other in written.items():
        assert sorted(PLACES.findall(text)) == sorted(PLACES.findall(other))


@pytest.mark.parametrize("path", SCRIPTS + RARE)
@pytest.mark.parametrize("language", sorted(languages()))
def test_a_script_comes_in_one_language(path: str, language: str) -> None:
    script = Client().get(f"{path}?lang={language}").content.decode()
    assert "TEXT." not in script
    if path == "/widget/chat.js":
        found = {one for one in languages() if words_in(one)["human"] in script}
        assert found == {language}


def test_an_unknown_language_is_english() -> None:
    assert [closest(tag) for tag in ("de-AT", "PT-br", "sv", "", "*")] == [
        *("de", "pt", "en", "en", "en"),
    ]
    assert wanted("sv, fr-CH;q=0.8, de;q=0.5") == "fr"
    assert wanted("") == "en"


def test_refusals_are_in_the_language_of_the_visitor(visitor: Visitor) -> None:
    headers = {"Authorization": f"Bearer {visitor.token}", "Accept-Language": "de"}
    answer = Client().post(f"/widget/{visitor.key}/human", headers=headers)
    assert answer.status_code == 422
    assert answer.json()["sentence"].startswith("Schreiben Sie zuerst Ihre Frage")
    unknown = Client().post(
        f"/widget/{visitor.key}/human", headers={"Accept-Language": "ar", "Authorization": "x"}
    )
    assert unknown.status_code == 401
    assert unknown.json()["sentence"] == "انتهت هذه الدردشة. اكتب مجددًا لبدء واحدة جديدة."


def test_our_own_greeting_is_translated_and_the_inboxs_is_not(inbox: Inbox) -> None:
    address, headers = f"/widget/{inbox.widget_key}/config", {"Accept-Language": "fr"}
    ours = Client().get(address, headers=headers).json()["greeting"]
    assert ours == "Bonjour, que pouvons-nous faire pour vous ?"
    Inbox.objects.update(greeting="Moin!")
    assert Client().get(address, headers=headers).json()["greeting"] == "Moin!"
