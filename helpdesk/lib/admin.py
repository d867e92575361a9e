"""What the admin pages of several apps share."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from helpdesk.lib import work


class ReadOnly:
    """Rows that operations write: to be looked at."""

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class WorkAdmin(admin.ModelAdmin[Any]):
    """Shared by every queue: its state, and one click to try again what failed or waits."""

    actions = ["try_again"]
    change_form_template = "admin/work_change_form.html"

    @admin.action(description=_("Try again now"), permissions=["view"])
    def try_again(self, request: HttpRequest, rows: QuerySet[Any]) -> None:
        self._try(request, rows)

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.try_one)
        name = f"{self.opts.app_label}_{self.opts.model_name}_try"
        return [path("<path:object_id>/try/", view, name=name), *super().get_urls()]

    def try_one(self, request: HttpRequest, object_id: str) -> HttpResponse:
        if request.method != "POST" or not self.has_view_permission(request):
            raise PermissionDenied
        self._try(request, self.get_queryset(request).filter(pk=object_id))
        return redirect(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", object_id)

    def _try(self, request: HttpRequest, rows: QuerySet[Any]) -> None:
        count = work.retry(rows)
        text = ngettext("%d is tried again.", "%d are tried again.", count) % count
        level = messages.SUCCESS if count else messages.WARNING
        none = _("None of these has failed or is waiting to be tried.")
        self.message_user(request, text if count else none, level)
