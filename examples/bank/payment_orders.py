"""`PaymentOrder`: one row of a file of standing orders, the strict reader of such files, and a seeded set of them."""

from __future__ import annotations

import csv
import random
from pathlib import Path

import msgspec

from actorium.examples.bank.transactions import hellers, koruna

COLUMNS = ("order_id", "account_id", "bank_to", "account_to", "amount", "purpose")
DEFAULT_ORDERS = 200
DEFAULT_SEED = 1993

_BANKS = ("AB", "CD", "EF", "GH", "IJ", "KL", "MN", "OP", "QR", "ST", "UV", "WX", "YZ")
_PURPOSES = ("household", "household", "insurance", "loan", "leasing", "")


class BadPaymentOrders(Exception):
    """The file is not a valid file of payment orders; the message says where."""


class PaymentOrder(msgspec.Struct, frozen=True):
    """A customer's order to pay `amount` hellers each month to an account at another bank."""

    id: str
    account: str
    bank: str
    target: str
    amount: int
    purpose: str


def read_payment_orders(path: str | Path) -> list[PaymentOrder]:
    """Return the orders of a file; raise OSError or BadPaymentOrders."""
    orders: dict[str, PaymentOrder] = {}
    with open(path, encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file, strict=True)
        try:
            header = next(rows, [])
            if tuple(header) != COLUMNS:
                raise BadPaymentOrders(
                    f"{path} is not a file of payment orders: it begins with {','.join(header)[:200]!r}, expected "
                    f"{','.join(COLUMNS)!r}"
                )
            for row in rows:
                order = _order(row)
                if orders.setdefault(order.id, order) is not order:
                    raise ValueError(f"order_id: {order.id} occurs twice")
        except (ValueError, csv.Error) as error:
            raise BadPaymentOrders(f"{path}, line {rows.line_num}: {error}") from None
    return list(orders.values())


def generate_payment_orders(*, orders: int = DEFAULT_ORDERS, seed: int = DEFAULT_SEED) -> list[PaymentOrder]:
    """Return a seeded set: the same arguments give the same orders, about as many per account as in the real set."""
    chance = random.Random(seed)
    accounts = chance.sample(range(1, 10 * orders + 1), max(1, orders * 3 // 5))
    return [
        PaymentOrder(
            str(29_401 + 8 * number),
            str(chance.choice(accounts)),
            chance.choice(_BANKS),
            str(chance.randint(1_000_000, 99_999_999)),
            chance.randint(100, 10_000) * 100,
            chance.choice(_PURPOSES),
        )
        for number in range(orders)
    ]


def write_payment_orders(path: str | Path, orders: list[PaymentOrder]) -> None:
    """Write orders to a file."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for order in orders:
            writer.writerow((order.id, order.account, order.bank, order.target, koruna(order.amount), order.purpose))


def _order(row: list[str]) -> PaymentOrder:
    if len(row) != len(COLUMNS):
        raise ValueError(f"{len(row)} columns instead of {len(COLUMNS)}")
    id, account, bank, target, amount, purpose = row
    for name, value in zip(COLUMNS[:4], row, strict=False):
        if not value.strip() or len(value) > 40:
            raise ValueError(f"{name}: {value[:40]!r} is not a name")
    paid = hellers(amount)
    if paid <= 0:
        raise ValueError(f"amount: {amount!r} is not more than 0")
    return PaymentOrder(id, account, bank, target, paid, purpose)
