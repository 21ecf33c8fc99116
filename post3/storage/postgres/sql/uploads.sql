-- Multipart uploads and their parts.

-- create_upload --
WITH bucket AS (
    SELECT id FROM post3.buckets WHERE id = $1 AND revision = $2 FOR KEY SHARE
)
INSERT INTO post3.uploads (bucket_id, key, upload_id, content, owner, document)
SELECT id, $3, $4, $5, $6, $7 FROM bucket
RETURNING initiated;

-- get_upload --
SELECT b.revision AS bucket_revision, u.key, u.upload_id, u.content, u.owner, u.initiated, u.version_id, u.document
  FROM post3.buckets b LEFT JOIN post3.uploads u ON u.bucket_id = b.id AND u.key = $2 AND u.upload_id = $3
 WHERE b.id = $1;

-- share_upload --
-- While a part is put, the upload is neither completed nor aborted.
SELECT content, version_id FROM post3.uploads WHERE bucket_id = $1 AND key = $2 AND upload_id = $3 FOR SHARE;

-- lock_upload --
SELECT content, version_id FROM post3.uploads WHERE bucket_id = $1 AND key = $2 AND upload_id = $3 FOR UPDATE;

-- put_part --
-- $4 size, $5 the blob, $6 its size, $7 etag, $8 document, $9 whether the blob waits in the ledger, $10 and $11 a small body.
WITH old AS (
    SELECT blob_id, body IS NULL AS in_blocks FROM post3.parts
     WHERE bucket_id = $1 AND content = $2 AND number = $3 FOR UPDATE
), claim AS (
    SELECT id FROM post3.garbage WHERE bucket_id = $1 AND id = $5 AND $9 FOR UPDATE
), put AS (
    INSERT INTO post3.parts AS p (bucket_id, content, number, size, blob_id, stored, etag, document, crcs, body)
    SELECT $1, $2, $3, $4, $5, $6, $7, $8, $10, $11 WHERE NOT $9 OR EXISTS (SELECT FROM claim)
    ON CONFLICT (bucket_id, content, number) DO UPDATE
       SET size = excluded.size, blob_id = excluded.blob_id, stored = excluded.stored, etag = excluded.etag,
           modified = excluded.modified, document = excluded.document, crcs = excluded.crcs,
           body = excluded.body, start = NULL
     WHERE p.blob_id = (SELECT blob_id FROM old)
    RETURNING modified
), freed AS (
    INSERT INTO post3.garbage (bucket_id, id) SELECT $1, old.blob_id FROM old, put WHERE old.in_blocks
), taken AS (
    DELETE FROM post3.garbage USING put WHERE bucket_id = $1 AND id = $5 AND $9
)
SELECT (SELECT modified FROM put) AS modified, EXISTS (SELECT FROM claim) AS claimed;

-- list_parts_of_upload --
-- Nothing when the bucket is gone; a row without a part when the upload has none.
SELECT b.revision AS bucket_revision, u.upload_id, u.version_id,
       p.number, p.start, p.size, p.blob_id, p.stored, p.etag, p.modified, p.document
  FROM post3.buckets b
  LEFT JOIN post3.uploads u ON u.bucket_id = b.id AND u.key = $2 AND u.upload_id = $3
  LEFT JOIN LATERAL (
        SELECT * FROM post3.parts WHERE bucket_id = u.bucket_id AND content = u.content AND number > $4
         ORDER BY number LIMIT $5
       ) p ON true
 WHERE b.id = $1
 ORDER BY p.number;

-- list_parts_of_content --
SELECT b.revision AS bucket_revision, p.number, p.start, p.size, p.blob_id, p.stored, p.etag, p.modified, p.document
  FROM post3.buckets b LEFT JOIN LATERAL (
        SELECT * FROM post3.parts WHERE bucket_id = b.id AND content = $2 AND number > $3 ORDER BY number LIMIT $4
       ) p ON true
 WHERE b.id = $1
 ORDER BY p.number;

-- list_parts_of_range --
-- Those under the bytes from $5 to before $6: from the last one that starts at or before the first byte.
SELECT b.revision AS bucket_revision, p.number, p.start, p.size, p.blob_id, p.stored, p.etag, p.modified, p.document
  FROM post3.buckets b LEFT JOIN LATERAL (
        SELECT * FROM post3.parts
         WHERE bucket_id = b.id AND content = $2 AND number > $3 AND start < $6 AND start + size > $5
           AND start >= (SELECT start FROM post3.parts WHERE bucket_id = b.id AND content = $2 AND start <= $5
                          ORDER BY start DESC LIMIT 1)
         ORDER BY start, number LIMIT $4
       ) p ON true
 WHERE b.id = $1
 ORDER BY p.start, p.number;

-- read_small_part --
SELECT crcs, body FROM post3.parts WHERE bucket_id = $1 AND blob_id = $2 AND body IS NOT NULL;

-- has_parts --
SELECT EXISTS (SELECT FROM post3.parts WHERE bucket_id = $1 AND content = $2);

-- place_parts --
-- The named parts get their places; those that are not the upload's any more are not among the answers.
UPDATE post3.parts p SET start = chosen.start
  FROM unnest($3::integer[], $4::uuid[], $5::bigint[]) AS chosen (number, blob_id, start)
 WHERE p.bucket_id = $1 AND p.content = $2 AND p.number = chosen.number AND p.blob_id = chosen.blob_id
RETURNING p.number;

-- drop_other_parts --
WITH gone AS (
    DELETE FROM post3.parts WHERE bucket_id = $1 AND content = $2 AND number <> ALL ($3::integer[]) RETURNING blob_id, body
)
INSERT INTO post3.garbage (bucket_id, id) SELECT $1, blob_id FROM gone WHERE body IS NULL;

-- complete_upload --
UPDATE post3.uploads SET version_id = $4 WHERE bucket_id = $1 AND key = $2 AND upload_id = $3;

-- abort_upload --
WITH gone AS (
    DELETE FROM post3.uploads WHERE bucket_id = $1 AND key = $2 AND upload_id = $3 RETURNING content
)
INSERT INTO post3.garbage (bucket_id, id) SELECT $1, content FROM gone;
