"""Setting up mailboxes, by administrators: a list, a form, and a check that says what to mend."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from helpdesk.lib.errors import NotFound
from tickets.access import access_mailbox, viewer_for, visible_mailboxes
from tickets.forms import MailboxForm
from tickets.mail.addresses import is_address, normal
from tickets.mail.providers import advice_for, provider_of
from tickets.models import Inbox, Mailbox
from tickets.operations.mailboxes import SETTINGS, save_mailbox
from tickets.operations.trying import Run, begin_check, check_of
from tickets.views.frame import DeskRequest, desk_page, nav

ON_THIS_PAGE = (Mailbox.Kind.IMAP, Mailbox.Kind.POP3)


@require_safe
@desk_page
def mailbox_list(request: DeskRequest) -> HttpResponse:
    """All of them, each with how it fares."""
    viewer = viewer_for(request.user)
    if viewer.user is None or not viewer.user.is_superuser:
        raise NotFound
    mailboxes = list(visible_mailboxes(viewer))
    context = nav(viewer) | {"page": "mailboxes", "mailboxes": mailboxes, "kinds": ON_THIS_PAGE}
    return render(request, "tickets/mailboxes.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@desk_page
def new_mailbox(request: DeskRequest) -> HttpResponse:
    """First the address, then the form filled in with what its domain tells; a POST saves it and
    begins the check."""
    viewer = viewer_for(request.user)
    if viewer.user is None or not viewer.user.is_superuser:
        raise NotFound
    if request.method == "POST":
        return _save(request, None)
    address = normal(request.GET.get("address", ""))
    wrong = bool(address) and not is_address(address)
    form = MailboxForm(initial=_guessed(address)) if address and not wrong else None
    context = {"form": form, "address": address, "address_is_wrong": wrong}
    if form is not None:
        context["advice"] = advice_for(str(form.initial["host"]))
    return render(request, "tickets/mailbox.html", nav(viewer) | {"page": "mailboxes"} | context)


def _guessed(address: str) -> dict[str, Any]:
    provider = provider_of(address)
    domain = address.rpartition("@")[2]
    return {
        "address": address,
        "name": address,
        "kind": Mailbox.Kind.IMAP,
        "host": provider.host,
        "port": 993,
        "tls": True,
        "username": address,
        "folder": "INBOX",
        "smtp_host": provider.smtp_host,
        "smtp_port": provider.smtp_port,
        "smtp_security": provider.smtp_security,
        "inbox": Inbox.objects.filter(address__iexact=address).first(),
        "new_inbox": domain.partition(".")[0].capitalize(),
        "from_now": "yes",
    }


@require_http_methods(["GET", "HEAD", "POST"])
@desk_page
def mailbox_page(request: DeskRequest, pk: int) -> HttpResponse:
    """One mailbox: how it fares, its settings, and what a check found (`?check=`)."""
    viewer = viewer_for(request.user)
    mailbox = access_mailbox(viewer, pk)
    if request.method == "POST":
        return _save(request, mailbox)
    context = {"mailbox": mailbox, "form": _form(mailbox), "check": _check(request, mailbox)}
    return render(request, "tickets/mailbox.html", nav(viewer) | {"page": "mailboxes"} | context)


def _form(mailbox: Mailbox) -> MailboxForm | None:
    if mailbox.kind not in ON_THIS_PAGE:
        return None
    address = mailbox.inbox.address or mailbox.username
    return MailboxForm(instance=mailbox, initial={"address": address})


def _check(request: DeskRequest, mailbox: Mailbox) -> Run | None:
    run = request.GET.get("check", "")
    try:
        return check_of(viewer_for(request.user), mailbox.pk, run) if run else None
    except NotFound:
        return None  # it is an hour old


def _save(request: DeskRequest, mailbox: Mailbox | None) -> HttpResponse:
    viewer = viewer_for(request.user)
    form = MailboxForm(request.POST, instance=mailbox)
    if not form.is_valid():
        context = {"form": form, "mailbox": mailbox, "address": request.POST.get("address", "")}
        page = nav(viewer) | {"page": "mailboxes"} | context
        return render(request, "tickets/mailbox.html", page, status=422)
    given = form.cleaned_data
    saved = save_mailbox(
        viewer,
        mailbox.pk if mailbox else None,
        settings={name: given[name] for name in SETTINGS},
        password=given["password"],
        inbox=given["inbox"],
        new_inbox=given["new_inbox"],
        address=given["address"],
        from_now=given["from_now"],
    )
    return redirect(_address(saved.pk, begin_check(viewer, saved.pk)))


@require_POST
@desk_page
def check_mailbox(request: DeskRequest, pk: int) -> HttpResponse:
    """Try it, as it is saved."""
    return redirect(_address(pk, begin_check(viewer_for(request.user), pk)))


@require_safe
@desk_page
def check_state(request: DeskRequest, pk: int, run: str) -> HttpResponse:
    """How far a check has come: the part of the page that asks again by itself."""
    viewer = viewer_for(request.user)
    context = {"check": check_of(viewer, pk, run)}
    return render(request, "tickets/_mailbox_check.html", context)


def _address(pk: int, run: str) -> str:
    return f"{reverse('tickets:mailbox', args=[pk])}?check={run}#check"
