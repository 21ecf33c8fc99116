-- oldest program: 3

-- What lists show of a version's checksums, so that they need not read its document, which takes longer than the rest of
-- the row: their names with commas between them, a colon, their type. NULL: written before this; lists read the document,
-- until the version changes. No row is written anew for it. An older program that replaces a version would leave this as
-- it was, and so must not go on.
ALTER TABLE post3.versions ADD COLUMN checksums text;
