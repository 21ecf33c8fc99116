-- Versions of keys. Each changing statement compares the bucket's revision, and what its guard has seen, and changes
-- nothing when either differs: its row then tells which. Data-modifying parts run even when the last one changes nothing,
-- so each hangs on the one that decides.
--
-- "sequence > 0" is always so: it asks for the index by sequence (0002_indexes_to_be_asked_for.sql), as the key's newest
-- version, which is the current one, is found by it. Whoever finds a version by its id does not say it. A version found by
-- a subquery is compared with `= (SELECT …)`, not joined: a join may be planned to run through all versions of the key.

-- get_current --
-- Of so many keys as there are: $1 buckets, $2 keys, $3 and $4 content and xmin of the row that the caller knows. A row for
-- each, with its number; nothing more is told of one that is known.
SELECT asked.number, (SELECT revision FROM post3.buckets WHERE id = asked.bucket_id) AS bucket_revision, known.is_known, v.key, v.version_id, v.sequence, v.is_current,
       v.is_delete_marker, v.parts, v.content, v.stored, v.size, v.etag, v.storage_class, v.owner, v.modified, v.noncurrent,
       v.revision, v.document, v.crcs, v.body, v.xmin
  FROM unnest($1::bigint[], $2::bytea[], $3::uuid[], $4::xid[]) WITH ORDINALITY AS asked (bucket_id, key, content, xmin, number)
  LEFT JOIN LATERAL (
        SELECT xmin, * FROM post3.versions
         WHERE bucket_id = asked.bucket_id AND key = asked.key AND sequence > 0 ORDER BY sequence DESC LIMIT 1
       ) found ON found.is_current
 CROSS JOIN LATERAL (SELECT found.content = asked.content AND found.xmin = asked.xmin AS is_known) known
  LEFT JOIN LATERAL (SELECT found.*) v ON known.is_known IS NOT TRUE;

-- get_version --
SELECT b.revision AS bucket_revision, v.key, v.version_id, v.sequence, v.is_current, v.is_delete_marker, v.parts, v.content,
       v.stored, v.size, v.etag, v.storage_class, v.owner, v.modified, v.noncurrent, v.revision, v.document, v.crcs, v.body
  FROM post3.buckets b LEFT JOIN post3.versions v ON v.bucket_id = b.id AND v.key = $2 AND v.version_id = $3
 WHERE b.id = $1;

-- get_current_and_named --
-- What a guard is asked about: up to two rows.
SELECT b.revision AS bucket_revision, v.key, v.version_id, v.sequence, v.is_current, v.is_delete_marker, v.parts, v.content,
       v.stored, v.size, v.etag, v.storage_class, v.owner, v.modified, v.noncurrent, v.revision, v.document, v.crcs, v.body
  FROM post3.buckets b LEFT JOIN LATERAL (
        (SELECT * FROM post3.versions WHERE bucket_id = b.id AND key = $2 AND sequence > 0 ORDER BY sequence DESC LIMIT 1)
         UNION ALL
        SELECT * FROM post3.versions WHERE bucket_id = b.id AND key = $2 AND version_id = $3 AND NOT is_current
       ) v ON true
 WHERE b.id = $1;

-- put_small --
-- Most puts: bodies that stand in their rows, in buckets that were never versioned, unguarded; as many as there are, of
-- different keys (small.py). Each takes the place of such a one alone, so nothing goes to the ledger and nothing seen before
-- is to be compared. Those of which there is no row were not so, or their buckets are not as the callers saw them; put_null
-- finds out. An overwrite keeps its sequence, and so touches no index. Keys are locked in their order, and
-- `patience` is for each lock: all others wait with it. $1 buckets, $2 their revisions, $3 numbers; for each put $4 its
-- bucket's number, $5 key, $6 content, $7 to $16 the record.
WITH patience AS MATERIALIZED (
    SELECT set_config('lock_timeout', '100ms', true) IS NOT NULL AS is_set
), bucket AS MATERIALIZED (
    SELECT b.id, seen.number
      FROM patience, unnest($1::bigint[], $2::bigint[], $3::integer[]) AS seen (id, revision, number),
           LATERAL (SELECT id FROM post3.buckets
                     WHERE id = seen.id AND revision = seen.revision AND patience.is_set FOR KEY SHARE) b
)
INSERT INTO post3.versions AS v (bucket_id, key, version_id, sequence, is_current, content, is_delete_marker,
                                 parts, size, etag, storage_class, owner, modified, document, crcs, body,
                                 checksums)
