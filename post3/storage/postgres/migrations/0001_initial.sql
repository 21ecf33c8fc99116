-- oldest program: 1

-- What post3 keeps in PostgreSQL. No extension, no trigger, no sequence on the way of a request.
--
-- Everything hangs on its bucket, except the bytes of large bodies, which hang on their blob. No foreign key and no
-- statement joins the two, so that a distributed PostgreSQL may place blocks by blob_id, the rest by bucket_id, and copy
-- buckets and records to every node. tests/house/test_sql.py keeps it so.
--
-- Bytes have one owner: a version, a part, or the ledger "garbage". A name enters the ledger before its first block is
-- sent, leaves it in the statement that gives it an owner, and comes back in the one that takes the owner away. Bytes that
-- arrive in the same transaction as their owner never stand in the ledger.
--
-- Times that decide anything come from now() of the database, never from a server's clock. Documents are json and not
-- jsonb, which refuses NUL and undecodable header bytes. Keys are bytea: the order of their bytes is the order of S3, and
-- text cannot hold a NUL.

CREATE TABLE post3.buckets (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,  -- a bucket made again is another bucket
    name      text COLLATE "C" NOT NULL UNIQUE,
    owner     text NOT NULL,
    created   timestamptz NOT NULL,
    revision  bigint NOT NULL DEFAULT 1,         -- one more at every change; statements compare it with the caller's
    document  json NOT NULL DEFAULT '{}'         -- region, ACL and configurations
);
CREATE INDEX buckets_by_owner ON post3.buckets (owner, name);   -- ListBuckets: of one owner, by name

CREATE TABLE post3.versions (
    bucket_id        bigint NOT NULL REFERENCES post3.buckets,  -- no cascade: what holds versions cannot be deleted
    key              bytea NOT NULL CHECK (octet_length(key) BETWEEN 1 AND 1024),
    version_id       text COLLATE "C" NOT NULL,                 -- 'null' without versioning
    sequence         bigint NOT NULL,            -- order within the key: microseconds, at least its newest + 1
    is_current       boolean NOT NULL,
    is_delete_marker boolean NOT NULL DEFAULT false,
    parts            integer NOT NULL DEFAULT 0, -- 0: one body
    content          uuid NOT NULL,              -- names these very bytes; an upload's content becomes its object's
    stored           uuid,                       -- the content again, if its bytes are in blocks; NULL: in body
    size             bigint NOT NULL DEFAULT 0,
    etag             text NOT NULL DEFAULT '',
    storage_class    text NOT NULL DEFAULT 'STANDARD',
    owner            text NOT NULL,
    modified         timestamptz NOT NULL,
    noncurrent       timestamptz,                -- when it stopped being current, for lifecycle
    revision         bigint NOT NULL DEFAULT 1,
    document         json NOT NULL DEFAULT '{}', -- headers, metadata, checksums
    crcs             bytea,                      -- of the body, as blocks.crcs
    body             bytea,                      -- a small body; TOAST moves it aside, so that lists stay narrow
    PRIMARY KEY (bucket_id, key, version_id)     -- a named version; the arbiter of "put replaces"
);
ALTER TABLE post3.versions ALTER body SET STORAGE EXTERNAL;
ALTER TABLE post3.versions SET (fillfactor = 90, autovacuum_vacuum_scale_factor = 0.05);
-- GET and HEAD of the current version, and the promise that there is at most one.
CREATE UNIQUE INDEX versions_current ON post3.versions (bucket_id, key) WHERE is_current;
-- ListObjects: noncurrent versions and markers cost nothing, however many there are.
CREATE INDEX versions_listed ON post3.versions (bucket_id, key) WHERE is_current AND NOT is_delete_marker;
-- ListObjectVersions, newest first within a key; the next current version after a delete.
CREATE UNIQUE INDEX versions_ordered ON post3.versions (bucket_id, key, sequence DESC);
-- One owner for stored bytes, kept by the database; the collector's last look before it deletes. Not on content: a small
-- body that replaces a small body changes no indexed column, and so touches no index.
CREATE UNIQUE INDEX versions_stored ON post3.versions (bucket_id, stored) WHERE stored IS NOT NULL;

