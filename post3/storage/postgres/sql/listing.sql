-- Pages. Each is one statement that reads a few index entries for each row it returns, however many keys there are. Lists
-- never read a body. A key is UTF-8, which never contains the byte FF: `prefix || FF` is behind all that begin with it.
--
-- Each asks for its rows in the words of its index (0002_indexes_to_be_asked_for.sql), so that no other can serve it.
--
-- A page of versions is one row, of a column for each member of rows.load_page: a client takes eleven values apart faster
-- than a thousand rows, and the database sends them faster. Texts have FF between them, which is no part of UTF-8 either;
-- numbers and times have eight bytes (times are sent as microseconds since 2000), booleans have one. A page without
-- versions is all NULL. The aggregates take the rows as they come, which is in the order of the subquery that they are of.

-- list_current --
-- $2 to $3: the keys from which on, and before which. $4: how many.
SELECT b.revision AS bucket_revision, page.*
  FROM post3.buckets b CROSS JOIN LATERAL (
        SELECT string_agg(v.key, '\xff') AS keys, string_agg(int8send(v.sequence), '') AS sequences,
               string_agg(textsend(v.version_id), '\xff') AS version_ids,
               string_agg(timestamptz_send(v.modified), '') AS times, string_agg(int8send(v.size), '') AS sizes,
               string_agg(textsend(v.etag), '\xff') AS etags, string_agg(textsend(v.owner), '\xff') AS owners,
               string_agg(textsend(v.storage_class), '\xff') AS storage_classes,
               string_agg(textsend(coalesce(v.checksums, v.document::text)), '\xff') AS checksums,
               string_agg(boolsend(v.is_delete_marker), '') AS markers, string_agg(boolsend(v.is_current), '') AS latest
          FROM (SELECT * FROM post3.versions
                 WHERE bucket_id = b.id AND is_current AND NOT is_delete_marker
                   AND CASE WHEN is_current AND NOT is_delete_marker THEN key END >= $2
                   AND CASE WHEN is_current AND NOT is_delete_marker THEN key END < $3
                 ORDER BY CASE WHEN is_current AND NOT is_delete_marker THEN key END LIMIT $4) v
       ) page
 WHERE b.id = $1;

-- list_current_delimited --
-- A walk from entry to entry: behind a common prefix it goes on where that ends, so what is hidden costs nothing. $5: bytes
-- of the prefix, behind which $6, the delimiter, is looked for.
WITH RECURSIVE walk AS (
    SELECT 1 AS step, v.key,
           CASE WHEN position($6 IN substring(v.key FROM $5 + 1)) > 0
                THEN substring(v.key FOR $5 + position($6 IN substring(v.key FROM $5 + 1)) - 1 + octet_length($6)) END AS common,
           v.sequence, v.version_id, v.modified, v.size, v.etag, v.owner, v.storage_class, v.checksums, v.document,
           v.is_delete_marker, v.is_current
      FROM (SELECT * FROM post3.versions
             WHERE bucket_id = $1 AND is_current AND NOT is_delete_marker
               AND CASE WHEN is_current AND NOT is_delete_marker THEN key END >= $2
               AND CASE WHEN is_current AND NOT is_delete_marker THEN key END < $3
             ORDER BY CASE WHEN is_current AND NOT is_delete_marker THEN key END LIMIT 1) v
     UNION ALL
    SELECT w.step + 1, v.key,
           CASE WHEN position($6 IN substring(v.key FROM $5 + 1)) > 0
                THEN substring(v.key FOR $5 + position($6 IN substring(v.key FROM $5 + 1)) - 1 + octet_length($6)) END,
           v.sequence, v.version_id, v.modified, v.size, v.etag, v.owner, v.storage_class, v.checksums, v.document,
           v.is_delete_marker, v.is_current
      FROM walk w CROSS JOIN LATERAL (
            SELECT * FROM post3.versions
             WHERE bucket_id = $1 AND is_current AND NOT is_delete_marker
               AND CASE WHEN is_current AND NOT is_delete_marker THEN key END
                   >= coalesce(w.common || '\xff'::bytea, w.key || '\x00'::bytea)
               AND CASE WHEN is_current AND NOT is_delete_marker THEN key END < $3
             ORDER BY CASE WHEN is_current AND NOT is_delete_marker THEN key END LIMIT 1
           ) v
     WHERE w.step < $4
)
SELECT b.revision AS bucket_revision, page.*
  FROM post3.buckets b CROSS JOIN (
        SELECT string_agg(v.key, '\xff') AS keys, string_agg(int8send(v.sequence), '') AS sequences,
               string_agg(textsend(v.version_id), '\xff') AS version_ids,
               string_agg(timestamptz_send(v.modified), '') AS times, string_agg(int8send(v.size), '') AS sizes,
               string_agg(textsend(v.etag), '\xff') AS etags, string_agg(textsend(v.owner), '\xff') AS owners,
               string_agg(textsend(v.storage_class), '\xff') AS storage_classes,
               string_agg(textsend(coalesce(v.checksums, v.document::text)), '\xff') AS checksums,
               string_agg(boolsend(v.is_delete_marker), '') AS markers, string_agg(boolsend(v.is_current), '') AS latest,
               string_agg(coalesce(v.common, ''), '\xff') AS commons
          FROM (SELECT * FROM walk ORDER BY step) v
       ) page
 WHERE b.id = $1;

