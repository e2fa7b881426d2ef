"""A backup, and what is restored from it: the same log, on any store. Damage is found before anything is written."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.backups import bring_back, fill, reader, require_same_start, restored_start, take
from support.postgres import new_log
from support.runs_on import ON_SQLITE

from actorium.backup import BackupFolder, back_up, restore, taking, verified
from actorium.backup.manifest import decode_manifest, encode_manifest
from actorium.errors import ConfigurationError, DamagedLog, StoreInUse, UnsupportedSchema
from actorium.store.memory import MemoryStore

NewLog = Callable[[str], str]


@pytest.fixture(params=[ON_SQLITE, "postgresql"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a new log."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/log.db"
        return
    with new_log() as url:
        yield url


@pytest.fixture
def database() -> Iterator[str]:
    """The URL of a new log in PostgreSQL."""
    with new_log() as url:
        yield url


@pytest.fixture
def folder(tmp_path: Path) -> BackupFolder:
    return BackupFolder(tmp_path / "backup")


@pytest.fixture
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taking, "SEGMENT_EVENTS", 100)


@pytest.mark.asyncio
async def test_a_backup_grows_by_what_is_new(log: str, folder: BackupFolder, new_log_url: NewLog) -> None:
    await fill(log, 0, 500)
    first = await take(log, folder)
    assert (first.end, first.head, len(first.segments)) == (1_500, 1_500, 1)
    before = (folder.path / first.segments[0].file).stat()
    await fill(log, 500, 40)
    second = await take(log, folder)
    assert (second.end, second.segments[0]) == (1_620, first.segments[0])
    assert (folder.path / first.segments[0].file).stat().st_mtime_ns == before.st_mtime_ns
    assert second.segments[1].first == 1_501
    assert await take(log, folder) == second
    assert await restored_start(folder.path, log, new_log_url("restored")) == 1_620


@pytest.mark.asyncio
async def test_a_backup_of_one_kind_of_store_is_restored_to_another(
    log: str, database: str, folder: BackupFolder, log_url: str
) -> None:
    await fill(log, 0, 450)
    await take(log, folder)
    for target in (database, log_url):
        assert (await bring_back(folder, target)).position == 1_350
        await require_same_start(log, target, 1_350)
        with pytest.raises(ConfigurationError, match="is not empty: name a new log"):
            await bring_back(folder, target)


@pytest.mark.asyncio
async def test_one_command_may_have_more_events_than_a_page(folder: BackupFolder, new_log_url: NewLog) -> None:
    log = new_log_url("log")
    await fill(log, 0, 3, events=2_500)
    await take(log, folder)
    assert await restored_start(folder.path, log, new_log_url("restored")) == 7_500


@pytest.mark.asyncio
async def test_an_empty_log_has_an_empty_backup(folder: BackupFolder, log_url: str) -> None:
    await fill(log_url, 0, 0)
    assert (await take(log_url, folder)).end == 0
    await fill(log_url, 0, 2)
    assert (await take(log_url, folder)).end == 6


@pytest.mark.asyncio
async def test_a_restore_ends_at_a_position_or_a_time_with_whole_commands(
    folder: BackupFolder, new_log_url: NewLog
) -> None:
    log = new_log_url("log")
    await fill(log, 0, 300)  # 300 events in each of three commits, at 0 s, 100 s and 200 s
    await take(log, folder)
    positions = [(0, None, 0), (301, None, 300), (302, None, 300), (303, None, 303), (900, None, 900)]
    times = [(None, 99_999_999, 300), (None, 100_000_000, 600), (None, 2**62, 900), (500, 0, 300)]
    for n, (to_position, to_time_us, end) in enumerate([*positions, *times]):
        target = new_log_url(str(n))
        assert (await bring_back(folder, target, to_position=to_position, to_time_us=to_time_us)).position == end
        await require_same_start(log, target, end)
    for beyond in (-1, 901):
        with pytest.raises(ConfigurationError, match=f"position {beyond} is not in the backup in .* ends at 900"):
            verified(folder, beyond)


@pytest.mark.asyncio
@pytest.mark.usefixtures("short_segments")
async def test_a_flipped_bit_a_missing_file_or_another_manifest_is_found(folder: BackupFolder, log_url: str) -> None:
    await fill(log_url, 0, 60)
    older = await take(log_url, folder)
    manifest, old_manifest = folder.path / "manifest.json", (folder.path / "manifest.json").read_bytes()
    await fill(log_url, 60, 60)
    newer = await take(log_url, folder)
    assert [segment.last for segment in newer.segments] == [102, 180, 282, 360]
    for segment in newer.segments:
        path = folder.path / segment.file
        data = path.read_bytes()
        for place in range(0, len(data), 97):
            path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
            with pytest.raises(DamagedLog, match="does not match its hash; it holds the events"):
                verified(folder)
        path.unlink()
        with pytest.raises(DamagedLog, match=f"{segment.file} is missing: it holds the events {segment.first} to"):
            verified(folder)
        path.write_bytes(data)
    data = manifest.read_bytes()
    for place in range(len(data)):
        manifest.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with pytest.raises((DamagedLog, UnsupportedSchema), match=r"manifest\.json"):
            verified(folder)
    manifest.write_bytes(old_manifest)
    for use in (verified, BackupFolder.read_or_begin):
        with pytest.raises(DamagedLog, match="it is an older one, or belongs to another backup"):
            use(folder)
    manifest.unlink()
    with pytest.raises(DamagedLog, match="is missing, but there are segments"):
        verified(folder)
    # Segments in another order are no longer a chain, even under a manifest with the right hash.
    torn = encode_manifest(type(older)(newer.log, 282, (newer.segments[0], newer.segments[2])))
    with pytest.raises(DamagedLog, match="does not continue the segments before it"):
        decode_manifest(torn, "the manifest")


@pytest.mark.asyncio
@pytest.mark.usefixtures("short_segments")
async def test_a_kill_at_any_point_leaves_a_usable_backup(
    folder: BackupFolder, new_log_url: NewLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The directory is copied before each step that makes something durable, and a new backup continues each copy."""
    log = new_log_url("log")
    await fill(log, 0, 40)
    await take(log, folder)
    await fill(log, 40, 60)
    copies: list[Path] = []

    def remember() -> None:
        copies.append(tmp_path / f"copy {len(copies)}")
        shutil.copytree(folder.path, copies[-1])

    fsync, replace = os.fsync, Path.replace
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", lambda descriptor: (remember(), fsync(descriptor))[1])
        patched.setattr(Path, "replace", lambda path, to: (remember(), replace(path, to))[1])
        store = reader(log)
        # The store syncs its own files when it is closed.
        await store.open(read_only=True)
        manifest = await back_up(store, folder, lambda position: None)
    await store.close()
    ends = [await restored_start(copy, log, new_log_url(copy.name)) for copy in copies]
    assert ends == sorted(ends)
    assert set(ends) == {120, 222, 300}
    for copy in copies:
        assert await take(log, BackupFolder(copy)) == manifest
        assert await restored_start(copy, log, new_log_url(f"whole {copy.name}")) == 300
        assert not [one for one in copy.glob("events*.part") if one.name.removesuffix(".part") in os.listdir(copy)]


