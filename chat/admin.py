from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from chat.identify import new_identity_secret
from chat.models import (
    Identity,
    IdentitySecret,
    JoinLink,
    Transcript,
    UnreadMail,
    VisitorSession,
)
from chat.operations import revoke_session
from helpdesk.lib.admin import ReadOnly, WorkAdmin


@admin.register(VisitorSession)
class VisitorSessionAdmin(admin.ModelAdmin[VisitorSession]):
    """To look at, and to revoke. Sessions begin in the widget only."""

    list_display = ("person", "inbox", "origin", "created_at", "last_seen_at", "revoked_at")
    list_filter = ("inbox", ("revoked_at", admin.EmptyFieldListFilter))
    search_fields = ("person__name", "origin", "claimed_email")
    list_select_related = ("person", "inbox")
    date_hierarchy = "created_at"
    actions = ("revoke",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    @admin.action(description=_("Revoke the selected sessions"), permissions=["delete"])
    def revoke(self, request: HttpRequest, sessions: QuerySet[VisitorSession]) -> None:
        for session in sessions:
            revoke_session(session.pk)


@admin.register(JoinLink)
class JoinLinkAdmin(ReadOnly, admin.ModelAdmin[JoinLink]):
    """To look at. They are made and revoked where the conversation is."""

    list_display = (
        "conversation",
        "created_by",
        "uses",
        "uses_max",
        "created_at",
        "expires_at",
        "revoked_at",
    )
    list_filter = (("revoked_at", admin.EmptyFieldListFilter),)
    list_select_related = ("conversation", "created_by")
    date_hierarchy = "created_at"


@admin.register(UnreadMail)
class UnreadMailAdmin(ReadOnly, WorkAdmin):
    list_display = ("conversation_id", "seq", "state", "attempts", "due_at", "error")
    list_filter = ("state",)
    date_hierarchy = "posted_at"
    show_full_result_count = False


@admin.register(Identity)
class IdentityAdmin(ReadOnly, admin.ModelAdmin[Identity]):
    list_display = ("external_id", "person", "inbox", "created_at", "revoked_at")
    list_filter = ("inbox",)
    search_fields = ("external_id", "person__name")
    list_select_related = ("person", "inbox")


@admin.register(IdentitySecret)
class IdentitySecretAdmin(admin.ModelAdmin[IdentitySecret]):
    """Adding one makes it. The one before holds on until another is added, or it is deleted."""

    list_display = ("inbox", "secret", "created_at")
    list_filter = ("inbox",)
    list_select_related = ("inbox",)
    fields = ("inbox", "secret")
    readonly_fields = ("secret",)

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        made = new_identity_secret(obj.inbox)
        obj.pk, obj.secret = made.pk, made.secret


@admin.register(Transcript)
class TranscriptAdmin(WorkAdmin):
    list_display = ("address", "inbox", "state", "created_at", "error")
    list_filter = ("state", "inbox")
    search_fields = ("address",)
    list_select_related = ("inbox",)
