"""Values of personal data: what they show, how they are encrypted, and which classes may hold them."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.customers import Customer, Register, Registered

from actorium import Aggregate, Command, Event, Runtime, Settings, decide, evolve
from actorium.errors import CommandFailed, ConfigurationError, InvalidCommand, RuntimeClosed, StoreUnavailable
from actorium.personal import FORGOTTEN, KeyStore, MemoryKeys, Personal, SubjectKey, personal
from actorium.store.codec import EventCodec
from actorium.store.events import as_json
from actorium.store.memory import MemoryStore
from actorium.store.personal.key_ring import KeyRing
from actorium.store.personal.values import NO_KEY, encrypt_as_known
from actorium.store.raised import MASK, error_text
from actorium.testing.personal_data import keys_of_tests


@pytest.fixture(autouse=True)
def without_keys_of_other_tests() -> None:
    """Close the keys that `given` leaves open."""
    keys_of_tests().close()
    keys_of_tests.cache_clear()


class CountedKeys(MemoryKeys):
    """Keys in memory that count how often they are read."""

    reads = 0

    def read(self, subject: str) -> SubjectKey | None:
        self.reads += 1
        return super().read(subject)


class Ring:
    """A key ring whose clock is set by hand."""

    def __init__(self, keys: KeyStore, *, cache_keys: int = 100, writes_through: bool = False) -> None:
        self.now_s = 0.0
        self.keys = KeyRing(keys, cache_s=60.0, cache_keys=cache_keys)
        self.keys.open(lambda: self.now_s, lambda: False, writes_through=writes_through)

    def __enter__(self) -> "Ring":
        return self

    def __exit__(self, *_: object) -> None:
        self.keys.close()


TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


@given(TEXTS, TEXTS)
def test_a_text_comes_back_and_only_its_subject_is_readable(text: str, other: str) -> None:
    with Ring(MemoryKeys()) as ring:
        value = ring.keys.encrypt("ada", text)
        event = Registered(value)
        encoded, decoded = EventCodec([Registered]).encode(event, b"{}")
        assert decoded == event
        assert isinstance(decoded, Registered)
        assert decoded.name.value == text
        assert decoded.name.subject == "ada"
        assert len(text) < 4 or text.encode() not in encoded.payload
        assert ring.keys.encrypt("ada", text) == value
        assert (ring.keys.encrypt("ada", other).data[:12] == value.data[:12]) == (text == other)
        assert ring.keys.encrypt("bob", text).data != value.data
        moved = msgspec.structs.replace(ring.keys.encrypt("bob", text), data=value.data)
        with pytest.raises(ValueError, match="changed after it was encrypted"):
            _ = moved.value


def test_a_value_shows_its_subject_and_not_its_text() -> None:
    new = personal("Ada")
    assert new.value == "Ada"
    with Ring(MemoryKeys()) as ring:
        value = ring.keys.encrypt("ada", "Ada")
        for shown in (repr(new), str(new), f"{new}", repr(value), f"{value}", repr(Registered(value))):
            assert "Ada" not in shown
        assert (repr(new), repr(value)) == ("Personal(…)", "Personal(ada)")
        assert copy.deepcopy(value) is copy.copy(value) is value
        assert pickle.loads(pickle.dumps(value)).value == "Ada"
        assert (value.is_forgotten, new.is_forgotten) == (False, False)
    with pytest.raises(ConfigurationError, match="no runtime with its keys is running in this process"):
        _ = value.value


def test_a_new_value_has_no_json_form() -> None:
    encoders: list[Callable[[Any], object]] = [as_json, msgspec.to_builtins, msgspec.msgpack.encode]
    for encode in encoders:
        with pytest.raises(TypeError, match="UnencryptedText"):
            encode(Registered(personal("Ada")))


def test_a_type_checker_refuses_a_value_where_text_is_wanted() -> None:
    name: str = personal("Ada")  # type: ignore[assignment]
    assert not isinstance(name, str)


def test_the_texts_of_errors_are_masked() -> None:
    with Ring(MemoryKeys()) as ring:
        assert ring.keys.encrypt("ada", "Ada Lovelace").value == "Ada Lovelace"
        for text in ("Al", "Ada"):
            assert ring.keys.encrypt("ada", text).value == text
        error = ValueError("Ada Lovelace and Al")
        assert error_text(error) == f"ValueError: {MASK} and Al"
    assert error_text(error) == "ValueError: Ada Lovelace and Al"


# --- the key ring -----------------------------------------------------------------------------------------------------


def test_a_key_stays_in_memory_for_a_limited_time_and_number() -> None:
    keys = CountedKeys()
    with Ring(keys, writes_through=True) as other, Ring(keys, cache_keys=2) as ring:
        values = [other.keys.encrypt(subject, "text") for subject in ("ada", "bob", "eve")]
        keys.reads = 0
        read = ring.keys.text_of
        assert [read(values[0]) for _ in range(5)] == ["text"] * 5
        assert keys.reads == 1
        ring.now_s = 59.0
        read(values[0])
        assert keys.reads == 1
        ring.now_s = 60.0
        read(values[0])
        assert keys.reads == 2
        for value in values:
            read(value)
        assert keys.reads == 4
        read(values[0])
        assert keys.reads == 5, "the third key took its place"


@pytest.mark.asyncio
async def test_another_process_reads_a_forgotten_value_until_its_key_expires() -> None:
    keys = MemoryKeys()
    with Ring(keys, writes_through=True) as one, Ring(keys) as other:
        value = one.keys.encrypt("ada", "Ada")
        assert other.keys.text_of(value) == "Ada"
        assert await one.keys.forget("ada") == value.key
        assert await one.keys.forget("ada") == ""
        assert one.keys.text_of(value) is None
        assert other.keys.text_of(value) == "Ada"
        other.now_s = 60.0
        assert other.keys.text_of(value) is None
        again = one.keys.encrypt("ada", "Ada")
        assert again.key != value.key
        assert (other.keys.text_of(again), other.keys.text_of(value)) == ("Ada", None)


@pytest.mark.asyncio
async def test_new_keys_are_stored_together_and_a_forgotten_one_never() -> None:
    keys = MemoryKeys()
    with Ring(keys) as ring:
        values = [ring.keys.encrypt(subject, "text") for subject in ("ada", "bob")]
        assert ring.keys.has_new
        assert keys.read("ada") is None
        assert await ring.keys.forget("ada") == values[0].key
        await ring.keys.persist()
        assert not ring.keys.has_new
        stored = keys.read("bob")
        assert stored is not None
        assert stored.id == values[1].key
        assert keys.read("ada") is None
        assert encrypt_as_known("bob", "text") == values[1]
        assert encrypt_as_known("ada", "text").key == NO_KEY
        assert encrypt_as_known("ada", "text").value == FORGOTTEN


@pytest.mark.asyncio
async def test_a_second_writer_of_the_keys_is_noticed() -> None:
    keys = MemoryKeys()
    with Ring(keys) as one, Ring(keys, writes_through=True) as other:
        one.keys.encrypt("ada", "text")
        other.keys.encrypt("ada", "text")
        with pytest.raises(StoreUnavailable, match="another process has made a key for 'ada'"):
            await one.keys.persist()


# --- a runtime --------------------------------------------------------------------------------------------------------


class BrokenKeys(MemoryKeys):
    """Keys that cannot be stored or destroyed while `is_broken` is set."""

    is_broken = True

    def prepare(self) -> None:
        if self.is_broken:
            raise StoreUnavailable("the keys are away")
        super().prepare()

    def destroy(self, subject: str) -> SubjectKey | None:
        if self.is_broken:
            raise StoreUnavailable("the keys are away")
        return super().destroy(subject)


@pytest.mark.asyncio
async def test_without_its_key_no_event_is_written_and_nobody_is_forgotten() -> None:
    keys, store = BrokenKeys(), MemoryStore()
    async with Runtime([Customer], store=store, keys=keys) as runtime:
        with pytest.raises(StoreUnavailable, match="the keys are away"):
            await runtime.send(Register("ada", personal("Ada")), command_id="once")
        with pytest.raises(StoreUnavailable, match="the keys are away"):
            await runtime.forget("ada")
        assert (await store.head()).position == 0
        keys.is_broken = False
        await runtime.send(Register("ada", personal("Ada")), command_id="once")
        again = await runtime.send(Register("ada", personal("Eve")), command_id="once")
        assert again.duplicate, "texts are not compared"
        ada = await runtime.get(Customer, "ada")
        assert ada.name is not None
        assert ada.name.value == "Ada"
        await runtime.forget("ada")
        again = await runtime.send(Register("ada", personal("Ada")), command_id="once")
        assert again.duplicate
        assert ada.name.is_forgotten
    with pytest.raises(RuntimeClosed):
        await runtime.forget("ada")


@pytest.mark.asyncio
@pytest.mark.parametrize(("settings", "reads"), [({}, 0), ({"key_cache_size": 1}, 5), ({"key_cache_s": 1e-9}, 6)])
async def test_the_settings_limit_the_keys_in_memory(settings: dict[str, Any], reads: int) -> None:
    keys = CountedKeys()
    async with Runtime([Customer], store="memory://", keys=keys, settings=Settings(**settings)) as runtime:
        for customer in ("ada", "bob"):
            await runtime.send(Register(customer, personal(customer)))
        states = [await runtime.get(Customer, customer) for customer in ("ada", "bob")]
        keys.reads = 0
        for _ in range(3):
            assert [state.name.value for state in states if state.name is not None] == ["ada", "bob"]
        assert keys.reads == reads + (1 if reads == 5 else 0)


class Plain(Command):
    text: str


class PlainSaid(Event):
    text: str


class Speaker(Aggregate):
    @decide
    def say(self, command: Plain) -> PlainSaid:
        return PlainSaid(command.text)

    @evolve
    def said(self, event: PlainSaid) -> None: ...


@pytest.mark.asyncio
async def test_an_application_without_personal_data_cannot_forget() -> None:
    async with Runtime([Speaker], store="memory://") as runtime:
        with pytest.raises(ConfigurationError, match="has a Personal field"):
            await runtime.forget("ada")


@pytest.mark.asyncio
async def test_what_is_no_text_and_whom_it_is_about_is_checked() -> None:
    async with Runtime([Customer], store="memory://") as runtime:
        with pytest.raises(InvalidCommand, match="Register"):
            await runtime.send(Register("ada", "Ada"))  # type: ignore[arg-type]
        with pytest.raises(InvalidCommand, match="subject"):
            await runtime.send(Register("", personal("Ada")))
        with pytest.raises(InvalidCommand, match="subject"):
            await runtime.forget("")
        with pytest.raises(InvalidCommand, match="Register") as refused:
            await runtime.send(Register("ada", personal("\ud800 secret")))
        assert "secret" not in str(refused.value)
        assert "the personal text about 'ada' must be a string of Unicode characters" in str(refused.value)
        with pytest.raises(InvalidCommand, match="the personal text about 'ada' must be a string"):
            await runtime.send(Register("ada", personal(5)))  # type: ignore[arg-type]


class Invite(Command):
    guest: str


class Invited(Event):
    guest: str
    name: Personal[str]

    subject_field = "guest"


class Party(Aggregate):
    @decide
    def invite(self, command: Invite) -> Invited:
        return Invited(command.guest, personal("Ada"))

    @evolve
    def invited(self, event: Invited) -> None: ...


@pytest.mark.parametrize("subject", ["s" * 513, "a\0b", "\ud800"])
@pytest.mark.asyncio
async def test_nothing_is_encrypted_about_a_subject_that_could_not_be_forgotten(subject: str) -> None:
    async with Runtime([Customer, Party], store="memory://") as runtime:
        with pytest.raises(InvalidCommand, match="Register was not sent: the subject of personal data="):
            await runtime.send(Register("ada", personal("Ada", subject=subject)))
        if subject != "\ud800":  # which no command can hold
            with pytest.raises(CommandFailed, match="the subject of personal data="):
                await runtime.send(Invite("party", subject))
        with pytest.raises(InvalidCommand, match="subject"):
            await runtime.forget(subject)


def speaker(event_class: type[Event]) -> type[Aggregate]:
    class Talker(Aggregate):
        @evolve
        def happened(self, event: event_class) -> None: ...  # type: ignore[valid-type]

    return Talker


def test_classes_that_cannot_work_are_refused() -> None:
    class Numbers(Event):
        age: Personal[int]  # type: ignore[type-var]

    class Keys(Event):
        ages: dict[Personal[str], int]

    class Elsewhere(Event):
        subject_field = "person"

        name: Personal[str]

    class Counted(Event):
        subject_field = "person"

        person: int
        name: Personal[str]

    for event_class, wrong in (
        (Numbers, r"Numbers\.age has the type .*Personal\[int\]: write Personal\[str\]"),
        (Keys, "as the key of a dict"),
        (Elsewhere, "subject_field is 'person': it must name a field of the class of type str"),
        (Counted, "subject_field is 'person': it must name a field of the class of type str"),
    ):
        with pytest.raises(ConfigurationError, match=wrong):
            Runtime([speaker(event_class)], store="memory://")
