-- What is said on every connection.

-- begin --
BEGIN;

-- begin_relaxed --
-- For bytes that a later, durable commit follows: the transaction log is sequential, so that one brings them along.
BEGIN;
SET LOCAL synchronous_commit = off;

-- commit --
COMMIT;

-- rollback --
ROLLBACK;

-- prepare_session --
-- jit: compiling takes longer than any statement here. Plans do not depend on the values, so they are made once, and so no
-- plan may read a whole table: it may have been small then, or all of one bucket. Each statement has its index. A
-- transaction whose server died must not hold its locks for ever.
SET jit = off;
SET plan_cache_mode = force_generic_plan;
SET enable_seqscan = off;
SET idle_in_transaction_session_timeout = '30s';
SET client_min_messages = 'error';

-- prepare_relaxed_session --
SET synchronous_commit = off;

-- ping --
-- A server that only reads cannot serve.
SELECT current_setting('transaction_read_only') = 'on' AS is_read_only;

-- about --
SELECT (SELECT max(number) FROM post3.migrations) AS schema, (SELECT count(*) FROM post3.garbage) AS garbage,
       current_setting('server_version') AS postgresql;

-- hold --
-- Who reads or writes bytes for longer than one statement holds their names, in a session that ends with the process.
SELECT count(pg_advisory_lock_shared(key)) FROM unnest($1::bigint[]) AS key;

-- let_go --
SELECT count(pg_advisory_unlock_shared(key)) FROM unnest($1::bigint[]) AS key;

-- who_holds --
-- All names that any process holds.
SELECT DISTINCT (classid::bigint << 32) | objid::bigint AS key FROM pg_locks
 WHERE locktype = 'advisory' AND objsubid = 1 AND granted
   AND database = (SELECT oid FROM pg_database WHERE datname = current_database());

-- wait_in_line --
-- Where a key is so hot that its writers keep meeting, they queue. A statement of its own: inside another, the snapshot
-- would be older than the lock.
SELECT pg_advisory_xact_lock(hashtextextended(encode($2, 'hex'), $1));