SELECT bucket.id, new.key, 'null', (extract(epoch FROM now()) * 1000000)::bigint, true, new.content, new.is_delete_marker,
       new.parts, new.size, new.etag, new.storage_class, new.owner, now(), new.document, new.crcs, new.body, new.checksums
  FROM bucket JOIN unnest($4::integer[], $5::bytea[], $6::uuid[], $7::boolean[], $8::integer[], $9::bigint[], $10::text[],
                          $11::text[], $12::text[], $13::json[], $14::bytea[], $15::bytea[], $16::text[])
               AS new (number, key, content, is_delete_marker, parts, size, etag, storage_class, owner, document, crcs, body,
                       checksums) USING (number)
 ORDER BY bucket.id, new.key
ON CONFLICT (bucket_id, key, version_id) DO UPDATE
   SET content = excluded.content, is_delete_marker = excluded.is_delete_marker, parts = excluded.parts,
       size = excluded.size, etag = excluded.etag, storage_class = excluded.storage_class, owner = excluded.owner,
       modified = excluded.modified, document = excluded.document, crcs = excluded.crcs, body = excluded.body,
       checksums = excluded.checksums, revision = v.revision + 1
 WHERE v.is_current AND v.stored IS NULL
RETURNING bucket_id, key, version_id, sequence, modified, revision;

-- put_null --
-- Any other put in such a bucket, also in one statement, one round trip. $1 bucket, $2 its revision, $3 key, $4 content, $5
-- stored, $6 whether that waits in the ledger, $7 to $16 the record, $17 guarded, by $18 content and $19 revision.
WITH bucket AS (
    SELECT id FROM post3.buckets WHERE id = $1 AND revision = $2 FOR KEY SHARE
), old AS (
    SELECT content, stored, revision FROM post3.versions
     WHERE bucket_id = $1 AND key = $3 AND version_id = 'null' FOR UPDATE
), claim AS (
    SELECT id FROM post3.garbage WHERE bucket_id = $1 AND id = $5 AND $6 FOR UPDATE
), put AS (
    INSERT INTO post3.versions AS v (bucket_id, key, version_id, sequence, is_current, content, stored, is_delete_marker,
                                     parts, size, etag, storage_class, owner, modified, document, crcs, body,
                                     checksums)
    SELECT bucket.id, $3, 'null', (extract(epoch FROM now()) * 1000000)::bigint, true, $4, $5, $7,
           $8, $9, $10, $11, $12, now(), $13, $14, $15, $16
      FROM bucket
     WHERE (NOT $6 OR EXISTS (SELECT FROM claim))
       AND (NOT $17 OR ((SELECT content FROM old) IS NOT DISTINCT FROM $18::uuid
                        AND (SELECT revision FROM old) IS NOT DISTINCT FROM $19::bigint))
    ON CONFLICT (bucket_id, key, version_id) DO UPDATE
       SET content = excluded.content, stored = excluded.stored, is_delete_marker = excluded.is_delete_marker,
           parts = excluded.parts, size = excluded.size, etag = excluded.etag, storage_class = excluded.storage_class,
           owner = excluded.owner, modified = excluded.modified, document = excluded.document, crcs = excluded.crcs,
           body = excluded.body, checksums = excluded.checksums, revision = v.revision + 1
     WHERE v.is_current AND v.content = (SELECT content FROM old)       -- nobody was faster
    RETURNING version_id, sequence, modified, revision
), freed AS (
    INSERT INTO post3.garbage (bucket_id, id) SELECT $1, old.stored FROM old, put WHERE old.stored IS NOT NULL
), taken AS (
    DELETE FROM post3.garbage USING put WHERE bucket_id = $1 AND id = $5 AND $6
)
SELECT put.version_id, put.sequence, put.modified, put.revision, EXISTS (SELECT FROM claim) AS claimed
  FROM bucket LEFT JOIN put ON true;

