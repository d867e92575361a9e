"""Files as people meet them: every one on the page is clicked, and what comes is what was sent."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import wave
from pathlib import Path
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from tests.browser.conftest import WHOLE, NewPage
from tests.browser.test_desk import BOB, PHONE, Customer, editor, log_in
from tests.browser.test_desk_access import violations
from tests.fakes.mails import mail
from tests.stack import Stack

pytestmark = [pytest.mark.browser, pytest.mark.stack]

PNG = (Path(__file__).parents[2] / "docs" / "img" / "desk.png").read_bytes()
ATTACK = "window.taken = true; alert(1)"
HTML = f"<!doctype html><script>{ATTACK}</script><p>Hello".encode()
SVG = f'<svg xmlns="http://www.w3.org/2000/svg"><script>{ATTACK}</script></svg>'.encode()
# A picture that is a program too: its width, read as text, opens a comment.
GIF = (
    bytes.fromhex("4749463839612f2a0100800000ffffff0000002c00000000010001000002024401003b")
    + f"*/=1;{ATTACK}//".encode()
)
PDF = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n"
    b"2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
    b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]>>endobj\n"
    b"trailer<</Root 1 0 R>>\n%%EOF"
)
BROWSERS = WHOLE
LOG = "Grüße\n".encode() * 20_000
NAMES = (
    "chip on the burr.png",
    "both.gif",
    "film.webm",
    "sound.wav",
    "notes 📎 größe.txt",
    "page.html",
    "drawing.svg",
    "invoice.pdf",
    "archive.bin",
    "תמונה של המטחנה.bin",
)
# Where files are shown, and the number of the ticket that shows them there.
PLACES = ("mail", "bubble", "note")
LOOKED_AT = 7  # of NAMES, the first ones
DRAW_FILM = """async () => {
    const canvas = document.createElement("canvas");
    const pen = canvas.getContext("2d");
    const pieces = [];
    const recorder = new MediaRecorder(canvas.captureStream(25), { mimeType: "video/webm" });
    recorder.ondataavailable = ({ data }) => pieces.push(data);
    recorder.start();
    for (let frame = 0; frame < 10; frame++) {
        pen.fillStyle = `hsl(${frame * 36} 80% 50%)`;
        pen.fillRect(0, 0, 300, 150);
        await new Promise((then) => setTimeout(then, 40));
    }
    await new Promise((then) => { recorder.onstop = then; recorder.stop(); });
    const bytes = new Uint8Array(await new Blob(pieces).arrayBuffer());
    return btoa(String.fromCharCode(...bytes));
}"""
# The files of the mail once more, below the last message of another conversation.
COPY = """
from attachments.models import Attachment
from tickets.models import Message, MessageFile
to = Message.objects.filter(conversation__ticket__number={to}).exclude(kind="change").latest("seq")
for file in MessageFile.objects.filter(message__conversation__ticket__number={mail}).order_by("pk"):
    kept = Attachment.objects.get(pk=file.attachment_id)
    again = Attachment.objects.create(name=kept.name, blob=kept.blob, claimed_at=kept.created_at)
    MessageFile.objects.create(message=to, attachment=again)
