# SPDX-License-Identifier: Apache-2.0
"""Codes in words: services, reasons, verbs, causes, kinds of account, in the reader's language."""

from __future__ import annotations

from typing import Final

from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from citycard.core.cycles import DAILY, WEEKLY, Cycle
from citycard.core.interop.evidence import AWAY
from citycard.core.record import Flag
from citycard.core.refusal import Reason
from citycard.office.cards.refusals import Why
from citycard.office.console.access import Text
from citycard.services import REGISTRY

LOADS: Final = 0  # in contracts and revenue: loads, whichever service's terminal made them
VERBS: Final[dict[str, Text]] = {
    "order": _("order"),
    "initialise": _("initialise"),
    "register": _("personalise"),
    "stock_in": _("take into stock"),
    "issue": _("issue"),
    "bind": _("bind to a holder"),
    "unbind": _("unbind"),
    "query": _("look up"),
    "report_loss": _("report loss"),
    "cancel_loss": _("cancel loss"),
    "block": _("block"),
    "unblock": _("unblock"),
    "expire": _("expire"),
    "replace": _("replace"),
    "refund": _("refund"),
    "destroy": _("destroy"),
}
CAUSES: Final[dict[str, Text]] = {
    "fare": _("fares"),
    "operator_share": _("operator's share"),
    "issuer_fee": _("issuer's fee"),
    "acquirer_fee": _("acquirer's fee"),
    "scheme_fee": _("scheme fee"),
    "concession": _("concessions"),
    "transfer": _("transfer discounts"),
    "load": _("loads"),
    "volume_fee": _("volume tier adjustment"),
}
VERDICTS: Final[dict[str, Text]] = {
    "accepted": _("accepted"),
    "suspended": _("suspended"),
    "rejected": _("rejected"),
}
CLASSES: Final[dict[int, Text]] = {
    1: _("ordinary"),
    2: _("student"),
    3: _("senior"),
    4: _("test"),
    5: _("military"),
    16: _("free travel"),
    17: _("staff pass"),
    18: _("full fare"),
    19: _("child"),
    20: _("disabled"),
    21: _("elderly"),
    32: _("single ticket"),
    33: _("single ticket, child"),
    34: _("single ticket, elderly"),
}
CLASS_NAMES: Final[dict[str, Text]] = {
    "ordinary": CLASSES[1],
    "student": CLASSES[2],
    "senior": CLASSES[3],
    "test": CLASSES[4],
    "military": CLASSES[5],
    "free": CLASSES[16],
    "staff": CLASSES[17],
    "full_fare": CLASSES[18],
    "child": CLASSES[19],
    "disabled": CLASSES[20],
    "elderly": CLASSES[21],
    "single": CLASSES[32],
    "single_child": CLASSES[33],
    "single_elderly": CLASSES[34],
}
ACCOUNTS: Final[dict[str, Text]] = {
    "card": _("owed to card holders"),
    "due": _("owed, not yet on a new card"),
    "deposit": _("card deposits"),
    "float": _("funds held against cards"),
    "counter": _("cash at counters"),
    "fees": _("fees earned"),
    "position": _("positions of participants"),
    "clearing": _("clearing of a business date"),
    "suspense": _("in suspense"),
    "bank": _("settlement bank"),
    "cash": _("held at the bank"),
    "notified": _("notified by the bank, statement to come"),
    "unallocated": _("moved by the bank, not matched"),
    "own": _("the scheme's own money"),
    "guarantee": _("guarantee deposits"),
}
TRANSFERS: Final[dict[str, Text]] = {
    "load": _("load"),
    "preload": _("balance at personalisation"),
    "purchase": _("purchases"),
    "suspense": _("to suspense"),
    "position": _("position of the day"),
    "settle": _("payment"),
    "payment": _("payment"),
    "volume_fee": _("closing of a month"),
    "bank_in": _("money in at the bank"),
    "bank_out": _("money out at the bank"),
    "bank_own": _("kept by the scheme"),
    "bank_match": _("matched by hand"),
    "bank_opening": _("balance brought forward at the bank"),
    "deposit": _("deposit"),
    "deposit_back": _("deposit paid back"),
    "issue_fee": _("issue fee"),
    "loss_fee": _("loss fee"),
    "replace": _("balance transfer"),
    "replace_due": _("balance transfer"),
    "migrate": _("balance transfer"),
    "replace_fee": _("replacement fee"),
    "due_load": _("transferred balance loaded"),
    "unload": _("balance of a destroyed card"),
    "refund": _("refund"),
    "refund_due": _("refund"),
    "refund_float": _("refund paid by the float"),
    "refund_fee": _("refund fee"),
    "exchange": _("taps in other cities"),
    "exchange_adjust": _("adjustment between cities"),
    "exchange_payment": _("payment between cities"),
    "exchange_refund": _("owed to the holder after a dispute"),
}
ACTS: Final[dict[str, Text]] = {
    "raise": _("raise"),
    "accept": _("accept"),
    "contest": _("contest"),
    "represent": _("present again"),
    "withdraw": _("withdraw"),
    "grant": _("grant"),
    "dismiss": _("dismiss"),
    "lapse": _("deadline passed"),
    "adjust": _("adjust"),
}
ROLES: Final[dict[str, Text]] = {
    "issuer": _("issuer"),
    "acquirer": _("acquirer"),
    "retailer": _("retailer"),
    "scheme": _("scheme operator"),
    "subsidy": _("bears concessions"),
    "partner": _("partner in another city"),
    "hub": _("hub"),
}
PAYMENT_STATES: Final[dict[str, Text]] = {
    "even": _("nothing to pay"),
    "carried": _("carried to the next cycle"),
    "to_order": _("not ordered yet"),
    "held": _("held"),
    "made": _("made"),
    "awaited": _("awaited"),
    "sent": _("sent"),
    "executed": _("executed"),
    "rejected": _("rejected by the bank"),
}
TOLD: Final[dict[str, Text]] = {
    "RCVD": _("received"),
    "PDNG": _("pending"),
    "BLCK": _("blocked"),
    "ACTC": _("accepted: form checked"),
    "ACFC": _("accepted: funds checked"),
    "ACCP": _("accepted: customer checked"),
    "ACSP": _("accepted, being settled"),
    "ACWC": _("accepted with a change"),
    "ACWP": _("accepted, not posted yet"),
    "ACSC": _("settled with the payer"),
    "ACCC": _("settled with the payee"),
    "PART": _("accepted in part"),
    "PATC": _("accepted in part: form checked"),
    "CANC": _("cancelled"),
    "RJCT": _("rejected by the bank"),
}
HELD: Final[dict[str, Text]] = {
    "pay_agreed": _("pay what both cities agree on"),
    "pay_ours": _("pay our position with the hub"),
}
UNMATCHED: Final[dict[str, Text]] = {
    "unknown": _("no order has this reference"),
    "ambiguous": _("several orders fit"),
    "duplicate": _("the order is executed already"),
    "too_little": _("less than is open of the order"),
    "too_much": _("more than is open of the order"),
    "direction": _("the order goes the other way"),
    "state": _("the order is not open"),
}
WEEKDAYS: Final = (
    _("Monday"), _("Tuesday"), _("Wednesday"), _("Thursday"), _("Friday"), _("Saturday"), _("Sunday"),
)  # fmt: skip
LISTED: Final[dict[str, Text]] = {
    "lost": _("reported lost"),
    "risk": _("risk"),
    "faulty": _("faulty chip"),
    "found": _("found"),
    "misuse": _("misuse"),
    "replaced": _("replaced"),
    "refunded": _("refunded"),
    "migrated": _("its money went to another card"),
}
ALARMS: Final[dict[str, Text]] = {
    "BATCH_CONFLICT": _("A batch number came again with other content"),
    "BATCH_MAC": _("A batch was not sealed with the terminal's key"),
    "LOAD_CONFLICT": _("A load that was given up is proven by its card"),
    "LOAD_BY_LOG": _("A load that only the card's log still tells of was posted"),
    "LOAD_UNKNOWN": _("A proven load that the office never authorised"),
    "SAM_STOLEN": _("A batch came from a security module that was reported stolen"),
    "LEDGER_SUSPENSE": _("Proven purchases beyond what the card's account holds"),
    "EXCHANGE_ALTERED": _("An exchange file came again with other content"),
    "EXCHANGE_SIGNATURE": _("An exchange file's signature does not verify"),
    "EXCHANGE_REFUSED": _("An exchange file was refused"),
    "EXCHANGE_CONFLICT": _("An exchanged tap came again with other content"),
    "EXCHANGE_POSITION": _("The hub's position of a date is not that of our books"),
    "EXCHANGE_MISHEARD": _("A member acknowledged a file that we did not send"),
    "EXCHANGE_CODE": _("The hub uses an error code that has no words here"),
    "POSITION_LIMIT": _("More is open with a participant than its terms allow"),
    "DEPOSIT_SHORT": _("A guarantee deposit is less than the terms ask for"),
    "PAYMENT_RETURNED": _("The bank gave a payment back"),
    "PAYMENT_CONTRADICTED": _("The bank reported one thing of a payment and did another"),
    "STATEMENT_OTHERWISE": _("A bank statement came again with other content"),
}
DOCUMENTS: Final[dict[str, Text]] = {
    "identity_card": _("identity card"),
    "residence_permit": _("residence permit"),
    "passport": _("passport"),
    "birth_certificate": _("birth certificate"),
}
KINDS: Final[dict[int, Text]] = {1: _("purchase"), 2: _("load")}
KEYS: Final[dict[str, Text]] = {
    "purchase": _("purchases: MAC1 and MAC2 of the purse"),
    "load": _("loads: MAC1 and MAC2 of the purse"),
    "tac": _("transaction codes: proof of each tap"),
    "maintenance": _("maintenance: secure messaging, blocking"),
    "control": _("control: writing keys into cards"),
    "batch": _("batches: the seal on uploads"),
    "transport": _("transport: what the card maker left in blank cards"),
}
FLAGS: Final[dict[Flag, Text]] = {
    Flag.TRANSFER: _("transfer"),
    Flag.OVERTIME: _("over time"),
    Flag.SAME_STATION: _("same station"),
    Flag.MISSING_ENTRY: _("no entry"),
    Flag.MISSING_EXIT: _("no exit before"),
    Flag.RECOVERED: _("recovered after a tear"),
    Flag.OFFLINE: _("old parameters"),
    Flag.TEST: _("test"),
}