-- put_version --
-- In any bucket: the old current steps back, and the new one comes in. As put_null; $18 and $19 are of the version to be
-- replaced, $20 its id ('' asks for a new one), $21 the random half of a new id, $22 and $23 content and revision of the
-- current one.
WITH bucket AS (
    SELECT id FROM post3.buckets WHERE id = $1 AND revision = $2 FOR KEY SHARE
), claim AS (
    SELECT id FROM post3.garbage WHERE bucket_id = $1 AND id = $5 AND $6 FOR UPDATE
), newest AS (
    SELECT version_id, sequence, is_current, content, revision FROM post3.versions
     WHERE bucket_id = $1 AND key = $3 AND sequence > 0 ORDER BY sequence DESC LIMIT 1 FOR UPDATE
), current AS (
    SELECT version_id, sequence, content, revision FROM newest WHERE is_current     -- still, after waiting for it
), old AS (
    SELECT content, stored, revision FROM post3.versions
     WHERE bucket_id = $1 AND key = $3 AND version_id = $20 FOR UPDATE
), allowed AS (
    SELECT bucket.id, greatest((extract(epoch FROM now()) * 1000000)::bigint,
                               (SELECT max(sequence) FROM current) + 1) AS sequence
      FROM bucket
     WHERE (NOT $6 OR EXISTS (SELECT FROM claim))
       AND (NOT $17 OR ((SELECT content FROM current) IS NOT DISTINCT FROM $22::uuid
                        AND (SELECT revision FROM current) IS NOT DISTINCT FROM $23::bigint
                        AND (SELECT content FROM old) IS NOT DISTINCT FROM $18::uuid
                        AND (SELECT revision FROM old) IS NOT DISTINCT FROM $19::bigint))
), stepped AS (
    UPDATE post3.versions v SET is_current = false, noncurrent = now()
      FROM allowed
     WHERE v.bucket_id = $1 AND v.key = $3 AND v.version_id = (SELECT version_id FROM current) AND v.version_id <> $20
    RETURNING v.version_id
), put AS (
    INSERT INTO post3.versions AS v (bucket_id, key, version_id, sequence, is_current, content, stored, is_delete_marker,
                                     parts, size, etag, storage_class, owner, modified, document, crcs, body,
                                     checksums)
    SELECT allowed.id, $3, CASE $20 WHEN '' THEN lpad(to_hex(allowed.sequence), 16, '0') || $21 ELSE $20 END,
           allowed.sequence, true, $4, $5, $7, $8, $9, $10, $11, $12, now(), $13, $14, $15, $16
      FROM allowed
     WHERE (SELECT count(*) FROM stepped) >= 0                          -- before anything comes in
    ON CONFLICT (bucket_id, key, version_id) DO UPDATE
       SET sequence = excluded.sequence, is_current = true, noncurrent = NULL,
           content = excluded.content, stored = excluded.stored, is_delete_marker = excluded.is_delete_marker,
           parts = excluded.parts, size = excluded.size, etag = excluded.etag, storage_class = excluded.storage_class,
           owner = excluded.owner, modified = excluded.modified, document = excluded.document, crcs = excluded.crcs,
           body = excluded.body, checksums = excluded.checksums, revision = v.revision + 1
     WHERE v.content = (SELECT content FROM old)
    RETURNING version_id, sequence, modified, revision
), freed AS (
    INSERT INTO post3.garbage (bucket_id, id) SELECT $1, old.stored FROM old, put WHERE old.stored IS NOT NULL
), taken AS (
    DELETE FROM post3.garbage USING put WHERE bucket_id = $1 AND id = $5 AND $6
)
SELECT put.version_id, put.sequence, put.modified, put.revision, EXISTS (SELECT FROM claim) AS claimed
  FROM bucket LEFT JOIN put ON true;

