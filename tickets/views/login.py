"""Coming in."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth import views as auth
from django.http import HttpRequest, HttpResponse

from helpdesk.lib.addresses import sender_of
from helpdesk.lib.errors import SlowDown
from helpdesk.lib.limits import hit
from tickets.forms import LoginForm
from tickets.models import Desk


class Login(auth.LoginView):
    """The page at `/`. Who is logged in already goes straight to their tickets."""

    template_name = "tickets/login.html"
    form_class = LoginForm
    redirect_authenticated_user = True

    def post(self, request: HttpRequest, *args: str, **kwargs: Any) -> HttpResponse:
        """Try a login. The address, or the login, that tries too often is asked to wait."""
        login = request.POST.get("username", "")[:254]
        for key in (sender_of(request), login.lower()):
            if wait := hit(f"login:{key}", settings.LOGIN_TRIES_PER_MINUTE, 60):
                return self._later(login, wait)
        return super().post(request, *args, **kwargs)

    def _later(self, login: str, wait_seconds: int) -> HttpResponse:
        """The form again, with the address that was typed into it."""
        form = self.form_class(self.request, initial={"username": login})
        context = self.get_context_data(form=form, trouble=str(SlowDown(wait_seconds)))
        headers = {"Retry-After": str(wait_seconds)}
        return self.render_to_response(context, status=429, headers=headers)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        desk = Desk.objects.filter(pk=1).first() or Desk()
        return super().get_context_data(**kwargs) | {"desk": desk}
