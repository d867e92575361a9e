"""Where mail services bring mail."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from tickets.access import access_hook
from tickets.mail.hooks import SERVICES
from tickets.operations.bringing import take_in


@csrf_exempt
@require_http_methods(["HEAD", "POST"])
def mail_hook(request: HttpRequest, service: str, key: str) -> HttpResponse:
    """Take what a service brings. 200 once it is stored: what is not, it brings again."""
    mailbox = access_hook(service, key)
    if request.method == "HEAD":  # some look whether anybody is there
        return HttpResponse()
    if not SERVICES[service].signs and "Authorization" not in request.headers:
        challenge = {"WWW-Authenticate": 'Basic realm="mail"'}  # Amazon waits for it
        return HttpResponse(status=401, headers=challenge)
    take_in(mailbox, request)
    return HttpResponse()