-- restore_version --
-- At a place that is given, current or not: as put_version, with $20 the id, $21 the sequence, $22 the time, $23 and $24
-- content and revision of the current one. Where there is a newer one, the newest is held meanwhile: as long as it stays
-- and is current, this one is not to be. Both neighbours are found by sequence.
WITH bucket AS (
    SELECT id FROM post3.buckets WHERE id = $1 AND revision = $2 FOR KEY SHARE
), claim AS (
    SELECT id FROM post3.garbage WHERE bucket_id = $1 AND id = $5 AND $6 FOR UPDATE
), newest AS (
    SELECT version_id, sequence, is_current, content, revision FROM post3.versions
     WHERE bucket_id = $1 AND key = $3 AND sequence > 0 ORDER BY sequence DESC LIMIT 1 FOR UPDATE
), current AS (
    SELECT version_id, sequence, content, revision FROM newest WHERE is_current
), old AS (
    SELECT sequence, content, stored, revision FROM post3.versions
     WHERE bucket_id = $1 AND key = $3 AND version_id = $20 FOR UPDATE
), taken AS (
    SELECT version_id FROM post3.versions
     WHERE bucket_id = $1 AND key = $3 AND sequence > 0 AND sequence = $21 AND version_id <> $20
     UNION ALL SELECT $20 FROM old WHERE sequence > $21
), newer AS (
    SELECT modified FROM post3.versions
     WHERE bucket_id = $1 AND key = $3 AND sequence > 0 AND sequence > $21 ORDER BY sequence LIMIT 1
), older AS (
    SELECT version_id FROM post3.versions
     WHERE bucket_id = $1 AND key = $3 AND sequence > 0 AND sequence < $21 AND version_id <> $20
     ORDER BY sequence DESC LIMIT 1
), allowed AS (
    SELECT bucket.id FROM bucket
     WHERE (NOT $6 OR EXISTS (SELECT FROM claim))
       AND NOT EXISTS (SELECT FROM taken)
       AND (NOT EXISTS (SELECT FROM newer) OR EXISTS (SELECT FROM current))
       AND (NOT $17 OR ((SELECT content FROM current) IS NOT DISTINCT FROM $23::uuid
                        AND (SELECT revision FROM current) IS NOT DISTINCT FROM $24::bigint
                        AND (SELECT content FROM old) IS NOT DISTINCT FROM $18::uuid
                        AND (SELECT revision FROM old) IS NOT DISTINCT FROM $19::bigint))
), stepped AS (
    UPDATE post3.versions v SET is_current = false, noncurrent = $22
      FROM allowed
     WHERE v.bucket_id = $1 AND v.key = $3 AND v.version_id = (SELECT version_id FROM older)
    RETURNING v.version_id
), put AS (
    INSERT INTO post3.versions AS v (bucket_id, key, version_id, sequence, is_current, content, stored, is_delete_marker,
                                     parts, size, etag, storage_class, owner, modified, noncurrent, document, crcs, body,
                                     checksums)
    SELECT allowed.id, $3, $20, $21, NOT EXISTS (SELECT FROM newer), $4, $5, $7, $8, $9, $10, $11, $12, $22,
           (SELECT modified FROM newer), $13, $14, $15, $16
      FROM allowed
     WHERE (SELECT count(*) FROM stepped) >= 0                          -- before anything comes in
    ON CONFLICT (bucket_id, key, version_id) DO UPDATE
       SET sequence = excluded.sequence, is_current = excluded.is_current, noncurrent = excluded.noncurrent,
           content = excluded.content, stored = excluded.stored, is_delete_marker = excluded.is_delete_marker,
           parts = excluded.parts, size = excluded.size, etag = excluded.etag, storage_class = excluded.storage_class,
           owner = excluded.owner, modified = excluded.modified, document = excluded.document, crcs = excluded.crcs,
           body = excluded.body, checksums = excluded.checksums, revision = v.revision + 1
     WHERE v.content = (SELECT content FROM old)
    RETURNING version_id, sequence, modified, revision, noncurrent
), freed AS (
    INSERT INTO post3.garbage (bucket_id, id) SELECT $1, old.stored FROM old, put WHERE old.stored IS NOT NULL
), disclaimed AS (
    DELETE FROM post3.garbage USING put WHERE bucket_id = $1 AND id = $5 AND $6
)
SELECT put.version_id, put.sequence, put.modified, put.revision, put.noncurrent, EXISTS (SELECT FROM claim) AS claimed,
       EXISTS (SELECT FROM taken) AS is_taken
  FROM bucket LEFT JOIN put ON true;

