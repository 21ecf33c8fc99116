-- Bytes, and the ledger of those that nothing owns. Blocks are written by COPY.

-- note_blob --
-- Before the first block: bytes of a process that dies are found by this. Whatever the bucket's revision is by now:
-- whoever gives the bytes an owner looks at that.
INSERT INTO post3.garbage (bucket_id, id) SELECT id, $2 FROM post3.buckets WHERE id = $1 RETURNING id;

-- stay_noted --
-- With each block: the collector, which locks the entry before it frees anything, waits for the block or goes before it.
SELECT id FROM post3.garbage WHERE bucket_id = $1 AND id = $2 FOR KEY SHARE;

-- renew_blob --
-- Complete: however long it took, the time that the bytes may wait for an owner begins now.
UPDATE post3.garbage SET since = clock_timestamp() WHERE bucket_id = $1 AND id = $2 RETURNING id;

-- read_blocks --
-- Blocks $2 to $3 (the last one included); of the first one only the bytes from $4, of the last one those before $5, both at
-- borders of pieces of 64 KiB, whose CRCs come along.
SELECT number,
       substring(crcs FROM CASE WHEN number = $2 THEN $4 / 65536 * 8 + 1 ELSE 1 END
                 FOR (CASE WHEN number = $3 THEN ($5 + 65535) / 65536 * 8 ELSE 128 END)
                     - (CASE WHEN number = $2 THEN $4 / 65536 * 8 ELSE 0 END)) AS crcs,
       substring(data FROM CASE WHEN number = $2 THEN $4 + 1 ELSE 1 END
                 FOR (CASE WHEN number = $3 THEN $5 ELSE 1048576 END)
                     - (CASE WHEN number = $2 THEN $4 ELSE 0 END)) AS data
  FROM post3.blocks WHERE blob_id = $1 AND number BETWEEN $2 AND $3
 ORDER BY number;

-- put_block --
INSERT INTO post3.blocks (blob_id, number, crcs, data) VALUES ($1, $2, $3, $4);

-- copy_blocks --
-- The database's own copy: no byte leaves it.
INSERT INTO post3.blocks (blob_id, number, crcs, data)
SELECT $2, number, crcs, data FROM post3.blocks WHERE blob_id = $1 AND number BETWEEN $3 AND $4
RETURNING number;

-- list_due --
-- What has stood in the ledger for so long, oldest first, behind the one looked at last.
SELECT bucket_id, id, since FROM post3.garbage
 WHERE since <= now() - $1::interval AND (since, id) > ($2, $3)
 ORDER BY since, id LIMIT $4;

-- lock_garbage --
-- Whoever puts it at this moment has it, or has just had it; so has another collector.
SELECT since FROM post3.garbage WHERE bucket_id = $1 AND id = $2 AND since <= now() - $3::interval
   FOR UPDATE SKIP LOCKED;

-- is_owned --
SELECT EXISTS (SELECT FROM post3.versions WHERE bucket_id = $1 AND stored = $2)
    OR EXISTS (SELECT FROM post3.parts WHERE bucket_id = $1 AND blob_id = $2);

-- list_part_blobs --
SELECT blob_id FROM post3.parts WHERE bucket_id = $1 AND content = $2 AND body IS NULL;

-- free_parts --
-- The parts of a content that nothing owns go; their blobs are as old as it.
WITH gone AS (
    DELETE FROM post3.parts WHERE bucket_id = $1 AND content = $2 RETURNING blob_id, body
)
INSERT INTO post3.garbage (bucket_id, id, since) SELECT $1, blob_id, $3 FROM gone WHERE body IS NULL;

-- free_blocks --
-- From the last one down, so many at once: a crash between leaves it due again, and who claims it meanwhile counts.
DELETE FROM post3.blocks
 WHERE blob_id = $1 AND number > (SELECT max(number) FROM post3.blocks WHERE blob_id = $1) - $2
RETURNING number, octet_length(data) AS size;

-- forget_garbage --
DELETE FROM post3.garbage WHERE bucket_id = $1 AND id = $2;

-- forget_completed_uploads --
DELETE FROM post3.uploads WHERE version_id IS NOT NULL AND initiated < now() - $1::interval RETURNING upload_id;
