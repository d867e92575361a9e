"""Setting up mailboxes, by administrators: a list, a form, and a check that says what to mend."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import (
    require_GET,
    require_http_methods,
    require_POST,
    require_safe,
)

from helpdesk.lib.errors import NotFound
from tickets.access import access_mailbox, viewer_for, visible_mailboxes
from tickets.forms import HookForm, MailboxForm
from tickets.mail import hooks
from tickets.mail.addresses import is_address, normal
from tickets.mail.oauth import SERVICES
from tickets.mail.providers import advice_for, provider_of
from tickets.models import Inbox, Mailbox
from tickets.operations.mailboxes import SETTINGS, remove_mailbox, save_hook, save_mailbox
from tickets.operations.sign_in import begin_sign_in, client_of, finish_sign_in, redirect_address
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
    if request.GET.get("by", "") in hooks.SERVICES:
        return _new_hook(request)
    address = normal(request.GET.get("address", ""))
    wrong = bool(address) and not is_address(address)
    by = request.GET.get("by", "")
    form = MailboxForm(initial=_guessed(address, by)) if address and not wrong else None
    context: dict[str, Any] = {"form": form, "address": address, "address_is_wrong": wrong}
    if form is not None:
        context["advice"] = advice_for(str(form.initial["host"]))
        context["others"] = () if context["advice"] else SERVICES.items()
        context["hooks"] = hooks.SERVICES.items()
    return render(request, "tickets/mailbox.html", nav(viewer) | {"page": "mailboxes"} | context)


def _new_hook(request: DeskRequest) -> HttpResponse:
    address, service = normal(request.GET.get("address", "")), request.GET["by"]
    if not is_address(address):
        return redirect(f"{reverse('tickets:new-mailbox')}?{urlencode({'address': address})}")
    given = _guessed(address, "") | {"service": service}
    return _hook_page(request, HookForm(hooks.SERVICES, initial=given), None)


def _hook_page(request: DeskRequest, form: HookForm, mailbox: Mailbox | None) -> HttpResponse:
    """A mailbox whose mail is brought: the address to give to the service, and how it fares."""
    context: dict[str, Any] = {"form": form, "mailbox": mailbox, "page": "mailboxes"}
    service = mailbox.host if mailbox else str(form["service"].value())
    if service not in hooks.SERVICES:
        raise NotFound
    context["service"] = hooks.SERVICES[service]
    if mailbox is not None:
        key, secret = mailbox.hook_key or "", mailbox.hook_secret
        context["hook_address"] = hooks.hook_address(service, key, secret)
        context["is_private"] = not settings.SITE_URL.startswith("https://")
    page = nav(viewer_for(request.user)) | context
    status = 422 if form.errors else 200
    return render(request, "tickets/mailbox_hook.html", page, status=status)


def _guessed(address: str, by: str) -> dict[str, Any]:
    provider = provider_of(address, by)
    domain = address.rpartition("@")[2]
    return {
        "address": address,
        "name": address,
        "kind": Mailbox.Kind.IMAP,
        "host": provider.host,
        "port": 993,
        "tls": True,
        "username": address,
        "auth": provider.auth,
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
    if mailbox.kind == Mailbox.Kind.HOOK:
        given = {"address": mailbox.inbox.address or "", "service": mailbox.host}
        form = HookForm(hooks.SERVICES, instance=mailbox, initial=given)
        return _hook_page(request, form, mailbox)
    context = {"form": _form(mailbox), "check": _check(request, mailbox)} | _about(mailbox)
    return render(request, "tickets/mailbox.html", nav(viewer) | {"page": "mailboxes"} | context)


def _about(mailbox: Mailbox) -> dict[str, Any]:
    """What the page says of a mailbox beside its settings."""
    if not mailbox.uses_tokens:
        return {"mailbox": mailbox}
    return {
        "mailbox": mailbox,
        "service": SERVICES[mailbox.auth],
        "is_registered": client_of(mailbox) is not None,
        "redirect_address": redirect_address(),
    }


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
    if "service" in request.POST or (mailbox and mailbox.kind == Mailbox.Kind.HOOK):
        return _save_hook(request, mailbox)
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
        client_secret=given["client_secret"],
        inbox=given["inbox"],
        new_inbox=given["new_inbox"],
        address=given["address"],
        from_now=given["from_now"],
    )
    if saved.lacks_sign_in:
        return redirect("tickets:mailbox", saved.pk)
    return redirect(_address(saved.pk, begin_check(viewer, saved.pk)))


def _save_hook(request: DeskRequest, mailbox: Mailbox | None) -> HttpResponse:
    form = HookForm(hooks.SERVICES, request.POST, instance=mailbox)
    if not form.is_valid():
        return _hook_page(request, form, mailbox)
    wanted = ("service", "name", "signing_key", "inbox", "new_inbox", "address")
    given = {name: form.cleaned_data[name] for name in wanted}
    saved = save_hook(viewer_for(request.user), mailbox.pk if mailbox else None, **given)
    return redirect("tickets:mailbox", saved.pk)


@require_safe
@desk_page
def brought(request: DeskRequest, pk: int) -> HttpResponse:
    """Whether a mail has come: the part of a page that asks again by itself."""
    mailbox = access_mailbox(viewer_for(request.user), pk)
    return render(request, "tickets/_mailbox_brought.html", {"mailbox": mailbox})


@require_POST
@desk_page
def sign_in(request: DeskRequest, pk: int) -> HttpResponse:
    """Leave for the service of a mailbox. By a page of its own: browsers hold that a form may only
    lead to us, and to nobody behind a redirect either (form-action)."""
    address = begin_sign_in(viewer_for(request.user), pk, request.session)
    page = render(request, "tickets/leaving.html", {"address": address})
    page["Refresh"] = f"0; url={address}"
    return page


@require_GET
@desk_page
def signed_in(request: DeskRequest) -> HttpResponse:
    """Back from the service, which tells by its query what became of it."""
    viewer = viewer_for(request.user)
    mailbox = finish_sign_in(
        viewer,
        request.session,
        state=request.GET.get("state", ""),
        code=request.GET.get("code", ""),
        error=request.GET.get("error", ""),
    )
    return redirect(_address(mailbox.pk, begin_check(viewer, mailbox.pk)))


@require_http_methods(["GET", "HEAD", "POST"])
@desk_page
def remove(request: DeskRequest, pk: int) -> HttpResponse:
    """What removing a mailbox means, and a button that does it."""
    viewer = viewer_for(request.user)
    mailbox = access_mailbox(viewer, pk)
    if request.method == "POST":
        remove_mailbox(viewer, pk)
        return redirect("tickets:mailboxes")
    context = nav(viewer) | {"page": "mailboxes", "mailbox": mailbox}
    return render(request, "tickets/mailbox_remove.html", context)


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
