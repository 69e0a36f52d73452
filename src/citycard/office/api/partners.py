# SPDX-License-Identifier: Apache-2.0
"""The API of other members: bring an exchange file, list and fetch those for you; a bearer token each.

A file's own signature goes in a header of its own, so that the body is the file, byte for byte.
"""

from __future__ import annotations

from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from ninja import Router, Status
from ninja.security import HttpBearer

from citycard.core.interop.files import FileName
from citycard.office.api import errors
from citycard.office.api.shapes import Error, FileList, FileReceived
from citycard.office.partners import access, inbox, outbox
from citycard.office.partners.http import SIGNATURE_HEADER
from citycard.office.partners.models import ExchangeFile, Member

FILE_MOST: Final = 64 * 2**20  # larger files go through the drop box
LIST_MOST: Final = 1000
REFUSED: Final = {401: Error, 403: Error, 404: Error, 409: Error, 413: Error, 422: Error, 503: Error}


class MemberToken(HttpBearer):
    """Knows a member by its token and refuses what is too large before it is read."""

    def authenticate(self, request: HttpRequest, token: str) -> Member | None:
        """The member, kept as `request.auth`."""
        size = request.META.get("CONTENT_LENGTH") or "0"
        if not size.isdigit() or int(size) > FILE_MOST:
            raise errors.TOO_LARGE(size=size, most=FILE_MOST)
        return access.member_of(token)


router = Router(auth=MemberToken(), tags=["partners"])


def _member(request: HttpRequest) -> Member:
    member = request.auth  # type: ignore[attr-defined]
    assert isinstance(member, Member)
    return member


@router.put(
    "/files/{name}", response={200: FileReceived, 201: FileReceived, **REFUSED}, summary="Bring a file"
)
def bring_file(request: HttpRequest, name: str) -> Any:
    """Durable when answered: 201 taken or waiting for its turn, 200 known, 409 altered, 422 refused."""
    member = _member(request)
    parsed = FileName.parse(name)
    if parsed.sender != member.org:
        raise errors.OTHER_MEMBER(org=member.org, found=parsed.sender)
    signature = request.headers.get(SIGNATURE_HEADER, "").encode("ascii", "replace")
    receipt = inbox.receive(name, request.read(), signature or None)
    return Status(200 if receipt.status == "known" else 201, {"name": name, "status": receipt.status})


@router.get("/files", response={200: FileList, **REFUSED}, summary="Which files wait for you?")
def list_files(request: HttpRequest) -> Any:
    """Names of files not fetched yet, in order."""
    found = outbox.waiting(_member(request))[:LIST_MOST]
    return Status(200, {"files": [str(outbox.name_of(file)) for file in found]})


@router.get("/files/{name}", response={**REFUSED}, summary="Fetch a file")
def fetch_file(request: HttpRequest, name: str) -> Any:
    """The file's bytes, its signature in the header."""
    raw, signature = outbox.sealed(_ours(_member(request), name))
    answer = HttpResponse(raw, content_type="application/octet-stream")
    answer[SIGNATURE_HEADER] = signature.decode("ascii").strip()
    return answer


@router.post("/files/{name}/fetched", response={200: FileReceived, **REFUSED}, summary="A file was fetched")
def file_fetched(request: HttpRequest, name: str) -> Any:
    """The file is durable at the member's: it is not listed any more."""
    outbox.delivered(_ours(_member(request), name))
    return Status(200, {"name": name, "status": "fetched"})


def _ours(member: Member, name: str) -> ExchangeFile:
    """Our file of this name for this member; NO_ADDRESS."""
    parsed = FileName.parse(name)
    found = ExchangeFile.objects.filter(
        sender=parsed.sender, receiver=member.org, control=parsed.control, sequence=parsed.sequence,
        file=parsed.file, status=ExchangeFile.Status.MADE,
    ).first()  # fmt: skip
    if found is None or str(outbox.name_of(found)) != name:
        raise errors.NO_ADDRESS(path=name)
    return found
