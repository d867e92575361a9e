from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from attachments.models import Attachment, Check
from helpdesk.lib.admin import ReadOnly, WorkAdmin


@admin.register(Attachment)
class AttachmentAdmin(ReadOnly, admin.ModelAdmin[Attachment]):
    """To look at. Files come with messages, and go when nothing shows them any more."""

    list_display = ("name", "type", "size_bytes", "created_at")
    list_select_related = ("blob",)
    list_filter = ("blob__type", "created_at")
    search_fields = ("name", "blob__sha256")
    date_hierarchy = "created_at"
    show_full_result_count = False

    @admin.display(description=_("type"), ordering="blob__type")
    def type(self, attachment: Attachment) -> str:
        return attachment.blob.type if attachment.blob else ""

    @admin.display(description=_("size (bytes)"), ordering="blob__size_bytes")
    def size_bytes(self, attachment: Attachment) -> int | None:
        return attachment.blob.size_bytes if attachment.blob else attachment.announced_bytes


@admin.register(Check)
class CheckAdmin(ReadOnly, WorkAdmin):
    """What became of looking into files: failed ones can be tried again."""

    list_display = ("attachment", "state", "attempts", "due_at", "error")
    list_select_related = ("attachment",)
    list_filter = ("state",)
    show_full_result_count = False
