"""What mail services send when mail comes, as their manuals describe it.

Mailgun: "Receiving, forwarding and storing messages"; Postmark: "Inbound webhook"; SendGrid:
"Inbound Parse"; Amazon: "Contents of notifications for receiving" and "HTTP headers of SNS".
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import httpx

KEY = "signing-key-0123456789"
TO = "hello@shop.example"
SENDER = "carol@mail.example"
FORM = "application/x-www-form-urlencoded"
Parts = Sequence[tuple[str, str, str, bytes]]  # name, name of a file, its type, content


@dataclass
class Call:
    """One request."""

    kind: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)

    def to(self, address: str) -> httpx.Response:
        """Made as the services make it: who is in the address goes into a header."""
        headers = {"Content-Type": self.kind, **self.headers}
        with httpx.Client(trust_env=False, timeout=60) as http:
            return http.post(address, content=self.body, headers=headers)


def multipart(fields: dict[str, bytes], files: Parts = ()) -> Call:
    boundary = uuid4().hex
    pieces = []
    for name, content in fields.items():
        head = f'Content-Disposition: form-data; name="{name}"'
        pieces.append(f"--{boundary}\r\n{head}\r\n\r\n".encode() + content + b"\r\n")
    for name, file, kind, content in files:
        head = f'Content-Disposition: form-data; name="{name}"; filename="{file}"'
        head += f"\r\nContent-Type: {kind}"
        pieces.append(f"--{boundary}\r\n{head}\r\n\r\n".encode() + content + b"\r\n")
    body = b"".join(pieces) + f"--{boundary}--\r\n".encode()
    return Call(f"multipart/form-data; boundary={boundary}", body)


def signed(fields: dict[str, bytes], key: str = KEY, token: str = "") -> dict[str, bytes]:
    token, moment = token or uuid4().hex + uuid4().hex[:18], "1764180000"
    digest = hmac.new(key.encode(), f"{moment}{token}".encode(), hashlib.sha256).hexdigest()
    more = {"timestamp": moment, "token": token, "signature": digest}
    return fields | {name: value.encode() for name, value in more.items()}


def mailgun(
    raw: bytes, *, key: str = KEY, to: str = TO, token: str = "", sender: str = SENDER
) -> Call:
    fields = {"recipient": to.encode(), "sender": sender.encode(), "body-mime": raw}
    return multipart(signed(fields, key, token))


def mailgun_by_form(raw: bytes) -> Call:
    fields = signed({"recipient": TO.encode(), "sender": SENDER.encode(), "body-mime": raw})
    return Call(FORM, urlencode(fields).encode())


def mailgun_in_parts(text: str, files: Parts) -> Call:
    headers = [
        ["From", "Carol <carol@mail.example>"],
        ["To", TO],
        ["Subject", "Größe"],
        ["Message-Id", "<parts-1@mail.example>"],
    ]
    fields = {
        "recipient": TO.encode(),
        "message-headers": json.dumps(headers).encode(),
        "body-plain": text.encode(),
        "attachment-count": str(len(files)).encode(),
    }
    return multipart(signed(fields), files)


def postmark(raw: bytes, *, to: str = TO, name: str = "", sender: str = SENDER) -> Call:
    said = {
        "MessageID": name or str(uuid4()),
        "OriginalRecipient": to,
        "Headers": [{"Name": "Return-Path", "Value": f"<{sender}>"}],
        "RawEmail": raw.decode(),
    }
    return Call("application/json", json.dumps(said).encode())


def postmark_in_parts(text: str, file: bytes) -> Call:
    said = {
        "MessageID": str(uuid4()),
        "OriginalRecipient": TO,
        "FromFull": {"Email": "carol@mail.example", "Name": "Carol", "MailboxHash": ""},
        "ToFull": [{"Email": TO, "Name": "", "MailboxHash": ""}],
        "Subject": "Größe",
        "Date": "Mon, 3 Mar 2025 10:00:00 +0000",
        "TextBody": text,
        "HtmlBody": "",
        "Headers": [{"Name": "Message-ID", "Value": "<parts-2@mail.example>"}],
        "Attachments": [
            {
                "Name": "bill.pdf",
                "ContentType": "application/pdf",
                "Content": base64.b64encode(file).decode(),
            }
        ],
    }
    return Call("application/json", json.dumps(said).encode())


def sendgrid(raw: bytes, *, to: str = TO, sender: str = SENDER) -> Call:
    envelope = json.dumps({"to": [to], "from": sender})
    return multipart({"envelope": envelope.encode(), "charsets": b"{}", "email": raw})


def sendgrid_in_parts(text: str, file: bytes) -> Call:
    headers = f"From: Carol <carol@mail.example>\nTo: {TO}\nMessage-ID: <parts-3@mail.example>\n"
    info = {"attachment1": {"filename": "bill.pdf", "name": "bill.pdf", "type": "application/pdf"}}
    fields = {
        "headers": (headers + "Subject: =?utf-8?q?Gr=C3=B6=C3=9Fe?=\n").encode(),
        "envelope": json.dumps({"to": [TO], "from": "carol@mail.example"}).encode(),
        "charsets": json.dumps({"text": "iso-8859-1"}).encode(),
        "text": text.encode("iso-8859-1"),
        "attachment-info": json.dumps(info).encode(),
    }
    return multipart(fields, [("attachment1", "bill.pdf", "application/pdf", file)])


def sns(message: Any, kind: str = "Notification", **more: Any) -> Call:
    number = str(uuid4())
    text = message if isinstance(message, str) else json.dumps(message)
    said = {"Type": kind, "MessageId": number, "Message": text, **more}
    said["TopicArn"] = "arn:aws:sns:eu-west-1:123456789012:mail"
    headers = {"x-amz-sns-message-type": kind, "x-amz-sns-message-id": number}
    return Call("text/plain; charset=UTF-8", json.dumps(said).encode(), headers)


def ses(
    content: dict[str, Any],
    action: dict[str, str],
    *,
    name: str = "",
    to: str = TO,
    sender: str = SENDER,
) -> Call:
    about = {
        "notificationType": "Received",
        "mail": {"messageId": name or uuid4().hex, "source": sender},
        "receipt": {"recipients": [to], "action": action},
    }
    return sns(about | content)


def ses_whole(raw: bytes, **more: Any) -> Call:
    content = {"content": base64.b64encode(raw).decode()}
    return ses(content, {"type": "SNS", "encoding": "BASE64"}, **more)


def ses_as_text(raw: bytes) -> Call:
    return ses({"content": raw.decode()}, {"type": "SNS", "encoding": "UTF8"})


def ses_in_bucket(bucket: str, key: str) -> Call:
    return ses({}, {"type": "S3", "bucketName": bucket, "objectKey": key})
