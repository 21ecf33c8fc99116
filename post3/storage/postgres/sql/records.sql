-- Documents by kind and id, and the journal.

-- get_record --
SELECT kind, id, revision, modified, document FROM post3.records WHERE kind = $1 AND id = $2;

-- create_record --
INSERT INTO post3.records (kind, id, document) VALUES ($1, $2, $3) ON CONFLICT (kind, id) DO NOTHING
RETURNING revision, modified;

-- change_record --
-- $4 and $5 are what the change has seen.
UPDATE post3.records SET document = $3, revision = revision + 1, modified = now()
 WHERE kind = $1 AND id = $2 AND revision = $4 AND modified = $5
RETURNING revision, modified;

-- delete_record --
DELETE FROM post3.records WHERE kind = $1 AND id = $2 AND revision = $3 AND modified = $4 RETURNING revision;

-- list_records --
SELECT kind, id, revision, modified, document FROM post3.records WHERE kind = $1 AND id > $2 ORDER BY id LIMIT $3;

-- append_journal --
INSERT INTO post3.journal (bucket_id, id, stream, document)
SELECT $1, entry.id, entry.stream, entry.document::json
  FROM unnest($2::uuid[], $3::text[], $4::text[]) AS entry (id, stream, document);

-- take_journal --
-- Taken first, and once: as the inner side of a join the limit would begin anew for each row of the outer side.
WITH taken AS MATERIALIZED (
    SELECT bucket_id, id FROM post3.journal WHERE stream = $1 AND due <= now()
     ORDER BY due, id LIMIT $2 FOR UPDATE SKIP LOCKED
)
UPDATE post3.journal j SET due = now() + $3::interval
  FROM taken
 WHERE j.bucket_id = taken.bucket_id AND j.id = taken.id
RETURNING j.bucket_id, j.id, j.stream, j.document;

-- settle_journal --
DELETE FROM post3.journal j USING unnest($1::bigint[], $2::uuid[]) AS told (bucket_id, id)
 WHERE j.bucket_id = told.bucket_id AND j.id = told.id;