def chinese() -> bool:
    """Whether the reader reads Chinese."""
    return (get_language() or "en").startswith("zh")


def service(code: int | None) -> str:
    """A service's title."""
    if code is None:
        return str(_("any service"))
    if code == LOADS:
        return str(_("top-ups"))
    if code == AWAY:
        return str(_("in another city"))
    found = REGISTRY.get(code)
    if found is None:
        return str(_("service %(code)s")) % {"code": code}
    return found.title_zh if chinese() else found.title_en


def reason(code: str) -> str:
    """Clearing's reason or a verb's refusal."""
    language = "zh" if chinese() else "en"
    if code in Reason.__members__:
        return Reason[code].title(language)
    return Why[code].title(language) if code in Why.__members__ else code


def cycle(found: Cycle) -> str:
    """A settlement cycle in words."""
    if found.period == DAILY:
        return f"T+{found.lag_days}"
    if found.period == WEEKLY:
        text = _("weekly, %(day)s") % {"day": WEEKDAYS[found.weekday - 1]}
    else:
        text = _("monthly, day %(day)s") % {"day": found.month_day}
    return f"{text}, T+{found.lag_days}" if found.lag_days else str(text)


def flags(value: int) -> list[Text]:
    """What was particular about a tap."""
    return [text for flag, text in FLAGS.items() if value & flag]
