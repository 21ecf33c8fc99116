-- Buckets. Every change of what is in one locks its row FOR KEY SHARE with the revision that the caller saw, so that
-- deleting it (FOR UPDATE) waits for them, and they for it.

-- create_bucket --
INSERT INTO post3.buckets (name, owner, created, document) VALUES ($1, $2, $3, $4)
ON CONFLICT (name) DO NOTHING
RETURNING id, revision;

-- get_bucket --
SELECT id, name, owner, created, revision, document FROM post3.buckets WHERE name = $1;

-- update_bucket --
UPDATE post3.buckets SET owner = $3, document = $4, revision = revision + 1
 WHERE id = $1 AND revision = $2
RETURNING revision;

-- changes_underway --
-- Transactions that have looked at some bucket before changing what is in it, and have not ended.
SELECT virtualtransaction FROM pg_locks
 WHERE locktype = 'relation' AND relation = 'post3.buckets'::regclass AND mode = 'RowShareLock' AND granted
   AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND pid <> pg_backend_pid();

-- lock_bucket --
SELECT revision FROM post3.buckets WHERE id = $1 FOR UPDATE;

-- check_bucket --
SELECT revision FROM post3.buckets WHERE id = $1;

-- share_bucket --
SELECT revision FROM post3.buckets WHERE id = $1 FOR KEY SHARE;

-- holds_versions --
SELECT EXISTS (SELECT FROM post3.versions WHERE bucket_id = $1);

-- disown_uploads --
-- What its open uploads own goes to the ledger; what the completed ones owned, their objects do.
INSERT INTO post3.garbage (bucket_id, id) SELECT bucket_id, content FROM post3.uploads
 WHERE bucket_id = $1 AND version_id IS NULL;

-- delete_bucket --
-- Refused by the foreign key while any version is left.
DELETE FROM post3.buckets WHERE id = $1;

-- list_buckets --
SELECT id, name, owner, created, revision, document FROM post3.buckets
 WHERE name > $1 AND name >= $2 AND name < $3
 ORDER BY name LIMIT $4;

-- list_buckets_of_owner --
SELECT id, name, owner, created, revision, document FROM post3.buckets
 WHERE owner = $5 AND name > $1 AND name >= $2 AND name < $3
 ORDER BY name LIMIT $4;