"""


@pytest.fixture(scope="module")
def files(chromium: Browser) -> dict[str, tuple[str, bytes]]:
    """One of each kind, by name: what a mail says they are, and their bytes."""
    page = chromium.new_page()
    film = base64.b64decode(page.evaluate(DRAW_FILM))
    page.close()
    sound = io.BytesIO()
    with wave.open(sound, "wb") as out:
        out.setparams((1, 2, 8_000, 0, "NONE", ""))
        out.writeframes(bytes(range(250)) * 160)
    contents = (PNG, GIF, film, sound.getvalue(), LOG, HTML, SVG, PDF, bytes(range(256)) * 2_000)
    by_name = dict(zip(NAMES, (*contents, b"PK\3\4" + bytes(200)), strict=True))
    return {name: ("application/octet-stream", content) for name, content in by_name.items()}


@pytest.fixture(scope="module")
def addresses(stack: Stack, files: dict[str, tuple[str, bytes]]) -> dict[str, str]:
    """For each of PLACES, a ticket that shows all files there."""
    subject = f"With files {uuid4().hex[:6]}"
    folder = stack.data / "mail" / "in"
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / ".files.tmp"
    temporary.write_bytes(mail("See the pictures.", subject=subject, files=files))
    temporary.rename(folder / f"{uuid4().hex}.eml")
    query = "SELECT number FROM tickets_ticket WHERE subject = %s"
    stack.wait_until(lambda: stack.rows(query, subject))
    numbers = {"mail": stack.row(query, subject)[0]}
    for place in ("bubble", "note"):
        Customer(stack).says("Which filter fits?")
        (numbers[place],) = stack.row("SELECT max(number) FROM tickets_ticket")
    stack.rows(
        "UPDATE tickets_message m SET kind = 'note', audience = 'staff' FROM tickets_ticket t "
        "WHERE t.conversation_id = m.conversation_id AND t.number = %s",
        numbers["note"],
    )
    for place in ("bubble", "note"):
        stack.manage("shell", "-c", COPY.format(to=numbers[place], mail=numbers["mail"]))
    drawn = "SELECT 1 FROM attachments_blob WHERE sha256 = ANY(%s) AND preview_width > 0"
    sums = [hashlib.sha256(content).hexdigest() for content in (PNG, PDF)]
    stack.wait_until(lambda: len(stack.rows(drawn, sums)) == len(sums))
    return {place: f"/tickets/{number}/" for place, number in numbers.items()}


@pytest.fixture
def address(addresses: dict[str, str]) -> str:
    return addresses["mail"]


def links(page: Page) -> Locator:
    return page.locator("[data-timeline] a[data-file]")


def link(page: Page, name: str) -> Locator:
    return page.locator(f'[data-timeline] a[data-name="{name}"]')


def lightbox(page: Page) -> Locator:
    return page.locator("dialog.lightbox[open]")


def look_at(page: Page, name: str) -> Locator:
    """Click a file, and be where it is looked at."""
    link(page, name).click()
    expect(lightbox(page).locator("[data-name]")).to_have_text(name)
    return lightbox(page)


def assert_drawn(picture: Locator) -> None:
    expect(picture).to_have_js_property("complete", True)
    assert picture.evaluate("each => each.naturalWidth") > 0


def assert_shows(page: Page, name: str, sent: bytes) -> None:
    stage = lightbox(page).locator("[data-stage]")
    match name.rpartition(".")[2]:
        case "png" | "gif":
            assert_drawn(stage.locator("img"))
        case "webm":
            expect(stage.locator("video")).to_have_js_property("videoWidth", 300)
        case "wav":
            expect(stage.locator("audio")).to_have_js_property("duration", 2.5)
        case "txt" | "html" | "svg":
            shown = stage.locator("pre").text_content() or ""
            assert sent.decode().startswith(shown.removesuffix("\n…"))
            assert len(shown) > min(len(sent), 50_000) / 2
        case "pdf":
            expect(stage.locator("a[target=_blank] img")).to_be_visible()
        case _:
            expect(lightbox(page).get_by_text("There is no preview")).to_be_visible()


def assert_nothing_ran(page: Page) -> None:
    assert page.evaluate("window.taken") is None


@pytest.mark.parametrize("place", PLACES)
def test_every_file_is_clicked_and_saved_as_it_was_sent(
    page: Page, addresses: dict[str, str], files: dict[str, tuple[str, bytes]], place: str
) -> None:
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    log_in(page, to=addresses[place])
    expect(links(page)).to_have_count(len(NAMES))
    for name, (_type, sent) in files.items():
        if name in NAMES[:LOOKED_AT]:
            shown = look_at(page, name)
            assert_shows(page, name, sent)
            with page.expect_download() as download:
                shown.get_by_role("link", name="Save").click()
            page.keyboard.press("Escape")
            expect(lightbox(page)).to_have_count(0)
        elif name.endswith(".pdf"):
            assert_drawn(link(page, name).locator("img"))
            href = link(page, name).get_attribute("href") or ""
            assert link(page, name).get_attribute("target") == "_blank"
            assert page.request.get(href).headers["content-type"] == "application/pdf"
            with page.expect_download() as download:
                page.evaluate("href => location.assign(`${href}?download`)", href)
        else:
            with page.expect_download() as download:
                link(page, name).click()
        assert download.value.suggested_filename == name
        got = Path(download.value.path()).read_bytes()
        assert hashlib.sha256(got).digest() == hashlib.sha256(sent).digest(), name
    assert_nothing_ran(page)
    assert dialogs == []


def test_a_keyboard_walks_through_the_files_and_comes_back(
    page: Page, address: str, files: dict[str, tuple[str, bytes]]
) -> None:
    log_in(page, to=address)
    names = [each.get_attribute("data-name") or "" for each in links(page).all()]
    assert sorted(names) == sorted(NAMES)
    link(page, names[0]).focus()
    page.keyboard.press("Enter")
    shown = lightbox(page)
    for at, name in enumerate(names):
        _type, sent = files[name]
        expect(shown.locator("[data-name]")).to_have_text(name)
        expect(shown.locator("[data-place]")).to_have_text(f"{at + 1} of {len(NAMES)}")
        assert_shows(page, name, sent)
        page.keyboard.press("ArrowRight")
    expect(shown.locator("[data-name]")).to_have_text(names[-1])
    expect(shown.locator("[data-step='1']")).to_be_disabled()
    page.keyboard.press("ArrowLeft")
    expect(shown.locator("[data-name]")).to_have_text(names[-2])
    before = page.url
    for key in "jkrnae/":
        page.keyboard.press(key)
    expect(shown).to_be_visible()
    assert page.url == before
    # Its delivery has moved on meanwhile, and the entry was drawn anew.
    page.evaluate("document.querySelector('[data-seq]:has(.atts)').outerHTML += ''")
    page.keyboard.press("Escape")
    expect(lightbox(page)).to_have_count(0)
    expect(link(page, names[0])).to_be_focused()
    page.keyboard.press("r")
    expect(editor(page)).to_be_focused()


def test_a_picture_grows_to_its_full_size_and_shrinks_again(page: Page, address: str) -> None:
    log_in(page, to=address)
    shown = look_at(page, NAMES[0])
    picture = shown.locator("[data-stage] img")
    small = picture.evaluate("each => each.offsetWidth")
    picture.click()
    expect(picture).to_have_js_property("offsetWidth", 1440)
    assert small < 1440
    picture.click()
    expect(picture).to_have_js_property("offsetWidth", small)
    with page.context.expect_page() as opened:
        shown.get_by_role("link", name="Open in a new tab").click()
    expect(opened.value.locator("img")).to_be_visible()


@pytest.mark.parametrize("name", ["film.webm", "invoice.pdf", "chip on the burr.png"])
def test_without_script_a_click_opens_what_a_browser_can_show(
    new_page: NewPage, address: str, name: str
) -> None:
    page = log_in(new_page(java_script_enabled=False), to=address)
    with page.context.expect_page() as opened:
        link(page, name).click()
    opened.value.wait_for_load_state()
    assert "/files/bytes/" in opened.value.url
    if name.endswith(".webm"):
        expect(opened.value.locator("video")).to_have_js_property("error", None)
        expect(opened.value.locator("video")).to_have_js_property("readyState", 4)


def test_nothing_a_file_holds_runs_as_a_script(page: Page, address: str) -> None:
    log_in(page, to=address)
    for name in ("both.gif", "page.html", "drawing.svg"):
        refused = page.evaluate(
            """src => new Promise((then) => {
                const script = document.createElement("script");
                script.onload = () => then(false);
                script.onerror = () => then(true);
                script.src = src;
                document.body.append(script);
            })""",
            link(page, name).get_attribute("href"),
        )
        assert refused, name
    assert_nothing_ran(page)


def test_a_file_that_went_away_says_so_and_a_lost_one_can_be_asked_for_again(
    page: Page, address: str
) -> None:
    log_in(page, to=address)
    href = "**" + (link(page, "page.html").get_attribute("href") or "")

    def answer(status: int) -> None:
        page.route(href, lambda route: route.fulfill(status=status, body="<p>An error page."))

    answer(404)
    shown = look_at(page, "page.html")
    expect(shown.get_by_text("This file is no longer here.")).to_be_visible()
    page.keyboard.press("Escape")

    def lose(route: Route) -> None:
        route.abort()

    page.unroute(href)
    page.route(href, lose)
    shown = look_at(page, "page.html")
    expect(shown.get_by_text("No connection.")).to_be_visible()
    page.unroute(href)
    shown.get_by_role("button", name="Try again").click()
    expect(shown.locator("pre")).to_contain_text("doctype")


def test_a_file_closed_meanwhile_says_why(page: Page, address: str, stack: Stack) -> None:
    log_in(page, to=address)
    sum_ = hashlib.sha256(PNG).hexdigest()
    found = "UPDATE attachments_blob SET virus = %s WHERE sha256 = %s"
    stack.rows(found, "Eicar-Test-Signature", sum_)
    try:
        shown = look_at(page, NAMES[0])
        sentence = re.compile("A virus was found in this file: Eicar-Test-Signature")
        expect(shown.get_by_text(sentence)).to_be_visible()
        page.reload()
        expect(page.locator(".att-bad")).to_have_text(sentence)
        expect(link(page, NAMES[0])).to_have_count(0)
        assert violations(page) == []
    finally:
        stack.rows(found, "", sum_)


CHECKED = """
from attachments.models import Attachment
from tickets.events import files_changed
from tickets.models import MessageFile
file = MessageFile.objects.get(attachment__uuid="{uuid}")
Attachment.objects.filter(pk=file.attachment_id).update(state="ready")
files_changed(file.message)
"""


def test_a_file_opens_on_the_page_as_soon_as_it_is_checked(
    page: Page, address: str, stack: Stack
) -> None:
    log_in(page, to=address)
    uuid = link(page, "sound.wav").get_attribute("data-file") or ""
    stack.rows("UPDATE attachments_attachment SET state = 'checking' WHERE uuid = %s", uuid)
    page.reload()
    expect(page.get_by_text("Being checked")).to_be_visible()
    expect(link(page, "sound.wav")).to_have_count(0)
    expect(page.locator("[data-connection]")).to_be_hidden()
    stack.manage("shell", "-c", CHECKED.format(uuid=uuid))
    look_at(page, "sound.wav")
    expect(page.get_by_text("Being checked")).to_have_count(0)


def test_a_finger_swipes_to_the_next_file_and_nothing_is_wider_than_a_phone(
    new_page: NewPage, addresses: dict[str, str]
) -> None:
    page = log_in(new_page(**PHONE), to=addresses["bubble"])
    scroller = page.locator("[data-scroller]")
    assert scroller.evaluate("each => each.scrollWidth <= each.clientWidth")
    for chip in links(page).all():
        box = chip.bounding_box()
        assert box
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= PHONE["viewport"]["width"]  # type: ignore[index]
    shown = look_at(page, "page.html")
    shown.locator("[data-stage]").evaluate(
        """stage => {
            const touch = (clientX) =>
                new Touch({ identifier: 1, target: stage, clientX, clientY: 9 });
            const fire = (type, name, x) =>
                stage.dispatchEvent(new TouchEvent(type, { [name]: [touch(x)], bubbles: true }));
            fire("touchstart", "touches", 300);
            fire("touchend", "changedTouches", 100);
        }"""
    )
    expect(shown.locator("[data-name]")).to_have_text("drawing.svg")


def test_who_may_not_see_the_ticket_opens_none_of_its_files(
    new_page: NewPage, address: str, stack: Stack
) -> None:
    maya = log_in(new_page(), to=address)
    hrefs = [a.get_attribute("href") or "" for a in links(maya).all()]
    assert len(hrefs) == len(NAMES)
    hrefs += [a.get_attribute("src") or "" for a in links(maya).locator("img").all()]
    assert len(hrefs) > len(NAMES)
    stack.rows("INSERT INTO tickets_team (name) VALUES ('Files') ON CONFLICT DO NOTHING")
    stack.rows(
        "INSERT INTO tickets_inbox_teams (inbox_id, team_id) "
        "SELECT t.inbox_id, team.id FROM tickets_ticket t, tickets_team team "
        "WHERE t.number = %s AND team.name = 'Files'",
        int(address.split("/")[2]),
    )
    try:
        bob = log_in(new_page(), BOB)
        for href in hrefs:
            assert bob.request.get(href).status == 404
    finally:
        stack.rows(
            "DELETE FROM tickets_inbox_teams USING tickets_team team "
            "WHERE team.id = team_id AND team.name = 'Files'"
        )
    stranger = new_page()
    for href in hrefs:
        assert stranger.request.get(href, max_redirects=0).status == 302


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(new_page: NewPage, addresses: dict[str, str], scheme: str) -> None:
    page = log_in(new_page(color_scheme=scheme), to=addresses["note"])
    for address in addresses.values():
        page.goto(address)
        expect(page.locator(".atts img").first).to_have_js_property("complete", True)
        assert violations(page) == []
    for name in NAMES[:LOOKED_AT]:
        look_at(page, name)
        page.wait_for_timeout(300)
        assert violations(page) == [], name
        page.keyboard.press("Escape")