CREATE TABLE post3.uploads (
    bucket_id  bigint NOT NULL REFERENCES post3.buckets ON DELETE CASCADE,  -- uploads do not keep a bucket alive
    key        bytea NOT NULL,
    upload_id  text COLLATE "C" NOT NULL,        -- sorts by its birth: the order of ListMultipartUploads
    content    uuid NOT NULL,
    owner      text NOT NULL,
    initiated  timestamptz NOT NULL DEFAULT now(),
    version_id text,                             -- set when completed: a repeated Complete answers the same
    document   json NOT NULL,                    -- all that the object will have, and the checksum's kind
    PRIMARY KEY (bucket_id, key, upload_id)
);
CREATE INDEX uploads_open ON post3.uploads (bucket_id, key, upload_id) WHERE version_id IS NULL;  -- ListMultipartUploads
CREATE INDEX uploads_by_age ON post3.uploads (initiated);       -- forgetting the completed

CREATE TABLE post3.parts (                       -- of an upload, later of its object: completing moves no row
    bucket_id bigint NOT NULL,                   -- no foreign key: in the ledger they outlive upload and bucket
    content   uuid NOT NULL,
    number    integer NOT NULL,
    start     bigint,                            -- offset in the object, set at completion
    size      bigint NOT NULL,                   -- as the client sent it
    blob_id   uuid NOT NULL,
    stored    bigint NOT NULL,                   -- the blob's size, larger when encrypted
    etag      text NOT NULL,
    modified  timestamptz NOT NULL DEFAULT now(),
    document  json NOT NULL DEFAULT '{}',        -- checksums
    crcs      bytea,
    body      bytea,                             -- a small part, as a small body; NULL: in blocks
    PRIMARY KEY (bucket_id, content, number)     -- ListParts, partNumber
);
ALTER TABLE post3.parts ALTER body SET STORAGE EXTERNAL;
CREATE INDEX parts_by_start ON post3.parts (bucket_id, content, start);  -- a range finds its parts
CREATE UNIQUE INDEX parts_blob ON post3.parts (bucket_id, blob_id);      -- one owner, as versions_stored

CREATE TABLE post3.blocks (
    blob_id uuid NOT NULL,                       -- grows with time, so that the table can later become one range of a
    number  integer NOT NULL,                    -- partitioned table without moving a row
    crcs    bytea NOT NULL,                      -- CRC64NVME of each 64 KiB of data, compared at every read
    data    bytea NOT NULL,                      -- 1 MiB, the last one shorter
    PRIMARY KEY (blob_id, number)
);
ALTER TABLE post3.blocks ALTER data SET STORAGE EXTERNAL;
-- One dead block is a dead MiB: look after the table (and the one that holds its bytes) long before a fifth of it is dead.
ALTER TABLE post3.blocks SET (
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.2,
    toast.autovacuum_vacuum_scale_factor = 0.02, toast.autovacuum_vacuum_cost_delay = 1
);

CREATE TABLE post3.garbage (                     -- the ledger: blobs and contents that nothing owns
    bucket_id bigint NOT NULL,
    id        uuid NOT NULL,
    since     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (bucket_id, id)                  -- claimed by the put
);
CREATE INDEX garbage_by_age ON post3.garbage (since, id);       -- what is due
ALTER TABLE post3.garbage SET (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 500);

CREATE TABLE post3.records (                     -- users, keys, usage, leases: all that is no object
    kind     text COLLATE "C" NOT NULL,
    id       bytea NOT NULL,                     -- of a name in UTF-8, whatever it is
    revision bigint NOT NULL DEFAULT 1,
    modified timestamptz NOT NULL DEFAULT now(),
    document json NOT NULL,
    PRIMARY KEY (kind, id)
);

CREATE TABLE post3.journal (                     -- what is to be told, written with the change it tells of
    bucket_id bigint NOT NULL,
    id        uuid NOT NULL,                     -- grows with time
    stream    text COLLATE "C" NOT NULL,         -- notification, access-log, replication, audit
    due       timestamptz NOT NULL DEFAULT now(),               -- later while a worker holds it, or after a failure
    document  json NOT NULL,
    PRIMARY KEY (bucket_id, id)
);
CREATE INDEX journal_due ON post3.journal (stream, due, id);    -- the worker's next batch
