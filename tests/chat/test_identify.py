"""Who a visitor is, as the shop says: only with its signature."""

from __future__ import annotations

import base64
import hmac
import json
import time
from hashlib import sha256
from typing import Any

import jwt
import pytest

from chat.identify import new_identity_secret
from chat.models import Identity, IdentitySecret, VisitorSession
from chat.operations import revoke_session
from chat.tokens import session_id_in
from tests import make
from tests.chat.conftest import Visitor, new_visitor
from tests.chat.test_http import get, post, send
from tickets.access import Viewer
from tickets.models import EmailAddress, Inbox, Message, Ticket

pytestmark = pytest.mark.django_db


@pytest.fixture
def secret(inbox: Inbox) -> str:
    return new_identity_secret(inbox).secret


def signed(secret: str, *, algorithm: str = "HS256", **claims: Any) -> str:
    base = {"sub": "customer-7", "exp": time.time() + 600, "iat": time.time()}
    given = {name: value for name, value in {**base, **claims}.items() if value is not None}
    return jwt.encode(given, secret, algorithm=algorithm)


def identify(who: Visitor, proof: object, token: str | None = None) -> Any:
    return post(who, "identify", proof if isinstance(proof, dict) else {"jwt": proof}, token)


def now_known(who: Visitor, answer: Any) -> Visitor:
    session = VisitorSession.objects.get(pk=session_id_in(answer.json()["token"]))
    return Visitor(session, answer.json()["token"], who.visit, who.key)


