"""Addresses of the desk."""

from __future__ import annotations

from django.contrib.auth.views import LogoutView
from django.urls import include, path

from tickets.api.uploads import UploadsView, UploadView
from tickets.views import acts, fragments, mailboxes, me, merging, pages
from tickets.views.assistant import assistant
from tickets.views.chats import chats
from tickets.views.colleagues import colleagues
from tickets.views.files import file_link, preview_link
from tickets.views.hooks import mail_hook
from tickets.views.login import Login
from tickets.views.mail_html import mail_html
from tickets.views.new_ticket import new_ticket

app_name = "tickets"

ticket = [
    path("", pages.ticket_page, name="ticket"),
    path("timeline/", fragments.timeline, name="timeline"),
    path("messages/<int:seq>/", fragments.message, name="message"),
    path("messages/<int:seq>/original/", fragments.original, name="original"),
    path("messages/<int:seq>/html/", mail_html, name="mail_html"),
    path("messages/<int:seq>/deliver/", acts.deliver, name="deliver"),
    path("messages/<int:seq>/move/", acts.move, name="move"),
    path("messages/<int:seq>/take-back/", acts.take_back_reply, name="take-back"),
    path("copies/<int:seat>/leave-out/", acts.leave_out_copy, name="leave-out"),
    path("about/", fragments.about, name="about"),
    path("marks/", fragments.marks, name="marks"),
    path("reply/", acts.reply, name="reply"),
    path("note/", acts.note, name="note"),
    path("assign/", acts.assign, name="assign"),
    path("hand/", acts.hand, name="hand"),
    path("solve/", acts.solve, name="solve"),
    path("reopen/", acts.reopen, name="reopen"),
    path("merge/", merging.merge, name="merge"),
    path("split/", merging.split, name="split"),
    path("seen/", acts.seen, name="seen"),
]

urlpatterns = [
    path("", Login.as_view(), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("tickets/", pages.ticket_list, name="list"),
    path("tickets/new/", new_ticket, name="new"),
    path("tickets/deliver/", acts.deliver_all, name="deliver-all"),
    path("tickets/<int:number>/", include(ticket)),
    path("chats/", chats, name="chats"),
    path("conversations/<int:pk>/colleagues/", colleagues, name="colleagues"),
    path("files/uploads/", UploadsView.as_view(), name="uploads"),
    path("files/uploads/<uuid:uuid>", UploadView.as_view(), name="upload"),
    # With a slash at its end, which no name of a file has.
    path("files/<uuid:uuid>/preview/", preview_link, name="preview"),
    path("files/<uuid:uuid>/<path:name>", file_link, name="file"),
    path("assistant/", assistant, name="assistant"),
    path("settings/me/", me.settings_page, name="me"),
    path("settings/away/", me.away, name="away"),
    path("tickets/calls/", me.calls, name="calls"),
    path("settings/mailboxes/", mailboxes.mailbox_list, name="mailboxes"),
    path("settings/mailboxes/new/", mailboxes.new_mailbox, name="new-mailbox"),
    path("settings/mailboxes/signed-in/", mailboxes.signed_in, name="mailbox-signed-in"),
    path("settings/mailboxes/<int:pk>/", mailboxes.mailbox_page, name="mailbox"),
    path("settings/mailboxes/<int:pk>/sign-in/", mailboxes.sign_in, name="mailbox-sign-in"),
    path("settings/mailboxes/<int:pk>/remove/", mailboxes.remove, name="remove-mailbox"),
    path("settings/mailboxes/<int:pk>/check/", mailboxes.check_mailbox, name="check-mailbox"),
    path(
        "settings/mailboxes/<int:pk>/check/<slug:run>/",
        mailboxes.check_state,
        name="mailbox-check",
    ),
    path("settings/mailboxes/<int:pk>/brought/", mailboxes.brought, name="mailbox-brought"),
    # By an address that ends so Mailgun sends mails whole (its manual, "Routes", forward).
    path("hooks/mail/<slug:service>/<slug:key>/mime", mail_hook, name="mail-hook"),
]
