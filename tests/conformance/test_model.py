"""Any store does what the store in memory does, whatever it is asked in whatever order.

Hypothesis asks both the same and compares every answer, errors by their class. What each store names by itself (version
ids, contents, times) is compared under the names that this test gives.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Final, TypeAlias, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from post3.errors import PreconditionFailed, S3Error
from post3.model.bucket import Bucket
from post3.model.encryption import Encryption
from post3.model.grants import Grants
from post3.model.listing import CommonPrefix, Listed, ListQuery, Page
from post3.model.object import NULL_VERSION, Guard, ObjectVersion, Part, no_guard
from post3.model.record import Entry, Record
from post3.model.upload import Upload
from post3.storage.memory import MemoryBackend
from post3.storage.protocol import Backend
from tests.conftest import (
    ACLS,
    AN_ENVELOPE,
    AT_ONCE,
    ENCRYPTIONS,
    KIB,
    MIB,
    SOME_TAGS,
    STORES,
    a_bucket,
    a_version,
    collect_all,
    content_of,
    create_upload,
    finish,
    make_backend,
    part_of,
    put,
    put_part,
    some_bytes,
    write,
)

T = TypeVar("T")
Data: TypeAlias = tuple[int, int]

MISSING: Final = "0" * 32

buckets = st.sampled_from(["one", "two"])
keys = st.sampled_from(["a", "a/", "a/b", "a/b/c", "é"])
LARGE: Final = (MIB + 1, MIB + 70 * KIB)
"""Bytes that no store keeps in memory until they have an owner."""
datas = st.tuples(st.sampled_from([0, 1, 16 * KIB, *LARGE]), st.integers(0, 2))
"""Size and seed: short to tell."""
numbers = st.integers(1, 4)
acls = st.sampled_from(ACLS)
encryptions = st.sampled_from(ENCRYPTIONS)
tags_of = st.sampled_from([{}, {}, SOME_TAGS, {"n": "1"}])
metadatas = st.dictionaries(st.sampled_from(["colour", "n"]), st.text(max_size=3), max_size=2)


def _absent(current: ObjectVersion | None, _replaced: ObjectVersion | None) -> None:
    if current is not None and not current.is_delete_marker:
        raise PreconditionFailed


def _present(current: ObjectVersion | None, _replaced: ObjectVersion | None) -> None:
    if current is None or current.is_delete_marker:
        raise PreconditionFailed


def _empty(current: ObjectVersion | None, _replaced: ObjectVersion | None) -> None:
    if current is not None and current.size:
        raise PreconditionFailed


def _free(_current: ObjectVersion | None, replaced: ObjectVersion | None) -> None:
    if replaced is not None and replaced.metadata:
        raise PreconditionFailed


def _never(_current: ObjectVersion | None, _replaced: ObjectVersion | None) -> None:
    raise PreconditionFailed


guards = st.sampled_from([no_guard, no_guard, no_guard, no_guard, _absent, _present, _empty, _free, _never])


@dataclass(slots=True)
class Side:
    """One of the two stores, and what it calls the things that this test has names for."""

    backend: Backend
    buckets: dict[str, Bucket] = field(default_factory=dict)
    """As they were last loaded: older ones are to be refused."""
    versions: dict[str, ObjectVersion] = field(default_factory=dict)
    uploads: dict[str, Upload] = field(default_factory=dict)
    parts: dict[str, Part] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=lambda: {NULL_VERSION: NULL_VERSION})
    """Of version ids."""

    def bucket(self, name: str) -> Bucket:
        return self.buckets.get(name) or replace(a_bucket(name), id="0")

    def id_of(self, name: str | None) -> str | None:
        """The version id under a name of ours; null, missing and current are known to everybody."""
        return self.versions[name].version_id if name in self.versions else name

    def remember(self, name: str, version: ObjectVersion) -> object:
        self.versions[name] = version
        self.names.setdefault(version.version_id, name)
        return self.told(version)

    def told(self, version: ObjectVersion) -> object:
        return (
            *self.shown(version),
            version.parts,
            version.body is None,
            dict(version.checksums),
            dict(version.headers),
            dict(version.metadata),
            list(version.tags.items()),
            version.acl,
            version.encryption,
            version.body and version.body.encryption,
        )

    def shown(self, version: ObjectVersion) -> tuple[object, ...]:
        return (
            version.key,
            self.names[version.version_id],
            (version.size, version.etag, version.owner, version.storage_class),
            version.is_delete_marker,
            version.noncurrent is None,
        )

    def listed(self, entry: Listed) -> object:
        """What a list shows, but for what the store names, numbers and dates by itself."""
        return entry._replace(version_id=self.names[entry.version_id], sequence=0, modified=0)

    def told_upload(self, upload: Upload) -> object:
        made = upload.version_id and self.names[upload.version_id]
        described = (dict(upload.metadata), list(upload.tags.items()), upload.acl, upload.encryption)
        return upload.key, upload.upload_id, upload.owner, described, made

    def page(self, page: Page[Any]) -> object:
        return [self._entry(entry) for entry in page.entries], page.truncated

    def _entry(self, entry: Listed | Upload | CommonPrefix) -> object:
        if isinstance(entry, CommonPrefix):
            return entry
        return self.told_upload(entry) if isinstance(entry, Upload) else self.listed(entry)


Act: TypeAlias = Callable[[Side], Awaitable[object]]


async def _outcome(act: Act, side: Side) -> object:
    try:
        return await act(side)
    except S3Error as error:
        return type(error)


class Comparison(RuleBasedStateMachine):
    """The same questions to two stores."""

    store: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.root = tempfile.TemporaryDirectory()
        self.sides = [Side(MemoryBackend()), Side(make_backend(self.store, Path(self.root.name)))]
        for side in self.sides:
            self.runner.run(side.backend.open())
        self.count = 0
        self.put_so_far: list[tuple[str, str, str]] = []
        """Bucket, key and name of every version."""
        self.uploads_so_far: list[tuple[str, str]] = []
        self.parts_so_far: list[tuple[str, int, str]] = []

    def teardown(self) -> None:
        for side in self.sides:
            self.runner.run(side.backend.close())
        self.runner.close()
        self.root.cleanup()

    def both(self, act: Act) -> object:
        expected, answered = [self.runner.run(_outcome(act, side)) for side in self.sides]
        assert answered == expected
        return answered

    def new_name(self, kind: str) -> str:
        self.count += 1
        return f"{kind}{self.count}"

    def known(self, data: st.DataObject, found: list[T]) -> T:
        """One of the things found so far, the younger the likelier when it shrinks."""
        return found[-1 - data.draw(st.integers(0, len(found) - 1))]

    def some_version(self, data: st.DataObject) -> tuple[str, str, str | None]:
        """Bucket, key, and the name of a version that may be there."""
        if not self.put_so_far or data.draw(st.integers(0, 5)) == 0:
            return data.draw(buckets), data.draw(keys), data.draw(st.sampled_from([None, NULL_VERSION, MISSING]))
        bucket, key, name = self.known(data, self.put_so_far)
        return bucket, key, data.draw(st.sampled_from([None, name, name, NULL_VERSION]))

    @invariant()
    def everything_listed_is_the_same(self) -> None:
        async def act(side: Side) -> object:
            pages: list[object] = []
            for bucket in await side.backend.list_buckets():
                pages.append(_told_bucket(bucket))
                pages.append(side.page(await side.backend.list_versions(bucket, ListQuery(all_versions=True))))
                pages.append(side.page(await side.backend.list_uploads(bucket, ListQuery())))
            return pages

        self.both(act)

    # Buckets

    @initialize(versioned=st.booleans())
    def begin(self, versioned: bool) -> None:
        """Most questions need a bucket."""
        self.create_bucket("one", "alice", None)
        self.create_bucket("two", "bob", None)
        if versioned:
            self.update_bucket("one", "Enabled", None, True)

    @rule(name=buckets, owner=st.sampled_from(["alice", "bob"]), acl=acls)
    def create_bucket(self, name: str, owner: str, acl: Grants | None) -> None:
        async def act(side: Side) -> object:
            side.buckets[name] = await side.backend.create_bucket(replace(a_bucket(name, owner), acl=acl))
            return _told_bucket(side.buckets[name])

        self.both(act)

    @rule(name=buckets)
    def load_bucket(self, name: str) -> None:
        async def act(side: Side) -> object:
            side.buckets[name] = await side.backend.get_bucket(name)
            return _told_bucket(side.buckets[name])

        self.both(act)

    @rule(
        name=buckets,
        status=st.sampled_from(["Enabled", "Suspended"]),
        acl=acls,
        load=st.sampled_from([True, True, True, False]),
    )
    def update_bucket(self, name: str, status: str, acl: Grants | None, load: bool) -> None:
        async def act(side: Side) -> object:
            updated = await side.backend.update_bucket(
                name, lambda old: replace(old, configurations={"versioning": {"Status": status}}, acl=acl)
            )
            if load:
                side.buckets[name] = updated
            return _told_bucket(updated)

        self.both(act)

    @rule(name=buckets, sure=st.integers(0, 3).map(lambda number: number == 3))
    def delete_bucket(self, name: str, sure: bool) -> None:
        if not sure:  # else most questions meet no bucket
            return
        self.both(lambda side: side.backend.delete_bucket(side.bucket(name)))

    # Versions

    @rule(
        bucket=buckets,
        puts=st.lists(st.tuples(keys, st.none() | datas, metadatas), min_size=1, max_size=4),
        guard=guards,
        acl=acls,
        encryption=encryptions,
        tags=tags_of,
        null=st.sampled_from([False, False, True]),
    )
    def put_versions(
        self,
        bucket: str,
        puts: list[tuple[str, Data | None, dict[str, str]]],
        guard: Guard,
        acl: Grants | None,
        encryption: Encryption | None,
        tags: Mapping[str, str],
        null: bool,
    ) -> None:
        for key, content, metadata in puts:
            fields: dict[str, Any] = {"metadata": metadata, "acl": acl, "encryption": encryption, "tags": tags}
            fields |= {"version_id": NULL_VERSION} if null else {}
            self._put(bucket, key, content, guard, fields)

    def _put(self, bucket: str, key: str, content: Data | None, guard: Guard, fields: dict[str, Any]) -> None:
        name = self.new_name("version")
        told = [Entry("told", {"Name": name})]

        async def act(side: Side) -> object:
            into = side.bucket(bucket)
            if content is not None:
                return side.remember(
                    name, await put(side.backend, into, key, some_bytes(*content), guard=guard, journal=told, **fields)
                )
            marker = a_version(into, key, is_delete_marker=True, **fields)
            return side.remember(name, await side.backend.put_version(into, marker, guard, told))

        self._remember_if_put(bucket, key, name, self.both(act))

    @rule(data=st.data(), into=buckets, key=keys)
    def copy(self, data: st.DataObject, into: str, key: str) -> None:
        bucket, source, version = self.some_version(data)
        name = self.new_name("copy")

        async def act(side: Side) -> object:
            found = await side.backend.get_version(side.bucket(bucket), source, side.id_of(version))
            if found.body is None:
                return None
            blob = await side.backend.copy_blob(side.bucket(bucket), found.body.blob, side.bucket(into), key)
            body = replace(part_of(blob, b""), size=found.size, etag=found.etag, encryption=AN_ENVELOPE)
            copy = a_version(side.bucket(into), key, body=body, size=found.size, etag=found.etag)
            return side.remember(name, await side.backend.put_version(side.bucket(into), copy))

        self._remember_if_put(into, key, name, self.both(act))

    def _remember_if_put(self, bucket: str, key: str, name: str, outcome: object) -> None:
        if isinstance(outcome, tuple):
            self.put_so_far.append((bucket, key, name))

    @rule(data=st.data(), start=st.integers(0, MIB + 70 * KIB), size=st.integers(0, MIB + 70 * KIB) | st.none())
    def get_version(self, data: st.DataObject, start: int, size: int | None) -> None:
        bucket, key, name = self.some_version(data)

        async def act(side: Side) -> object:
            found = await side.backend.get_version(side.bucket(bucket), key, side.id_of(name))
            stop = found.size if size is None else min(start + size, found.size)
            parts = await side.backend.list_parts(side.bucket(bucket), found)
            return (
                side.told(found),
                [(part.number, part.size, part.etag, part.start) for part in parts],
                await content_of(side.backend, side.bucket(bucket), found, min(start, stop), stop),
            )

        self.both(act)

    @rule(data=st.data(), metadata=metadatas, acl=acls, tags=tags_of, refuse=st.sampled_from([False, False, True]))
    def update_version(
        self,
        data: st.DataObject,
        metadata: dict[str, str],
        acl: Grants | None,
        tags: Mapping[str, str],
        refuse: bool,
    ) -> None:
        bucket, key, name = self.some_version(data)

        def change(old: ObjectVersion) -> ObjectVersion:
            if refuse:
                raise PreconditionFailed
            return replace(old, metadata={**old.metadata, **metadata}, acl=acl, tags=tags)

        async def act(side: Side) -> object:
            return side.told(await side.backend.update_version(side.bucket(bucket), key, side.id_of(name), change))

        self.both(act)

    @rule(data=st.data(), guard=guards)
    def delete_version(self, data: st.DataObject, guard: Guard) -> None:
        bucket, key, name = self.some_version(data)
        journal = [Entry("told", {"Deleted": name})]

        async def act(side: Side) -> object:
            asked = side.id_of(name) or NULL_VERSION
            deleted = await side.backend.delete_version(side.bucket(bucket), key, asked, guard, journal)
            return deleted and side.told(deleted)

        self.both(act)

    @rule(
        data=st.data(),
        bucket=buckets,
        prefix=st.sampled_from(["", "", "a", "a/", "a/b", "%", "é", "\0"]),
        delimiter=st.sampled_from(["", "/", "/", "b", "/b", "a/"]),
        after=st.just("") | keys | st.sampled_from(["a/c", "~"]),
        limit=st.integers(0, 5) | st.just(1000),
        all_versions=st.booleans(),
    )
    def list_versions(self, data: st.DataObject, bucket: str, after: str, all_versions: bool, **fields: Any) -> None:
        places = [name for of, key, name in self.put_so_far if (of, key) == (bucket, after)] if all_versions else []
        behind = data.draw(st.sampled_from([None, *places]))

        async def act(side: Side) -> object:
            sequence = side.versions[behind].sequence if behind else 0
            query = ListQuery(after=after, after_sequence=sequence, all_versions=all_versions, **fields)
            return side.page(await side.backend.list_versions(side.bucket(bucket), query))

        self.both(act)

    # Uploads

    @rule(
        bucket=buckets,
        key=keys,
        contents=st.lists(datas, max_size=3),
        acl=acls,
        encryption=encryptions,
        tags=tags_of,
    )
    def create_upload(
        self,
        bucket: str,
        key: str,
        contents: list[Data],
        acl: Grants | None,
        encryption: Encryption | None,
        tags: Mapping[str, str],
    ) -> None:
        name = self.new_name("upload")
        number = self.count

        async def act(side: Side) -> object:
            fields: dict[str, Any] = {"acl": acl, "encryption": encryption, "tags": tags}
            upload = await create_upload(side.backend, side.bucket(bucket), key, number, **fields)
            side.uploads[name] = upload
            return side.told_upload(side.uploads[name])

        if isinstance(self.both(act), tuple):
            self.uploads_so_far.append((bucket, name))
            for place, content in enumerate(contents, 1):
                self._put_part(bucket, name, place, content)

    @precondition(lambda self: self.uploads_so_far)
    @rule(data=st.data(), number=numbers, content=datas)
    def put_part(self, data: st.DataObject, number: int, content: Data) -> None:
        self._put_part(*self.known(data, self.uploads_so_far), number, content)

    def _put_part(self, bucket: str, upload: str, number: int, content: Data) -> None:
        name = self.new_name("part")

        async def act(side: Side) -> object:
            part = await put_part(side.backend, side.bucket(bucket), side.uploads[upload], number, some_bytes(*content))
            side.parts[name] = part
            return part.number, part.size, part.etag

        if isinstance(self.both(act), tuple):
            self.parts_so_far.append((upload, number, name))

    @precondition(lambda self: self.uploads_so_far)
    @rule(data=st.data(), after=st.integers(0, 4), limit=st.integers(0, 4))
    def look_at_upload(self, data: st.DataObject, after: int, limit: int) -> None:
        bucket, name = self.known(data, self.uploads_so_far)

        async def act(side: Side) -> object:
            upload = side.uploads[name]
            return side.told_upload(await side.backend.get_upload(side.bucket(bucket), upload.key, upload.upload_id))

        async def list_parts(side: Side) -> object:
            parts = await side.backend.list_parts(side.bucket(bucket), side.uploads[name], after, limit)
            return [(part.number, part.size, part.etag) for part in parts]

        self.both(act)
        self.both(list_parts)

    @precondition(lambda self: self.parts_so_far)
    @rule(data=st.data(), guard=guards)
    def finish_upload(self, data: st.DataObject, guard: Guard) -> None:
        of_upload, _, _ = self.known(data, self.parts_so_far)
        bucket = next(bucket for bucket, upload in self.uploads_so_far if upload == of_upload)
        put_for_it = {number: name for upload, number, name in self.parts_so_far if upload == of_upload}
        older = {number: name for upload, number, name in reversed(self.parts_so_far) if upload == of_upload}
        put_for_it |= {
            number: older[number] for number in data.draw(st.just(()) | st.sets(st.sampled_from(sorted(older))))
        }
        chosen = sorted(data.draw(st.sets(st.sampled_from(sorted(put_for_it)), min_size=1)))
        name = self.new_name("object")

        async def act(side: Side) -> object:
            parts = [side.parts[put_for_it[number]] for number in chosen]
            upload = side.uploads[of_upload]
            told = [Entry("told", {"Name": name})]
            fields: dict[str, Any] = {"guard": guard, "journal": told, "acl": upload.acl, "tags": upload.tags}
            made = await finish(side.backend, side.bucket(bucket), upload, parts, **fields)
            return side.remember(name, made)

        outcome = self.both(act)
        self._remember_if_put(bucket, self.sides[0].uploads[of_upload].key, name, outcome)

    @precondition(lambda self: self.uploads_so_far)
    @rule(data=st.data())
    def abort_upload(self, data: st.DataObject) -> None:
        bucket, name = self.known(data, self.uploads_so_far)
        self.both(lambda side: side.backend.abort_upload(side.bucket(bucket), side.uploads[name]))

    @rule(
        data=st.data(),
        bucket=buckets,
        prefix=st.sampled_from(["", "", "a", "a/"]),
        delimiter=st.sampled_from(["", "/", "b"]),
        after=st.just("") | keys,
        limit=st.integers(0, 3) | st.just(1000),
    )
    def list_uploads(self, data: st.DataObject, bucket: str, **fields: Any) -> None:
        behind = data.draw(st.sampled_from(["", *(upload.upload_id for upload in self.sides[0].uploads.values())]))

        async def act(side: Side) -> object:
            return side.page(await side.backend.list_uploads(side.bucket(bucket), ListQuery(after_id=behind, **fields)))

        self.both(act)

    # Bytes that nothing owns

    @rule(bucket=buckets, content=st.tuples(st.sampled_from(LARGE), st.integers(0, 2)), discard=st.booleans())
    def write_without_owner(self, bucket: str, content: Data, discard: bool) -> None:
        async def act(side: Side) -> object:
            blob = await write(side.backend, side.bucket(bucket), some_bytes(*content))
            if discard:
                await side.backend.discard_blob(side.bucket(bucket), blob)
            return blob.size

        self.both(act)

    @rule()
    def collect_garbage(self) -> None:
        """What is owned is still there, to the last byte."""

        async def read_all(side: Side) -> object:
            found: list[object] = []
            for bucket in await side.backend.list_buckets():
                page = await side.backend.list_versions(bucket, ListQuery(all_versions=True))
                for entry in page.entries:
                    assert isinstance(entry, Listed)
                    version = await side.backend.get_version(bucket, entry.key, entry.version_id)
                    found.append((side.told(version), await content_of(side.backend, bucket, version)))
            return found

        self.both(lambda side: collect_all(side.backend))
        self.both(read_all)

    # Records and the journal

    @rule(id=keys, asked=st.sampled_from(["write", "write", "remove", "refuse"]), after=st.just("") | keys)
    def update_record(self, id: str, asked: str, after: str) -> None:
        self.count += 1
        document = {"N": self.count}

        def change(old: Record | None) -> Record | None:
            if asked == "refuse":
                raise PreconditionFailed
            return None if asked == "remove" else replace(old or Record("kind", id, {}), document=document)

        async def act(side: Side) -> object:
            return _told_record(await side.backend.update_record("kind", id, change))

        async def look(side: Side) -> object:
            return [_told_record(record) for record in await side.backend.list_records("kind", after, 3)]

        self.both(act)
        self.both(look)

    @rule(limit=st.integers(0, 5), settled=st.integers(0, 5))
    def tell(self, limit: int, settled: int) -> None:
        async def act(side: Side) -> object:
            entries = await side.backend.take("told", limit, AT_ONCE)
            await side.backend.settle(entries[:settled])
            return [entry.document for entry in entries]

        self.both(act)


def _told_bucket(bucket: Bucket) -> object:
    return bucket.name, bucket.owner, dict(bucket.configurations), bucket.acl


def _told_record(record: Record | None) -> object:
    return record and (record.kind, record.id, record.document, record.revision)


@pytest.mark.timeout(600)  # what fails is made shorter for up to five minutes before it is told
@pytest.mark.parametrize("store", STORES)
def test_any_store_does_what_the_store_in_memory_does(store: str) -> None:
    run_state_machine_as_test(
        type(f"ComparisonWith{store.title()}", (Comparison,), {"store": store}),
        settings=settings(
            max_examples=60,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
