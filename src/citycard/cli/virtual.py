# SPDX-License-Identifier: Apache-2.0
"""`citycard card emulate`: an emulated card joins pcscd as a card in a virtual reader."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from citycard.cli.desk import load_image, save_image
from citycard.core.kinds import kinds
from citycard.core.problem import declare
from citycard.terminal import vpcd

if TYPE_CHECKING:
    from citycard.core.kinds import Emulated
    from citycard.terminal import Link

TEAR_PAUSE_S: Final = 1.5  # pcscd looks every 0.4 s whether a card is there; so it surely sees it gone

VPCD_PORTS = declare(
    "VPCD_PORTS",
    "Ports {port} and {next} of 127.0.0.1 are not both free ({why}); choose another with --port.",
    "127.0.0.1 的端口 {port} 和 {next} 未同时空闲（{why}），请用 --port 另选端口。",
)


def emulate(
    profile: Annotated[
        str, typer.Option(help=f"Kind of a new card: {', '.join(kinds())}, or gp:KIND.")
    ] = "t-union",
    image: Annotated[
        Path | None,
        typer.Option(help="File that holds the card: used if there, else made; saved with every change."),
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65534, help="Port of vpcd.")] = vpcd.PORT,
    host: Annotated[str, typer.Option(help="Where vpcd listens.")] = vpcd.HOST,
    reversed_: Annotated[
        bool,
        typer.Option("--reversed", help="Wait for a vpcd that dials (ports PORT and PORT+1), before pcscd."),
    ] = False,
    tear_at: Annotated[
        int | None, typer.Option(min=0, help="Tear the card away at this exchange, once, and come back.")
    ] = None,
    unheard: Annotated[
        bool, typer.Option("--unheard", help="The torn command never arrives; else only its answer is lost.")
    ] = False,
) -> None:
    """Put an emulated card into a virtual PC/SC reader until Ctrl-C. 模拟卡片接入虚拟读卡器。

    A new card is blank: a CPU card under the makers' sample transport key (16 times FF), which `citycard card
    personalise --factory-key` makes an issuer's; security domains under GlobalPlatform's published test key;
    M1 sectors under FFFFFFFFFFFF. The image file holds the card's keys: keep it as a secret.
    """
    from citycard.terminal import EmulatedLink

    card = _card(profile, image)
    uid = _uid_of(card)
    link = EmulatedLink(card, tear_at, heard=not unheard)
    kept = [b""]

    def keep() -> None:
        if image is not None and (now := card.image()) != kept[0]:
            save_image(image, card)
            kept[0] = now

    keep()
    try:
        if reversed_:
            _answer_dialling(port, link, keep, uid)
        else:
            _dial(host, port, link, keep, uid)
    finally:
        keep()


def _card(profile: str, image: Path | None) -> Emulated:
    from secrets import token_bytes

    from citycard.cli.personalise import FACTORY_KEY
    from citycard.core.kinds import new_card

    if image is not None and image.exists():
        return load_image(image)
    return new_card(profile, FACTORY_KEY, token_bytes)


def _uid_of(card: Emulated) -> bytes:
    """What a contactless reader answers GET UID with for a CPU card; storage cards answer it themselves."""
    from citycard.core.card import Card
    from citycard.terminal.transport import only_t0

    return card.uid if isinstance(card, Card) and not only_t0(card.power_on()) else b""


def _dial(host: str, port: int, link: Link, keep: Callable[[], None], uid: bytes) -> None:
    """In the reader, out of it when torn away, and in again; ends with the reader."""
    import time

    while True:
        wire = vpcd.dial(host, port)
        typer.echo(f"citycard: the card is in the reader at {host}:{port} (Ctrl-C ends)", err=True)
        if vpcd.serve(wire, link, keep, uid):
            typer.echo("citycard: the reader hung up", err=True)
            return
        typer.echo("citycard: the card was torn away", err=True)
        time.sleep(TEAR_PAUSE_S)


def _answer_dialling(port: int, link: Link, keep: Callable[[], None], uid: bytes) -> None:
    """Both slots of a reversed vpcd: the card, and one that knows nothing."""
    import threading

    try:
        ours, other = vpcd.listen(port)
    except OSError as fault:
        raise VPCD_PORTS(port=port, next=port + 1, why=fault.strerror) from None
    typer.echo(
        f"citycard: waiting for vpcd at ports {port} and {port + 1}; start pcscd (Ctrl-C ends)", err=True
    )
    threading.Thread(target=lambda: vpcd.serve(other.accept()[0], vpcd.Nothing()), daemon=True).start()
    vpcd.serve(ours.accept()[0], link, keep, uid)