-- update_version --
-- $4 and $5 are what the change has seen, $6 whether it must be the current one.
WITH bucket AS (
    SELECT id FROM post3.buckets WHERE id = $1 AND revision = $2 FOR KEY SHARE
), changed AS (
    UPDATE post3.versions v
       SET owner = $8, etag = $9, storage_class = $10, document = $11, checksums = $12, revision = v.revision + 1
      FROM bucket
     WHERE v.bucket_id = $1 AND v.key = $3 AND v.version_id = $7 AND v.content = $4 AND v.revision = $5
       AND (v.is_current OR NOT $6)
    RETURNING v.revision
)
SELECT changed.revision FROM bucket LEFT JOIN changed ON true;

-- delete_version --
-- $5 guarded, by $6 content and $7 revision of the current one, $8 and $9 of this one. The newest one left becomes
-- current: who would be is looked for with a lock, so that one which is just being deleted is passed over.
WITH bucket AS (
    SELECT id FROM post3.buckets WHERE id = $1 AND revision = $2 FOR KEY SHARE
), newest AS (
    SELECT is_current, content, revision FROM post3.versions
     WHERE bucket_id = $1 AND key = $3 AND sequence > 0 AND $5 ORDER BY sequence DESC LIMIT 1 FOR UPDATE
), current AS (
    SELECT content, revision FROM newest WHERE is_current
), doomed AS (
    DELETE FROM post3.versions v USING bucket
     WHERE v.bucket_id = $1 AND v.key = $3 AND v.version_id = $4
       AND (NOT $5 OR ((SELECT content FROM current) IS NOT DISTINCT FROM $6::uuid
                       AND (SELECT revision FROM current) IS NOT DISTINCT FROM $7::bigint
                       AND v.content = $8 AND v.revision = $9))
    RETURNING v.*
), heir AS (
    SELECT version_id FROM post3.versions
     WHERE bucket_id = $1 AND key = $3 AND sequence > 0 AND version_id <> $4
       AND EXISTS (SELECT FROM doomed WHERE is_current)
     ORDER BY sequence DESC LIMIT 1 FOR UPDATE
), risen AS (
    UPDATE post3.versions v SET is_current = true, noncurrent = NULL
     WHERE v.bucket_id = $1 AND v.key = $3 AND v.version_id = (SELECT version_id FROM heir)
), freed AS (
    INSERT INTO post3.garbage (bucket_id, id) SELECT bucket_id, stored FROM doomed WHERE stored IS NOT NULL
)
SELECT v.key, v.version_id, v.sequence, v.is_current, v.is_delete_marker, v.parts, v.content, v.stored, v.size, v.etag,
       v.storage_class, v.owner, v.modified, v.noncurrent, v.revision, v.document, v.crcs, v.body
  FROM bucket LEFT JOIN doomed v ON true;

-- count_blocks --
-- Blocks before the last may have been committed without waiting for the disk: who owns them counts them first.
SELECT count(*) FROM post3.blocks WHERE blob_id = $1;
