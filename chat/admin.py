from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from chat.models import JoinLink, UnreadMail, VisitorSession
from chat.operations import revoke_session
from helpdesk.lib.admin import ReadOnly, WorkAdmin


@admin.register(VisitorSession)
class VisitorSessionAdmin(admin.ModelAdmin[VisitorSession]):
    """To look at, and to revoke. Sessions begin in the widget only."""

    list_display = ("person", "inbox", "origin", "created_at", "last_seen_at", "revoked_at")
    list_filter = ("inbox", ("revoked_at", admin.EmptyFieldListFilter))
    search_fields = ("person__name", "origin")
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