-- list_versions --
-- Newest first within a key. The page may begin inside key $5, behind sequence $6: a range of its own, as one comparison
-- of rows would read the whole key.
SELECT b.revision AS bucket_revision, page.*
  FROM post3.buckets b CROSS JOIN LATERAL (
        SELECT string_agg(v.key, '\xff') AS keys, string_agg(int8send(v.sequence), '') AS sequences,
               string_agg(textsend(v.version_id), '\xff') AS version_ids,
               string_agg(timestamptz_send(v.modified), '') AS times, string_agg(int8send(v.size), '') AS sizes,
               string_agg(textsend(v.etag), '\xff') AS etags, string_agg(textsend(v.owner), '\xff') AS owners,
               string_agg(textsend(v.storage_class), '\xff') AS storage_classes,
               string_agg(textsend(coalesce(v.checksums, v.document::text)), '\xff') AS checksums,
               string_agg(boolsend(v.is_delete_marker), '') AS markers, string_agg(boolsend(v.is_current), '') AS latest
          FROM ((SELECT * FROM post3.versions WHERE bucket_id = b.id AND key = $5 AND sequence < $6 AND sequence > 0
                  ORDER BY key, sequence DESC LIMIT $4)
                 UNION ALL
                (SELECT * FROM post3.versions WHERE bucket_id = b.id AND key >= $2 AND key < $3 AND sequence > 0
                  ORDER BY key, sequence DESC LIMIT $4)
                 ORDER BY key, sequence DESC LIMIT $4) v
       ) page
 WHERE b.id = $1;

-- list_versions_delimited --
-- As list_current_delimited, but behind a version come the older ones of its key. $7: bytes of the prefix, $8: delimiter.
WITH RECURSIVE walk AS (
    SELECT 1 AS step, v.key,
           CASE WHEN position($8 IN substring(v.key FROM $7 + 1)) > 0
                THEN substring(v.key FOR $7 + position($8 IN substring(v.key FROM $7 + 1)) - 1 + octet_length($8)) END AS common,
           v.sequence, v.version_id, v.modified, v.size, v.etag, v.owner, v.storage_class, v.checksums, v.document,
           v.is_delete_marker, v.is_current
      FROM ((SELECT * FROM post3.versions WHERE bucket_id = $1 AND key = $5 AND sequence < $6 AND sequence > 0
              ORDER BY key, sequence DESC LIMIT 1)
             UNION ALL
            (SELECT * FROM post3.versions WHERE bucket_id = $1 AND key >= $2 AND key < $3 AND sequence > 0
              ORDER BY key, sequence DESC LIMIT 1)
             ORDER BY key, sequence DESC LIMIT 1) v
     UNION ALL
    SELECT w.step + 1, v.key,
           CASE WHEN position($8 IN substring(v.key FROM $7 + 1)) > 0
                THEN substring(v.key FOR $7 + position($8 IN substring(v.key FROM $7 + 1)) - 1 + octet_length($8)) END,
           v.sequence, v.version_id, v.modified, v.size, v.etag, v.owner, v.storage_class, v.checksums, v.document,
           v.is_delete_marker, v.is_current
      FROM walk w CROSS JOIN LATERAL (
            (SELECT * FROM post3.versions
              WHERE bucket_id = $1 AND w.common IS NULL AND key = w.key AND sequence < w.sequence
                AND sequence > 0
              ORDER BY key, sequence DESC LIMIT 1)
             UNION ALL
            (SELECT * FROM post3.versions
              WHERE bucket_id = $1 AND key >= coalesce(w.common || '\xff'::bytea, w.key || '\x00'::bytea) AND key < $3
                AND sequence > 0
              ORDER BY key, sequence DESC LIMIT 1)
             ORDER BY key, sequence DESC LIMIT 1
           ) v
     WHERE w.step < $4
)
SELECT b.revision AS bucket_revision, page.*
  FROM post3.buckets b CROSS JOIN (
        SELECT string_agg(v.key, '\xff') AS keys, string_agg(int8send(v.sequence), '') AS sequences,
               string_agg(textsend(v.version_id), '\xff') AS version_ids,
               string_agg(timestamptz_send(v.modified), '') AS times, string_agg(int8send(v.size), '') AS sizes,
               string_agg(textsend(v.etag), '\xff') AS etags, string_agg(textsend(v.owner), '\xff') AS owners,
               string_agg(textsend(v.storage_class), '\xff') AS storage_classes,
               string_agg(textsend(coalesce(v.checksums, v.document::text)), '\xff') AS checksums,
               string_agg(boolsend(v.is_delete_marker), '') AS markers, string_agg(boolsend(v.is_current), '') AS latest,
               string_agg(coalesce(v.common, ''), '\xff') AS commons
          FROM (SELECT * FROM walk ORDER BY step) v
       ) page
 WHERE b.id = $1;