@pytest.mark.asyncio
async def test_the_backup_of_another_log_is_not_continued(folder: BackupFolder, new_log_url: NewLog) -> None:
    log = new_log_url("log")
    await fill(log, 0, 40)
    await take(log, folder)
    for name, commands, why in [("shorter", 20, "ends before that"), ("other", 50, "holds another event there")]:
        other = new_log_url(name)
        await fill(other, 7, commands)
        with pytest.raises(ConfigurationError, match=f"it ends at position 120, and .* {why}"):
            await take(other, folder)
    assert (await take(log, folder)).end == 120


@pytest.mark.asyncio
async def test_a_directory_that_holds_something_else_is_left_alone(folder: BackupFolder, log_url: str) -> None:
    await fill(log_url, 0, 1)
    with pytest.raises(ConfigurationError, match="there is no backup in"):
        verified(folder)
    folder.path.mkdir()
    (folder.path / "letter.txt").write_text("dear")
    with pytest.raises(ConfigurationError, match=r"holds other files, such as letter\.txt: name an empty one"):
        await take(log_url, folder)
    with pytest.raises(ConfigurationError, match="is a file: name a directory"):
        await take(log_url, BackupFolder(folder.path / "letter.txt"))
    assert os.listdir(folder.path) == ["letter.txt"]


@pytest.mark.asyncio
async def test_two_backups_do_not_write_to_one_directory(folder: BackupFolder, log_url: str) -> None:
    await fill(log_url, 0, 1)
    await take(log_url, folder)
    with folder.locked(), pytest.raises(StoreInUse, match="another process writes a backup to"):
        await take(log_url, folder)


@pytest.mark.asyncio
async def test_a_newer_format_is_refused(folder: BackupFolder, log_url: str) -> None:
    await fill(log_url, 0, 1)
    await take(log_url, folder)
    place = folder.path / "manifest.json"
    place.write_bytes(place.read_bytes().replace(b'"format":1', b'"format":2'))
    with pytest.raises(UnsupportedSchema, match="a newer version of Actorium wrote it"):
        verified(folder)


@pytest.mark.asyncio
async def test_a_log_in_memory_can_be_the_target(folder: BackupFolder, log_url: str) -> None:
    await fill(log_url, 0, 5)
    manifest = await take(log_url, folder)
    store = MemoryStore()
    await store.open()
    told: list[int] = []
    assert (await restore(folder, manifest, store, told.append)).position == 15
    assert told == [15]
    await store.close()
