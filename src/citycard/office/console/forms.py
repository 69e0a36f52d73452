# SPDX-License-Identifier: Apache-2.0
"""The forms of the counter: what a clerk is asked before a verb is done, and to register a holder."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from citycard.office.console.labels import DOCUMENTS, LISTED
from citycard.office.holders import register
from citycard.office.holders.models import Holder, Kind, Level

BLOCK_REASONS = ("risk", "faulty", "found", "misuse")
YUAN_MAX = 100_000  # no card holds more


class Form(forms.Form):
    """A form whose fields look like the console."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("label_suffix", "")
        super().__init__(*args, **kwargs)
        for item in self.fields.values():
            checkbox = isinstance(item.widget, forms.CheckboxInput)
            item.widget.attrs.setdefault("class", "cc-check" if checkbox else "cc-input")


class Confirm(Form):
    """Nothing to be asked but whether it is meant."""


class HolderChoice(Form):
    """Who: by holder number, or by the document on the counter."""

    holder = forms.CharField(label=_("Holder number"), required=False)
    document_type = forms.ChoiceField(
        label=_("Document"), choices=[("", "—"), *DOCUMENTS.items()], required=False
    )
    document_number = forms.CharField(label=_("Document number"), required=False, max_length=40)
    needed = True

    def clean(self) -> dict[str, Any]:
        """Finds the person, or says that there is none."""
        data = super().clean() or {}
        asked = bool(data.get("holder") or data.get("document_number"))
        data["person"] = self._found(data) if asked else None
        if asked and data["person"] is None:
            raise ValidationError(_("No holder is registered under this number or document."))
        if self.needed and not asked:
            raise ValidationError(_("Enter the holder's number or document."))
        return data

    @staticmethod
    def _found(data: dict[str, Any]) -> Holder | None:
        if number := data.get("holder"):
            try:
                return Holder.objects.select_related("guardian").filter(pk=UUID(str(number).strip())).first()
            except ValueError:
                return None
        return register.find(data.get("document_type") or "", data["document_number"])


class OptionalHolder(HolderChoice):
    """The same; an ordinary card may go to anyone."""

    needed = False


class Block(Form):
    """Why a card is withdrawn."""

    reason = forms.ChoiceField(label=_("Reason"), choices=[(code, LISTED[code]) for code in BLOCK_REASONS])


class InHand(Form):
    """The balance read from the card when it lies on the counter."""

    in_hand = forms.DecimalField(
        label=_("Balance read from the card (yuan)"),
        help_text=_("Leave it empty when the card is not in hand."),
        required=False,
        min_value=Decimal(0),
        max_value=YUAN_MAX,
        decimal_places=2,
    )

    @property
    def in_hand_fen(self) -> int | None:
        """In fen, or None when the card is not there."""
        value = self.cleaned_data.get("in_hand")
        return None if value is None else int(value * 100)


class Replace(InHand):
    """The new card and the old card's balance."""

    new = forms.CharField(
        label=_("New card's number"), min_length=20, max_length=20, help_text=_("A card from stock.")
    )
    field_order = ("new", "in_hand")


class Raise(Form):
    """Why an exchanged tap is disputed, and what it should have been."""

    cause = forms.ChoiceField(label=_("Cause"))
    right = forms.DecimalField(
        label=_("Right amount (yuan)"),
        help_text=_("What should have been charged; 0 when nothing."),
        min_value=Decimal(0),
        max_value=YUAN_MAX,
        decimal_places=2,
        initial=Decimal(0),
    )
    words = forms.CharField(label=_("In words"), max_length=60)

    def __init__(self, *args: Any, causes: list[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["cause"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = causes

    @property
    def right_fen(self) -> int:
        """In fen."""
        return int(self.cleaned_data["right"] * 100)


class Reply(Form):
    """What is said with an act in a dispute."""

    words = forms.CharField(label=_("In words"), max_length=60, required=False)


class NewHolder(Form):
    """Registers a person."""

    name = forms.CharField(label=_("Name"), max_length=80)
    birth_on = forms.DateField(label=_("Date of birth"), widget=forms.DateInput(attrs={"type": "date"}))
    kind = forms.ChoiceField(label=_("Kind"), choices=Kind.choices)
    level = forms.TypedChoiceField(label=_("Verification level"), choices=Level.choices, coerce=int)
    document_type = forms.ChoiceField(
        label=_("Document"), choices=[("", "—"), *DOCUMENTS.items()], required=False
    )
    document_number = forms.CharField(
        label=_("Document number"),
        max_length=40,
        required=False,
        help_text=_("Only a mask and a keyed digest are kept."),
    )
    phone = forms.CharField(label=_("Phone"), max_length=20, required=False)
    guardian = forms.CharField(
        label=_("Guardian's holder number"), required=False, help_text=_("Needed for a minor.")
    )

    def clean_guardian(self) -> Holder | None:
        """The guardian by number."""
        text = self.cleaned_data["guardian"].strip()
        if not text:
            return None
        try:
            found = Holder.objects.filter(pk=UUID(text)).first()
        except ValueError:
            found = None
        if found is None:
            raise ValidationError(_("No holder is registered under this number or document."))
        return found
