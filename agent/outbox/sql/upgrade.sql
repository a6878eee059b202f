-- From any earlier version to this one. {schema} is the schema's quoted name. The tables that are new as a whole are made
-- from their own files.
-- Version 2:
ALTER TABLE {schema}.feed ADD COLUMN IF NOT EXISTS timeline integer;
ALTER TABLE {schema}.feed ADD COLUMN IF NOT EXISTS relation oid;
ALTER TABLE {schema}.feed ADD COLUMN IF NOT EXISTS adopted bigint[] NOT NULL DEFAULT '{{}}';
UPDATE {schema}.feed SET relation = tableoid WHERE relation IS NULL;
ALTER TABLE {schema}.feed ALTER COLUMN relation SET NOT NULL;
-- Version 3:
ALTER TABLE {schema}.bucket ADD COLUMN IF NOT EXISTS unclean integer NOT NULL DEFAULT 0;
ALTER TABLE {schema}.bucket ADD COLUMN IF NOT EXISTS attempting bigint;
ALTER TABLE {schema}.bucket ADD COLUMN IF NOT EXISTS suspect bigint;
-- Version 4:
ALTER TABLE {schema}.relay ADD COLUMN IF NOT EXISTS since timestamptz NOT NULL DEFAULT now();
