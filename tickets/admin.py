"""The admin: everything can be looked at here, and failed work can be tried again.

What the timeline holds is written by operations only, so messages, mails and counters are
read here and never edited.
"""

from __future__ import annotations

from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import AdminUserCreationForm, UserChangeForm
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.defaultfilters import filesizeformat
from django.urls import path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from attachments.lasting import revoke
from attachments.models import FileLink
from helpdesk.lib.admin import ReadOnly, WorkAdmin
from helpdesk.lib.colours import palette
from helpdesk.lib.errors import Refused
from tickets.models import (
    Conversation,
    Desk,
    EmailAddress,
    InboundEmail,
    Inbox,
    Mailbox,
    MailboxAlarm,
    Message,
    OutgoingEmail,
    Participant,
    Person,
    Rating,
    Team,
    Ticket,
    User,
)
from tickets.operations.acknowledging import TEXTS
from tickets.operations.enclosures import given_to
from tickets.operations.hours import hours_as_text, read_hours
from tickets.operations.ledger import tally
from tickets.views.downloads import original_mail

admin.site.site_title = admin.site.site_header = _("Helpdesk administration")
admin.site.index_title = _("Everything in the database")


class UserCreation(AdminUserCreationForm[User]):
    class Meta:
        model = User
        fields = ("email",)


class UserChange(UserChangeForm[User]):
    class Meta:
        model = User
        fields = "__all__"


class PersonInline(admin.StackedInline[Person, User]):
    model = Person
    fields = ("name",)
    can_delete = False
    min_num = max_num = 1


@admin.register(User)
class UserAdmin(DjangoUserAdmin[User]):
    form = UserChange
    add_form = UserCreation
    inlines = [PersonInline]
    list_display = ("email", "person", "is_active", "is_superuser", "last_login")
    list_filter = ("is_active", "is_superuser", "teams")
    list_select_related = ("person",)
    search_fields = ("email", "person__name")
    ordering = ("email",)
    readonly_fields = ("last_login", "joined_at")
    filter_horizontal = ("groups", "user_permissions")
    fieldsets = (
        (None, {"fields": ("email", "password", "signature", "away", "chat_cap")}),
        (_("Permissions"), {"fields": ("is_active", "is_superuser", "groups", "user_permissions")}),
        (_("Dates"), {"fields": ("last_login", "joined_at")}),
    )
    add_fieldsets = ((None, {"fields": ("email", "usable_password", "password1", "password2")}),)


class AddressInline(admin.TabularInline[EmailAddress, Person]):
    model = EmailAddress
    extra = 0


@admin.register(Person)
class PersonAdmin(admin.ModelAdmin[Person]):
    list_display = ("__str__", "primary_address", "user", "is_assistant", "created_at")
    list_filter = ("is_assistant", ("user", admin.EmptyFieldListFilter))
    search_fields = ("name", "addresses__address", "user__email")
    list_select_related = ("user",)
    autocomplete_fields = ("user",)
    date_hierarchy = "created_at"
    inlines = [AddressInline]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Person]:
        return super().get_queryset(request).prefetch_related("addresses")

    @admin.display(description=_("address"))
    def primary_address(self, person: Person) -> str:
        return next((a.address for a in person.addresses.all() if a.is_primary), "")


@admin.register(Team)
class TeamAdmin(admin.ModelAdmin[Team]):
    list_display = ("name", "member_names")
    search_fields = ("name",)
    filter_horizontal = ("members",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Team]:
        return super().get_queryset(request).prefetch_related("members")

    @admin.display(description=_("members"))
    def member_names(self, team: Team) -> str:
        return ", ".join(user.email for user in team.members.all())


@admin.register(Desk)
class DeskAdmin(admin.ModelAdmin[Desk]):
    list_display = ("name", "assistant_on")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return not Desk.objects.exists()

    def has_delete_permission(self, request: HttpRequest, obj: Desk | None = None) -> bool:
        return False


DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
DAY_NAMES = (
    *(_("Monday"), _("Tuesday"), _("Wednesday"), _("Thursday"), _("Friday")),
    *(_("Saturday"), _("Sunday")),
)


LOOKS = ("accent", "widget_position", "widget_theme", "shows_faces", "starters", "sees_pages")
ASKS = ("asks_name", "asks_email", "asks_question", "question", "question_choices")


class InboxForm(forms.ModelForm[Inbox]):
    """An inbox with its hours as people write them, a line for each day."""

    language = forms.ChoiceField(label=_("language"), choices=[(one, one) for one in TEXTS])
    time_zone = forms.ChoiceField(
        label=_("time zone"), choices=[(one, one) for one in sorted(available_timezones())]
    )

    class Meta:
        model = Inbox
        fields = (
            *("name", "address", "from_name", "teams", "signature", "quotes_history"),
            *("new_ticket_after_days", "acknowledges", "acknowledgement", "acknowledgement_away"),
            *("language", "time_zone", "widget_key", "allowed_origins", "greeting"),
            *("assistant_on", "previews_typing", "assigns_chats", "shows_addresses"),
            *("file_max_mb", "files_max", "visitor_types", *LOOKS, *ASKS),
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        language: Any = self.fields["language"]
        if self.instance.language not in TEXTS:
            language.choices = [*language.choices, (self.instance.language,) * 2]
        for number, (name, title) in enumerate(zip(DAYS, DAY_NAMES, strict=True)):
            self.fields[name] = forms.CharField(
                label=title,
                required=False,
                initial=hours_as_text((self.instance.hours or {}).get(str(number))),
                widget=forms.TextInput({"placeholder": "9:00-17:30", "size": 14}),
            )

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        hours: dict[str, list[str]] = {}
        for number, name in enumerate(DAYS):
            try:
                if day := read_hours(given.get(name, "")):
                    hours[str(number)] = day
            except Refused as error:
                self.add_error(name, str(error))
        self.instance.hours = hours
        return given


@admin.register(Inbox)
class InboxAdmin(admin.ModelAdmin[Inbox]):
    form = InboxForm
    fieldsets = (
        (None, {"fields": ("name", "address", "from_name", "teams")}),
        (
            _("Mail"),
            {"fields": ("signature", "quotes_history", "new_ticket_after_days")},
        ),
        (
            _("Acknowledgement"),
            {
                "fields": (
                    *("acknowledges", "acknowledgement", "acknowledgement_away"),
                    *("language", "time_zone", *DAYS),
                ),
                "description": _(
                    "Sent once to whoever opens a ticket by mail, never to a machine. Empty texts: "
                    "a short one in the language chosen. Without hours it is always open."
                ),
            },
        ),
        (
            _("Chat"),
            {
                "fields": (
                    *("widget_key", "snippet", "allowed_origins", "greeting", "assistant_on"),
                    *LOOKS,
                    *("previews_typing", "assigns_chats", "shows_addresses"),
                ),
            },
        ),
        (
            _("Before a chat"),
            {
                "fields": ASKS,
                "description": _("What the widget asks for with the first message."),
            },
        ),
        (_("Files"), {"fields": ("file_max_mb", "files_max", "visitor_types")}),
    )

    def get_form(self, request: Any, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        # The days are fields of the form alone, which Django would look for in the model.
        kwargs["fields"] = None
        return super().get_form(request, obj, change, **kwargs)

    list_display = ("name", "address", "widget_key", "assistant_on")
    list_filter = ("assistant_on", "teams")
    search_fields = ("name", "address", "widget_key")
    filter_horizontal = ("teams",)
    readonly_fields = ("snippet",)

    @admin.display(description=_("widget for your pages"))
    def snippet(self, inbox: Inbox) -> str:
        if not inbox.widget_key:
            return ""
        told = {
            "style": ";".join(f"{name}:{colour}" for name, colour in palette(inbox.accent).items()),
            "position": inbox.widget_position,
            "theme": inbox.widget_theme,
        }
        more = "".join(f' data-{name}="{value}"' for name, value in told.items() if value)
        line = '<script src="{}/widget.js" data-inbox="{}"{} async></script>'
        tag = line.format(settings.SITE_URL, inbox.widget_key, more)
        return format_html("<code>{}</code>", tag)


@admin.register(Mailbox)
class MailboxAdmin(WorkAdmin):
    list_display = ("name", "kind", "inbox", "state", "last_ok_at", "error")
    list_filter = ("kind", "state", "inbox")
    search_fields = ("name", "host", "username", "folder")
    readonly_fields = (
        *("state", "attempts", "error", "finished_at", "last_ok_at", "uidvalidity"),
        *("ledger", "compared_at", "auth"),
    )
    fieldsets = (
        (None, {"fields": ("name", "inbox", "kind", "folder", "fetch_every_seconds")}),
        (
            "IMAP",
            {
                "fields": (
                    *("host", "port", "tls", "username", "auth", "password"),
                    *("mark_seen", "idle"),
                ),
            },
        ),
        (_("State"), {"fields": ("state", "attempts", "error", "last_ok_at", "uidvalidity")}),
        (_("Mails seen"), {"fields": ("ledger", "compared_at")}),
    )

    OF_HOOKS = ("name", "inbox", "kind", "host", "state", "error", "last_ok_at")

    def get_fieldsets(self, request: HttpRequest, obj: Mailbox | None = None) -> Any:
        """Whoever signs in by tokens has no password to be typed, and does so at the desk. Who may
        only look sees none."""
        hidden = {"password", "username"} if obj and obj.uses_tokens else set()
        if obj and not self.has_change_permission(request, obj):
            hidden = {"password"}
        if obj and obj.kind == Mailbox.Kind.HOOK:
            hidden = {field.name for field in obj._meta.fields} - set(self.OF_HOOKS)
        return [
            (name, {**more, "fields": [one for one in more["fields"] if one not in hidden]})
            for name, more in super().get_fieldsets(request, obj)
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Mailbox | None = None) -> Any:
        """What a service brings is set up at the desk, and stays of its kind."""
        fixed = ("kind", "host") if obj and obj.kind == Mailbox.Kind.HOOK else ()
        return [*super().get_readonly_fields(request, obj), *fixed]

    def has_change_permission(self, request: HttpRequest, obj: Mailbox | None = None) -> bool:
        return bool(super().has_change_permission(request, obj)) and not (obj and obj.is_removed)

    def has_delete_permission(self, request: HttpRequest, obj: Mailbox | None = None) -> bool:
        """Its mails point to it, maybe millions. The desk removes it and leaves them alone."""
        return False

    @admin.display(description=_("what became of them"))
    def ledger(self, mailbox: Mailbox) -> str:
        """Each number leads to its mails."""
        if mailbox.pk is None:
            return ""
        count = tally(mailbox)
        mails = reverse("admin:tickets_inboundemail_changelist")
        address = f"{mails}?mailbox__id__exact={mailbox.pk}"
        links = (
            (count.filed, _("filed"), "decision__exact=filed"),
            (count.duplicate, _("seen before"), "decision__exact=duplicate"),
            (count.ignored, _("ignored"), "decision__exact=ignored"),
            (count.failed, _("failed"), "state__exact=failed"),
            (count.waiting, _("waiting"), "state__exact=queued"),
        )
        lines = ((f"{address}&{query}", number, name) for number, name, query in links)
        seen = format_html_join(" · ", '<a href="{}">{} {}</a>', lines)
        return format_html("{} · {} {}", seen, count.missing, _("missing"))

    def formfield_for_dbfield(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        if db_field.name == "password":
            # Kept when left empty: a stored password is never sent back to a browser.
            kwargs["widget"] = forms.PasswordInput
        if db_field.name == "kind":  # a webhook is set up at the desk, which makes its address
            kwargs["choices"] = [
                choice for choice in Mailbox.Kind.choices if choice[0] != Mailbox.Kind.HOOK
            ]
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def save_model(self, request: HttpRequest, obj: Mailbox, form: Any, change: bool) -> None:
        """Only what was typed is written: a worker may be fetching meanwhile. It is fetched anew
        at once, so that whoever corrects a setting sees whether that helped."""
        obj.due_at = now()
        if not change:
            obj.save()
            return
        typed = {name for name in form.cleaned_data if name != "password" or obj.password}
        obj.save(update_fields=[*typed, "due_at"])


@admin.register(MailboxAlarm)
class MailboxAlarmAdmin(ReadOnly, WorkAdmin):
    list_display = ("mailbox", "kind", "text", "raised_at", "cleared_at", "state", "error")
    list_filter = ("kind", ("cleared_at", admin.EmptyFieldListFilter), "mailbox")
    list_select_related = ("mailbox",)
    date_hierarchy = "raised_at"


@admin.register(InboundEmail)
class InboundEmailAdmin(ReadOnly, WorkAdmin):
    list_display = (
        "__str__",
        "from_address",
        "received_at",
        "state",
        "decision",
        "reason",
        "error",
    )
    list_filter = ("state", "decision", "mailbox", "received_at")
    search_fields = ("subject", "from_address", "rfc_message_id", "sha256")
    date_hierarchy = "received_at"
    fields = (
        *("subject", "from_address", "received_at", "mailbox", "source", "original"),
        *("state", "attempts", "due_at", "error", "decision", "reason", "conversation", "problems"),
        *("rfc_message_id", "sha256", "nature", "protection", "uidvalidity", "uid", "finished_at"),
    )
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[InboundEmail]:
        return super().get_queryset(request).defer("raw")

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.download)
        name = "tickets_inboundemail_original"
        return [path("<int:pk>/original/", view, name=name), *super().get_urls()]

    def download(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The mail byte for byte; never shown as a page."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        return original_mail(get_object_or_404(self.get_queryset(request), pk=pk), f"mail-{pk}.eml")

    @admin.display(description=_("original"))
    def original(self, mail: InboundEmail) -> str:
        address = reverse("admin:tickets_inboundemail_original", args=[mail.pk])
        size = filesizeformat(mail.size_bytes)
        return format_html('<a href="{}" download>{}</a>, {}', address, _("Download"), size)


@admin.register(OutgoingEmail)
class OutgoingEmailAdmin(ReadOnly, WorkAdmin):
    list_display = ("address", "message", "state", "attempts", "due_at", "accepted_at", "error")
    list_filter = ("state", "created_at")
    search_fields = ("address", "rfc_message_id")
    list_select_related = ("message",)
    date_hierarchy = "created_at"
    show_full_result_count = False


@admin.register(FileLink)
class FileLinkAdmin(ReadOnly, admin.ModelAdmin[FileLink]):
    """Links that stand in mails, each to be taken back with one click.

    It is here because the ticket it belongs to is: attachments know of no messages.
    """

    list_display = ("attachment", "ticket", "recipient", "expires_at", "link_state")
    list_filter = ("expires_at", ("revoked_at", admin.EmptyFieldListFilter))
    list_select_related = (
        "attachment__blob",
        "attachment__message_file__message__conversation__ticket",
    )
    search_fields = ("attachment__name", "=attachment__blob__sha256")
    fields = (
        *("attachment", "ticket", "recipient", "created_at", "expires_at", "revoked_at"),
        "link_state",
    )
    date_hierarchy = "created_at"
    show_full_result_count = False
    actions = ["revoke_links"]
    change_form_template = "tickets/admin/file_link.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[FileLink]:
        mails = "attachment__message_file__message__outgoing_emails"
        return super().get_queryset(request).prefetch_related(mails)

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("attachments.change_filelink")

    @admin.action(description=_("Revoke"), permissions=["revoke"])
    def revoke_links(self, request: HttpRequest, links: QuerySet[FileLink]) -> None:
        count = revoke(links)
        text = ngettext("%d link is revoked.", "%d links are revoked.", count) % count
        self.message_user(request, text)

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.revoke_one)
        name = "attachments_filelink_revoke"
        return [path("<int:pk>/revoke/", view, name=name), *super().get_urls()]

    def revoke_one(self, request: HttpRequest, pk: int) -> HttpResponse:
        if request.method != "POST" or not self.has_revoke_permission(request):
            raise PermissionDenied
        self.revoke_links(request, self.get_queryset(request).filter(pk=pk))
        return redirect("admin:attachments_filelink_change", pk)

    @admin.display(description=_("ticket"))
    def ticket(self, link: FileLink) -> str:
        file = getattr(link.attachment, "message_file", None)
        ticket = getattr(file.message.conversation, "ticket", None) if file else None
        if ticket is None:
            return ""
        address = reverse("tickets:ticket", args=[ticket.number])
        return format_html('<a href="{}">{}</a>', address, ticket)

    @admin.display(description=_("recipient"))
    def recipient(self, link: FileLink) -> str:
        file = getattr(link.attachment, "message_file", None)
        mails = file.message.outgoing_emails.all() if file else []
        return next((mail.address for mail in mails if given_to(mail) == link.given_to), "")

    @admin.display(description=_("state"))
    def link_state(self, link: FileLink) -> str:
        return str(link.state.label)


class ParticipantInline(ReadOnly, admin.TabularInline[Participant, Conversation]):
    model = Participant
    extra = 0


class MessageInline(ReadOnly, admin.TabularInline[Message, Conversation]):
    model = Message
    fields = ("seq", "kind", "audience", "via", "author", "body", "change", "created_at")
    extra = 0
    ordering = ("seq",)


@admin.register(Conversation)
class ConversationAdmin(ReadOnly, admin.ModelAdmin[Conversation]):
    list_display = ("__str__", "channel", "ticket", "last_seq", "created_at")
    list_filter = ("channel", "created_at")
    search_fields = ("ticket__subject", "participants__person__name")
    list_select_related = ("ticket",)
    date_hierarchy = "created_at"
    inlines = [ParticipantInline, MessageInline]
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Conversation]:
        """Not what colleagues say among themselves: that opens by a seat, to nobody else."""
        return super().get_queryset(request).exclude(channel=Conversation.Channel.INTERNAL)


@admin.register(Message)
class MessageAdmin(ReadOnly, admin.ModelAdmin[Message]):
    list_display = ("conversation", "seq", "kind", "via", "author", "start", "created_at")
    list_filter = ("kind", "via", "audience", "created_at")
    search_fields = ("body", "author__name")
    list_select_related = ("conversation", "author")
    date_hierarchy = "created_at"
    exclude = ("search",)
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Message]:
        """As of conversations."""
        among_us = {"conversation__channel": Conversation.Channel.INTERNAL}
        return super().get_queryset(request).exclude(**among_us)

    @admin.display(description=_("body"))
    def start(self, message: Message) -> str:
        return message.body[:80]


@admin.register(Ticket)
class TicketAdmin(ReadOnly, admin.ModelAdmin[Ticket]):
    """To look at. Work is done at the desk, where every change leaves its line."""

    list_display = (
        "number",
        "subject",
        "requester",
        "inbox",
        "status",
        "handler",
        "assignee",
        "waiting_since",
        "last_message_at",
    )
    list_filter = ("status", "handler", "inbox", "assignee", "team", "opened_at")
    search_fields = ("=number", "subject", "requester__name", "requester__addresses__address")
    list_select_related = ("requester", "inbox", "assignee")
    date_hierarchy = "opened_at"
    show_full_result_count = False


@admin.register(Rating)
class RatingAdmin(ReadOnly, admin.ModelAdmin[Rating]):
    list_display = ("ticket", "score", "comment", "person", "created_at")
    list_filter = ("score", "ticket__inbox")
    list_select_related = ("ticket", "person")
    date_hierarchy = "created_at"
