"""The bank's account: its bookings, its rejections and its overdraft."""

from datetime import date

import pytest

from actorium import Event
from actorium.examples.bank.domain import (
    Account,
    AccountOpened,
    AllowOverdraft,
    Credit,
    Credited,
    Debit,
    Debited,
    OpenAccount,
    OverdraftAllowed,
)
from actorium.testing import Given, given

DAY = date(1993, 1, 31)


def credited(amount: int) -> Credited:
    return Credited(amount, DAY, "cash_deposit", "", "", "")


def debited(amount: int) -> Debited:
    return Debited(amount, DAY, "cash_withdrawal", "", "", "")


def account(*history: Event, overdraft_limit: int | None = 0) -> Given:
    return given(Account("704"), AccountOpened(overdraft_limit), *history)


def test_a_new_account_has_a_balance_of_zero() -> None:
    opened = given(Account("704")).when(OpenAccount("704", 500))
    opened.then(AccountOpened(500)).then_state(balance=0, overdraft_limit=500, transactions=0)


def test_an_account_is_opened_once() -> None:
    account().when(OpenAccount("704")).then_already_exists()


def test_an_account_must_be_opened_first() -> None:
    given(Account("704")).when(Credit("704", 100, DAY, "cash_deposit")).then_not_found()


def test_a_credit_keeps_all_its_details() -> None:
    command = Credit("704", 324_200, DAY, "transfer_in", "pension", "ST", "42988401")
    booked = account().when(command)
    booked.then(Credited(324_200, DAY, "transfer_in", "pension", "ST", "42988401"))
    booked.then_state(balance=324_200, transactions=1)


def test_a_debit_may_take_the_whole_balance() -> None:
    booked = account(credited(1_000)).when(Debit("704", 1_000, DAY, "cash_withdrawal"))
    booked.then(debited(1_000)).then_state(balance=0, transactions=2)


def test_a_debit_of_more_than_the_balance_is_rejected() -> None:
    refused = account(credited(1_000)).when(Debit("704", 1_001, DAY, "cash_withdrawal"))
    refused.then_rejected("insufficient funds", balance=1_000, overdraft_limit=0)


@pytest.mark.parametrize(("amount", "is_booked"), [(1_500, True), (1_501, False)])
def test_an_account_may_be_overdrawn_to_its_limit(amount: int, is_booked: bool) -> None:
    asked = account(credited(1_000), overdraft_limit=500).when(Debit("704", amount, DAY, "cash_withdrawal"))
    if is_booked:
        asked.then(debited(amount)).then_state(balance=-500)
    else:
        asked.then_rejected("insufficient funds")


def test_an_account_without_a_limit_may_owe_any_amount() -> None:
    account(overdraft_limit=None).when(Debit("704", 10**12, DAY, "cash_withdrawal")).then_state(balance=-(10**12))


def test_an_overdraft_can_be_allowed_later_and_without_limit() -> None:
    account().when(AllowOverdraft("704", 300)).then(OverdraftAllowed(300)).then_state(overdraft_limit=300)
    account(OverdraftAllowed(300)).when(AllowOverdraft("704", 300)).then_nothing()
    account(OverdraftAllowed(300)).when(Debit("704", 300, DAY, "cash_withdrawal")).then_state(balance=-300)


def test_a_withdrawn_overdraft_leaves_the_debt_and_stops_debits() -> None:
    indebted = account(debited(300), OverdraftAllowed(0), overdraft_limit=300)
    indebted.when(Debit("704", 1, DAY, "cash_withdrawal")).then_rejected("insufficient funds", balance=-300)


@pytest.mark.parametrize("amount", [0, -1])
def test_an_amount_must_be_more_than_zero(amount: int) -> None:
    account().when(Credit("704", amount, DAY, "interest")).then_rejected("an amount must be more than 0 hellers")
    account().when(Debit("704", amount, DAY, "interest")).then_rejected("an amount must be more than 0 hellers")


def test_an_overdraft_limit_is_not_negative() -> None:
    given(Account("704")).when(OpenAccount("704", -1)).then_rejected("an overdraft limit must be 0 hellers or more")
    account().when(AllowOverdraft("704", -1)).then_rejected("an overdraft limit must be 0 hellers or more")
