"""Who can speak, who can log in, and who works together."""

from __future__ import annotations

import zlib
from typing import Any, ClassVar

from django.contrib.auth.base_user import BaseUserManager
from django.contrib.auth.models import AbstractBaseUser, PermissionsMixin
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _

NAME_MAX_CHARS = 150
HUES = 8
CHAT_CAP = 4


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        """A login for someone on staff, together with the person who will speak."""
        name = fields.pop("name", "") or email.partition("@")[0]
        user = self.model(email=self.normalize_email(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        Person.objects.create(name=name, user=user)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        return self.create_user(email, password, is_superuser=True, **fields)

    def get_by_natural_key(self, username: str | None) -> User:
        return self.get(email__iexact=username)


class User(AbstractBaseUser, PermissionsMixin):
    """A login. Only staff have one; customers are known by their address or their widget."""

    email = models.EmailField(_("email address"), unique=True)
    is_active = models.BooleanField(
        _("active"), default=True, help_text=_("Unselect this instead of deleting a login.")
    )
    joined_at = models.DateTimeField(_("joined at"), default=now)
    # Markdown, below their replies by mail, above that of the inbox.
    signature = models.TextField(
        _("signature"), blank=True, default="", db_default="", max_length=2_000
    )

    away = models.BooleanField(
        _("away"),
        default=False,
        db_default=False,
        help_text=_("New chats are not given to them."),
    )
    chat_cap = models.PositiveSmallIntegerField(
        _("most chats at once"),
        default=CHAT_CAP,
        db_default=CHAT_CAP,
        help_text=_("They may take more by themselves."),
    )
    # When they were last given a chat.
    chat_given_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"

    # Staff is whoever has a login: there is no second kind.
    is_staff = True

    class Meta:
        verbose_name = _("login")
        verbose_name_plural = _("logins")
        constraints = [models.UniqueConstraint(Lower("email"), name="user_email_once")]

    def __str__(self) -> str:
        return self.email


class Person(models.Model):
    """Anyone who can speak: customer, visitor, staff, the assistant."""

    name = models.CharField(_("name"), max_length=NAME_MAX_CHARS, blank=True)
    user = models.OneToOneField(
        User, models.PROTECT, null=True, blank=True, related_name="person", verbose_name=_("login")
    )
    is_assistant = models.BooleanField(_("the assistant"), default=False)
    created_at = models.DateTimeField(_("created at"), default=now)

    class Meta:
        verbose_name = _("person")
        verbose_name_plural = _("people")
        constraints = [
            models.UniqueConstraint(
                fields=["is_assistant"], condition=Q(is_assistant=True), name="person_one_assistant"
            ),
            models.CheckConstraint(
                condition=Q(is_assistant=False) | Q(user=None), name="person_assistant_no_login"
            ),
        ]

    def __str__(self) -> str:
        return self.name or f"{_('Visitor')} {self.pk}"

    @property
    def first_name(self) -> str:
        return str(self).split()[0]

    @property
    def initials(self) -> str:
        """One or two letters for a face without a picture."""
        words = [word for word in str(self).split() if word[0].isalnum()]
        letters = [words[0], words[-1]] if len(words) > 1 else words
        return "".join(word[0] for word in letters).upper() or "?"

    @property
    def hue(self) -> int:
        """1 to HUES: the same person always has the same colour."""
        return zlib.crc32(f"{self.name}{self.pk}".encode()) % HUES + 1


class EmailAddress(models.Model):
    """An address a person writes from. One person may have several."""

    person = models.ForeignKey(
        Person, models.CASCADE, related_name="addresses", verbose_name=_("person")
    )
    address = models.EmailField(_("address"), max_length=254)
    is_primary = models.BooleanField(_("primary"), default=True)
    # False: somebody said in a widget that it is theirs. It is written to, and proves nothing.
    is_verified = models.BooleanField(_("verified"), default=True, db_default=True)

    class Meta:
        verbose_name = _("email address")
        verbose_name_plural = _("email addresses")
        constraints = [
            models.UniqueConstraint(Lower("address"), name="emailaddress_once"),
            models.UniqueConstraint(
                fields=["person"], condition=Q(is_primary=True), name="emailaddress_one_primary"
            ),
        ]

    def __str__(self) -> str:
        return self.address


class Team(models.Model):
    """People who answer the same inboxes."""

    name = models.CharField(_("name"), max_length=80, unique=True)
    members = models.ManyToManyField(
        User, blank=True, related_name="teams", verbose_name=_("members")
    )

    class Meta:
        verbose_name = _("team")
        verbose_name_plural = _("teams")

    def __str__(self) -> str:
        return self.name
