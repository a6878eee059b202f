-- From version 1 to 2. {schema} is the schema's quoted name.
ALTER TABLE {schema}.feed ADD COLUMN timeline integer;
ALTER TABLE {schema}.feed ADD COLUMN relation oid;
ALTER TABLE {schema}.feed ADD COLUMN adopted bigint[] NOT NULL DEFAULT '{{}}';
UPDATE {schema}.feed SET relation = tableoid;
ALTER TABLE {schema}.feed ALTER COLUMN relation SET NOT NULL;
