-- Making the schema what this program needs. Run once for each opening, not prepared on held connections.

-- about_server --
-- What has to be known of a server before anything is asked of it.
SELECT current_setting('server_version_num')::integer AS version, current_setting('server_encoding') AS encoding,
       pg_is_in_recovery() AS is_replica;

-- mark_session --
SELECT set_config('post3.session', $1, false);

-- session_mark --
SELECT current_setting('post3.session', true);

-- has_schema --
SELECT to_regnamespace($1) IS NOT NULL;

-- has_migrations --
SELECT to_regclass('post3.migrations') IS NOT NULL;

-- lock_migrations --
-- Several servers may start at once: one makes the schema, the others ask again.
SELECT pg_try_advisory_lock(hashtextextended('migrations of ' || $1, 0));

-- unlock_migrations --
SELECT pg_advisory_unlock(hashtextextended('migrations of ' || $1, 0));

-- wait_at_most --
SELECT set_config('lock_timeout', $1, false);

-- wait_as_usual --
RESET lock_timeout;

-- create_schema --
CREATE SCHEMA post3;

-- create_migrations --
CREATE TABLE IF NOT EXISTS post3.migrations (
    number         integer PRIMARY KEY,
    checksum       text NOT NULL,
    oldest_program integer NOT NULL,             -- the lowest level of a program that can still work with it
    applied        timestamptz NOT NULL DEFAULT now()
);

-- count_servers --
-- Connections of servers on this schema, by the name that they go by, but for this one.
SELECT count(*) FROM pg_stat_activity
 WHERE application_name = $1 AND datname = current_database() AND pid <> pg_backend_pid();

-- has_buckets --
SELECT to_regclass(format('%I.buckets', $1::text)) IS NOT NULL;

-- holds_anything --
-- Leases are no content: a server that found nothing to do leaves some.
SELECT EXISTS (SELECT FROM post3.buckets) OR EXISTS (SELECT FROM post3.records WHERE kind <> 'lease');

-- list_migrations --
SELECT number, checksum, oldest_program FROM post3.migrations ORDER BY number;

-- note_migration --
INSERT INTO post3.migrations (number, checksum, oldest_program) VALUES ($1, $2, $3);
