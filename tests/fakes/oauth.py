"""An authorization server: RFC 6749 with PKCE (RFC 7636), as strict as the real ones.

It speaks on the paths of Microsoft's and of Google's. Codes and refresh tokens are good for one
use; who uses one again loses everything that came of it (RFC 9700, 4.14.2). Dovecot asks it, too,
whose an access token is.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

CLIENT_ID, CLIENT_SECRET = "client-1", "client secret / with + signs"
GOOGLE, MICROSOFT = "/o/oauth2/v2/auth", "/common/oauth2/v2.0/authorize"
TOKENS = ("/token", "/common/oauth2/v2.0/token")


@dataclass
class Grant:
    """What somebody allowed, until it is taken back."""

    email: str
    ends: bool = False


@dataclass
class Code:
    grant: Grant
    redirect: str
    challenge: str
    is_used: bool = False


@dataclass
class OAuthServer:
    """What it knows, and how it answers."""

    url: str = ""
    redirects: set[str] = field(default_factory=set)  # the registered ones
    email: str = "hello@shop.example"  # who sits before the browser
    scopes: set[str] = field(default_factory=set)  # of the last question
    expires_seconds: int = 3_600
    gives_refresh: bool = True
    unticked: set[str] = field(default_factory=set)  # scopes that somebody does not allow
    rotates: bool = True
    delay_seconds: float = 0.0  # before a token is answered
    answer: tuple[int, Any] | None = None  # instead of an honest one
    codes: dict[str, Code] = field(default_factory=dict)
    access: dict[str, tuple[Grant, float]] = field(default_factory=dict)
    refreshes: dict[str, Grant] = field(default_factory=dict)
    spent: dict[str, Grant] = field(default_factory=dict)
    asked: list[dict[str, str]] = field(default_factory=list)  # forms at the token endpoint
    lock: Lock = field(default_factory=Lock)

    # --- What tests do ---

    def allow(self, address: str) -> str:
        """Somebody opens this address and says yes; where they are sent then."""
        wrong = self.wrong_with(self._query(address))
        assert not wrong, wrong
        return self._sent_back(self._query(address), "allow")

    def take_back(self) -> None:
        for grant in (*self.refreshes.values(), *(grant for grant, _ in self.access.values())):
            grant.ends = True

    # --- Asking for permission ---

    @staticmethod
    def _query(address: str) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}

    def wrong_with(self, query: dict[str, str]) -> str:
        """Why a question must not be asked of anybody (4.1.2.1, 4.3)."""
        challenge = query.get("code_challenge", "")
        if query.get("client_id") != CLIENT_ID:
            return "unknown client"
        if query.get("redirect_uri") not in self.redirects:
            return f"{query.get('redirect_uri')} is not registered"
        if query.get("response_type") != "code":
            return "unsupported_response_type"
        if query.get("code_challenge_method") != "S256" or not 43 <= len(challenge) <= 128:
            return "PKCE is required"
        if len(query.get("state", "")) < 16:
            return "a state is required"
        if "openid" not in query.get("scope", "").split():
            return "invalid_scope"
        return ""

    def _sent_back(self, query: dict[str, str], decision: str) -> str:
        answer = {"state": query["state"]}
        if decision == "allow":
            code = secrets.token_urlsafe(24)
            self.scopes = set(query["scope"].split())
            self.codes[code] = Code(
                Grant(self.email), query["redirect_uri"], query["code_challenge"]
            )
            answer["code"] = code
        else:
            answer |= {"error": "access_denied", "error_description": "The user said no."}
        return f"{query['redirect_uri']}?{urlencode(answer)}"

    def page(self, path: str, query: dict[str, str]) -> tuple[int, str, str]:
        """Status, where to, and a page."""
        if wrong := self.wrong_with(query):
            return 400, "", f"<h1>{html.escape(wrong)}</h1>"
        if query.get("decision"):
            return 302, self._sent_back(query, query["decision"]), ""
        links = "".join(
            f'<p><a href="{path}?{html.escape(urlencode({**query, "decision": one}))}">{one}</a>'
            for one in ("allow", "deny")
        )
        return 200, "", f"<title>Sign in</title><h1>{html.escape(self.email)}</h1>{links}"

    # --- Giving tokens ---

    def tokens(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        time.sleep(self.delay_seconds)
        with self.lock:
            self.asked.append(form)
            if self.answer is not None:
                return self.answer
            if (form.get("client_id"), form.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
                return 401, {"error": "invalid_client", "error_description": "Who are you?"}
            match form.get("grant_type"):
                case "authorization_code":
                    grant = self._by_code(form)
                case "refresh_token":
                    grant = self._by_refresh(form["refresh_token"])
                case _:
                    return 400, {"error": "unsupported_grant_type"}
            if grant is None or grant.ends:
                return 400, {"error": "invalid_grant", "error_description": "It has ended."}
            return 200, self._given(grant, form)

    def _by_code(self, form: dict[str, str]) -> Grant | None:
        code = self.codes.get(form.get("code", ""))
        if code is None:
            return None
        if code.is_used:
            code.grant.ends = True
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        fits = code.challenge == challenge and code.redirect == form.get("redirect_uri")
        code.is_used = True
        return code.grant if fits else None

    def _by_refresh(self, token: str) -> Grant | None:
        if token in self.spent:  # stolen, by us or by somebody else
            self.spent[token].ends = True
        return self.refreshes.get(token)

    def _given(self, grant: Grant, form: dict[str, str]) -> dict[str, Any]:
        access = f"access-{secrets.token_urlsafe(24)}"
        self.access[access] = (grant, time.time() + self.expires_seconds)
        given: dict[str, Any] = {
            "token_type": "Bearer",
            "access_token": access,
            "expires_in": self.expires_seconds,
        }
        old = form.get("refresh_token", "")
        if self.gives_refresh and (self.rotates or not old):
            given["refresh_token"] = f"refresh-{secrets.token_urlsafe(24)}"
            self.refreshes[given["refresh_token"]] = grant
            if self.refreshes.pop(old, None):
                self.spent[old] = grant
        given["scope"] = " ".join(self.scopes - self.unticked)
        claims = base64.urlsafe_b64encode(json.dumps({"email": grant.email}).encode())
        given["id_token"] = f"e30.{claims.decode().rstrip('=')}.c2lnbmVk"
        return given

    def whose(self, token: str) -> tuple[int, dict[str, Any]]:
        grant, ends_at = self.access.get(token, (None, 0.0))
        if grant is None or grant.ends or ends_at < time.time():
            return 401, {"error": "invalid_token"}
        return 200, {"email": grant.email}


@contextmanager
def oauth_server() -> Iterator[OAuthServer]:
    known = OAuthServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, _, text = self.path.partition("?")
            query = {name: values[0] for name, values in parse_qs(text).items()}
            if path == "/tokeninfo":
                self._json(*known.whose(query.get("access_token", "")))
            elif path in (GOOGLE, MICROSOFT):
                status, to, page = known.page(path, query)
                self._say(status, "text/html", page.encode(), {"Location": to} if to else {})
            else:
                self._say(404, "text/plain", b"", {})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode("ascii")
            is_form = self.headers["Content-Type"] == "application/x-www-form-urlencoded"
            if self.path in TOKENS and is_form:
                form = {name: values[0] for name, values in parse_qs(body).items()}
                self._json(*known.tokens(form))
            else:
                self._json(404, {"error": "invalid_request"})

        def _json(self, status: int, said: Any) -> None:
            content = said if isinstance(said, bytes) else json.dumps(said).encode()
            self._say(status, "application/json", content, {"Cache-Control": "no-store"})

        def _say(self, status: int, kind: str, content: bytes, more: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {"Content-Type": kind, **more}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        known.url = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield known
        finally:
            server.shutdown()
            thread.join()