-- list_uploads --
-- Open ones, by key, then by birth. The page may begin inside key $5, behind upload $6.
SELECT b.revision AS bucket_revision, u.key, u.upload_id, u.content, u.owner, u.initiated, u.version_id, u.document
  FROM post3.buckets b LEFT JOIN LATERAL (
        (SELECT * FROM post3.uploads WHERE bucket_id = b.id AND version_id IS NULL
            AND CASE WHEN version_id IS NULL THEN key END = $5 AND upload_id > $6
          ORDER BY CASE WHEN version_id IS NULL THEN key END, upload_id LIMIT $4)
         UNION ALL
        (SELECT * FROM post3.uploads WHERE bucket_id = b.id AND version_id IS NULL
            AND CASE WHEN version_id IS NULL THEN key END >= $2
            AND CASE WHEN version_id IS NULL THEN key END < $3
          ORDER BY CASE WHEN version_id IS NULL THEN key END, upload_id LIMIT $4)
         ORDER BY key, upload_id LIMIT $4
       ) u ON true
 WHERE b.id = $1
 ORDER BY u.key, u.upload_id;

-- list_uploads_delimited --
WITH RECURSIVE walk AS (
    SELECT 1 AS step, u.key,
           CASE WHEN position($8 IN substring(u.key FROM $7 + 1)) > 0
                THEN substring(u.key FOR $7 + position($8 IN substring(u.key FROM $7 + 1)) - 1 + octet_length($8)) END AS common,
           u.upload_id, u.content, u.owner, u.initiated, u.version_id, u.document
      FROM ((SELECT * FROM post3.uploads WHERE bucket_id = $1 AND version_id IS NULL
                AND CASE WHEN version_id IS NULL THEN key END = $5 AND upload_id > $6
              ORDER BY CASE WHEN version_id IS NULL THEN key END, upload_id LIMIT 1)
             UNION ALL
            (SELECT * FROM post3.uploads WHERE bucket_id = $1 AND version_id IS NULL
                AND CASE WHEN version_id IS NULL THEN key END >= $2
                AND CASE WHEN version_id IS NULL THEN key END < $3
              ORDER BY CASE WHEN version_id IS NULL THEN key END, upload_id LIMIT 1)
             ORDER BY key, upload_id LIMIT 1) u
     UNION ALL
    SELECT w.step + 1, u.key,
           CASE WHEN position($8 IN substring(u.key FROM $7 + 1)) > 0
                THEN substring(u.key FOR $7 + position($8 IN substring(u.key FROM $7 + 1)) - 1 + octet_length($8)) END,
           u.upload_id, u.content, u.owner, u.initiated, u.version_id, u.document
      FROM walk w CROSS JOIN LATERAL (
            (SELECT * FROM post3.uploads
              WHERE bucket_id = $1 AND version_id IS NULL AND w.common IS NULL
                AND CASE WHEN version_id IS NULL THEN key END = w.key AND upload_id > w.upload_id
              ORDER BY CASE WHEN version_id IS NULL THEN key END, upload_id LIMIT 1)
             UNION ALL
            (SELECT * FROM post3.uploads
              WHERE bucket_id = $1 AND version_id IS NULL
                AND CASE WHEN version_id IS NULL THEN key END >= coalesce(w.common || '\xff'::bytea, w.key || '\x00'::bytea)
                AND CASE WHEN version_id IS NULL THEN key END < $3
              ORDER BY CASE WHEN version_id IS NULL THEN key END, upload_id LIMIT 1)
             ORDER BY key, upload_id LIMIT 1
           ) u
     WHERE w.step < $4
)
SELECT b.revision AS bucket_revision, walk.* FROM post3.buckets b LEFT JOIN walk ON true WHERE b.id = $1 ORDER BY walk.step;
