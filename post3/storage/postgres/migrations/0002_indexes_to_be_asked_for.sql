-- oldest program: 1
-- outside a transaction

-- A plan is made without knowing the values, from what the tables were like when they were last looked at. If all versions
-- were current then, every index that begins with bucket and key seems as good as the next, and a key that has got
-- thousands of versions since, or a bucket full of markers, is read as a whole to find one row (seen: 21,000 pages for one
-- put). So these indexes serve only the statements that ask for them in their own words, and those can use no other.
--
-- The old ones go at once, since they are what a plan goes wrong with. An older program works as well as before without
-- them, but its listings read more.

-- By sequence: asked for by "sequence > 0", which is always so. It finds the newest, which is the current one; the unique
-- index versions_current stays as the promise that there is no other. A statement that finds a version by its id does not
-- say it, and is left with the primary key.
DROP INDEX CONCURRENTLY IF EXISTS post3.versions_by_sequence;   -- what an attempt that was cut short left
CREATE UNIQUE INDEX CONCURRENTLY versions_by_sequence ON post3.versions (bucket_id, key, sequence DESC) WHERE sequence > 0;
DROP INDEX CONCURRENTLY IF EXISTS post3.versions_ordered;

-- By the key that a version is listed under, which noncurrent ones and markers do not have: no other index has it.
DROP INDEX CONCURRENTLY IF EXISTS post3.versions_by_listed_key;
CREATE INDEX CONCURRENTLY versions_by_listed_key
    ON post3.versions (bucket_id, (CASE WHEN is_current AND NOT is_delete_marker THEN key END))
 WHERE is_current AND NOT is_delete_marker;
DROP INDEX CONCURRENTLY IF EXISTS post3.versions_listed;

-- The same for uploads: completed ones are remembered for a week, and there may be many.
DROP INDEX CONCURRENTLY IF EXISTS post3.uploads_by_open_key;
CREATE INDEX CONCURRENTLY uploads_by_open_key
    ON post3.uploads (bucket_id, (CASE WHEN version_id IS NULL THEN key END), upload_id)
 WHERE version_id IS NULL;
DROP INDEX CONCURRENTLY IF EXISTS post3.uploads_open;