def unsigned(algorithm: str, claims: dict[str, Any]) -> str:
    def part(content: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()

    return f"{part({'alg': algorithm, 'typ': 'JWT'})}.{part(claims)}."


# --- What proves nothing ---


def test_what_is_not_signed_by_the_inbox_is_refused(
    visitor: Visitor, inbox: Inbox, secret: str
) -> None:
    other = new_identity_secret(make.inbox("Other")).secret
    soon = time.time() + 600
    proofs: dict[str, object] = {
        "wrong secret": signed("0" * 64),
        "other inbox's secret": signed(other),
        "expired": signed(secret, exp=time.time() - 60),
        "no exp": signed(secret, exp=None),
        "no subject": signed(secret, sub=None),
        "empty subject": signed(secret, sub="  "),
        "long subject": signed(secret, sub="x" * 201),
        "alg none": unsigned("none", {"sub": "customer-7", "exp": soon}),
        "alg None": unsigned("None", {"sub": "customer-7", "exp": soon}),
        "no signature": signed(secret).rpartition(".")[0] + ".",
        "another algorithm": signed(secret, algorithm="HS512"),
        "too large": signed(secret, attributes={"a": "x" * 5_000}),
        "not before": signed(secret, nbf=time.time() + 600),
        "no JWT": "x.y.z",
        "nothing": {},
        "wrong HMAC": {"id": "customer-7", "hmac": "0" * 64},
        "short HMAC": {"id": "customer-7", "hmac": "00"},
        "HMAC of another": {
            "id": "customer-8",
            "hmac": hmac.new(secret.encode(), b"customer-7", sha256).hexdigest(),
        },
        "HMAC beyond ASCII": {"id": "customer-7", "hmac": "é" * 64},
    }
    statuses = {name: identify(visitor, proof).status_code for name, proof in proofs.items()}
    assert statuses == dict.fromkeys(proofs, 422)
    assert not Identity.objects.exists()
    assert VisitorSession.objects.count() == 1


def test_without_a_secret_nobody_is_known(visitor: Visitor, inbox: Inbox) -> None:
    assert identify(visitor, signed("0" * 64)).status_code == 422


def test_an_unsigned_id_is_a_claim_at_most(visitor: Visitor, secret: str) -> None:
    assert identify(visitor, {"id": "customer-7"}).status_code == 422
    assert not Identity.objects.exists()


# --- What does ---


def test_a_visitor_becomes_whom_the_shop_names_with_all_they_said(
    visitor: Visitor, secret: str
) -> None:
    send(visitor, "Which filter fits?")
    answer = identify(visitor, signed(secret, name="Carol C.", attributes={"plan": "pro"}))
    assert answer.status_code == 200
    assert (answer.json()["token"], answer.json()["you"]) == (
        visitor.token,
        visitor.session.person_id,
    )
    identity = Identity.objects.get()
    assert (identity.person_id, identity.attributes) == (
        visitor.session.person_id,
        {"plan": "pro"},
    )
    assert Ticket.objects.get().requester.name == "Carol C."


def test_the_same_person_finds_the_same_chat_on_another_device(
    visitor: Visitor, stranger: Visitor, secret: str
) -> None:
    send(visitor, "Which filter fits?")
    identify(visitor, signed(secret))
    on_phone = identify(stranger, signed(secret), "")
    assert on_phone.json()["chat"] == visitor.session.conversation_id
    phone = now_known(stranger, on_phone)
    assert phone.session.pk != visitor.session.pk
    assert [m["body"] for m in get(phone, "messages").json()["messages"]] == ["Which filter fits?"]
    assert send(phone, "And from my phone").status_code == 201
    assert len(get(visitor, "messages").json()["messages"]) == 2


def test_by_hmac_too(visitor: Visitor, stranger: Visitor, secret: str) -> None:
    send(visitor, "Which filter fits?")
    proof = {
        "id": "customer-7",
        "hmac": hmac.new(secret.encode(), b"customer-7", sha256).hexdigest().upper(),
    }
    assert identify(visitor, proof).status_code == 200
    assert identify(stranger, proof, "").json()["chat"] == visitor.session.conversation_id


def test_who_said_something_as_a_stranger_goes_on_in_their_own_chat(
    visitor: Visitor, stranger: Visitor, secret: str
) -> None:
    send(visitor, "Which filter fits?")
    identify(visitor, signed(secret))
    send(stranger, "Said on the phone, before signing in")
    phone = now_known(stranger, identify(stranger, signed(secret)))
    assert phone.token != stranger.token
    assert phone.session.conversation_id == visitor.session.conversation_id
    lines = Message.objects.filter(conversation=stranger.session.conversation_id, kind="change")
    assert [line.change and line.change["new"] for line in lines] == ["customer-7"]
    # What the stranger's token opens has not grown.
    assert get(stranger, "messages").json()["chat"] == stranger.session.conversation_id


def test_another_customer_on_the_same_browser_sees_nothing_of_the_first(
    visitor: Visitor, secret: str
) -> None:
    send(visitor, "Which filter fits?")
    identify(visitor, signed(secret))
    second = now_known(visitor, identify(visitor, signed(secret, sub="customer-8")))
    assert second.session.person_id != visitor.session.person_id
    assert get(second, "messages").json()["messages"] == []
    assert get(second, "chats").json() == {"chats": []}
    old = get(second, f"messages?before=9&chat={visitor.session.conversation_id}")
    assert old.status_code == 404


def test_an_id_is_of_one_inbox(visitor: Visitor, secret: str) -> None:
    other = make.inbox("Other")
    there = new_visitor(other)
    identify(visitor, signed(secret))
    identify(there, signed(new_identity_secret(other).secret))
    first, second = Identity.objects.order_by("pk")
    assert (first.external_id, first.person_id != second.person_id) == (second.external_id, True)


# --- Addresses ---


def test_the_shop_vouches_for_an_address_that_nobody_has(visitor: Visitor, secret: str) -> None:
    identify(visitor, signed(secret, email="c@mail.example"))
    address = EmailAddress.objects.get()
    assert (address.person_id, address.is_verified) == (visitor.session.person_id, True)


def test_whoever_writes_from_a_verified_address_is_that_person(
    visitor: Visitor, carol: Viewer, secret: str
) -> None:
    identify(visitor, signed(secret, email="carol@mail.example"))
    assert Identity.objects.get().person_id == carol.person.pk


def test_who_only_claimed_the_address_is_not(
    visitor: Visitor, stranger: Visitor, secret: str
) -> None:
    post(stranger, "about", {"email": "c@mail.example"})
    identify(visitor, signed(secret, email="c@mail.example"))
    assert Identity.objects.get().person_id == visitor.session.person_id
    visitor.session.refresh_from_db()
    assert visitor.session.claimed_email == "c@mail.example"
    assert get(stranger, "chats").json() == {"chats": []}


def test_nobody_becomes_staff(visitor: Visitor, alice: Viewer, secret: str) -> None:
    assert alice.user
    identify(visitor, signed(secret, email=alice.user.email))
    assert Identity.objects.get().person_id == visitor.session.person_id
    assert not EmailAddress.objects.exists()


def test_nor_by_an_address_that_staff_are_mailed_at(
    visitor: Visitor, alice: Viewer, secret: str
) -> None:
    EmailAddress.objects.create(person=alice.person, address="alice@mail.example")
    identify(visitor, signed(secret, email="alice@mail.example"))
    assert Identity.objects.get().person_id == visitor.session.person_id
    assert EmailAddress.objects.get().person_id == alice.person.pk


# --- Secrets change, people are shut out ---


def test_two_secrets_hold_at_a_time(visitor: Visitor, inbox: Inbox, secret: str) -> None:
    second = new_identity_secret(inbox).secret
    assert identify(visitor, signed(secret)).status_code == 200
    assert identify(visitor, signed(second)).status_code == 200
    new_identity_secret(inbox)
    assert identify(visitor, signed(second)).status_code == 200
    assert identify(visitor, signed(secret)).status_code == 422
    assert IdentitySecret.objects.filter(inbox=inbox).count() == 2


def test_what_was_signed_before_a_session_was_revoked_is_no_way_back(
    visitor: Visitor, inbox: Inbox, secret: str
) -> None:
    old = signed(secret, iat=time.time() - 5)
    by_hmac = {
        "id": "customer-7",
        "hmac": hmac.new(secret.encode(), b"customer-7", sha256).hexdigest(),
    }
    identify(visitor, old)
    revoke_session(visitor.session.pk)
    assert get(visitor, "messages").status_code == 401
    for replayed in (old, signed(secret, iat=None), by_hmac):
        assert identify(visitor, replayed, "").status_code == 422
    assert identify(visitor, signed(secret, iat=time.time() + 2), "").status_code == 200
