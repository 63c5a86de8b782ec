/* schema.c - the tables, and the steps that bring an older file to them.
 * Owns:   every CREATE and ALTER of the store. Does not: begin transactions, keep backups (store.c does both around it).
 *
 * Step i brings a file of version i to version i + 1; version 0 is a file without tables. A step that was ever released
 * is never changed: files made by it are out there, and tests walk from every version to the last. A step that changes
 * what a MAC covers (binding.c, attempts.c) needs MACs anew in its transaction, after a proof of the old ones.
 */
#include "edge/store/binding.h"

/* AUTOINCREMENT: ids are never given twice, so that a sealed value of a row that was removed, whose place holds the id,
 * opens nowhere else, and no new speaker inherits the habits ("habits/3") of one who is gone.
 * Few indexes: proofs read tables (binding.c), and ten recordings a speaker are found as fast without. */
static const char version_1[] =
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value ANY NOT NULL) STRICT;"

    "CREATE TABLE speakers ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  name TEXT NOT NULL UNIQUE,"
    "  created_ms INTEGER NOT NULL,"
    "  updated_ms INTEGER NOT NULL,"
    "  armed INTEGER NOT NULL DEFAULT 0 CHECK (armed IN (0, 1)),"
    "  starter_accepted INTEGER NOT NULL DEFAULT 0 CHECK (starter_accepted IN (0, 1)),"
    "  mac BLOB NOT NULL DEFAULT x''" /* of the profile, see binding.h; written last in each transaction */
    ") STRICT;"

    /* The measures are those of vx_quality, in its order. */
    "CREATE TABLE samples ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  speaker INTEGER NOT NULL REFERENCES speakers ON DELETE CASCADE,"
    "  taken_ms INTEGER NOT NULL,"
    "  microphone TEXT NOT NULL,"
    "  seconds REAL NOT NULL,"
    "  speech_s REAL NOT NULL,"
    "  speech_share REAL NOT NULL,"
    "  speech_dbfs REAL NOT NULL,"
    "  noise_dbfs REAL NOT NULL,"
    "  snr_db REAL NOT NULL,"
    "  clipped_share REAL NOT NULL,"
    "  score REAL NOT NULL,"
    "  audio BLOB" /* sealed; NULL where only the embedding is known */
    ") STRICT;"

    "CREATE TABLE embeddings ("
    "  sample INTEGER NOT NULL REFERENCES samples ON DELETE CASCADE,"
    "  model BLOB NOT NULL CHECK (length(model) = 32),"
    "  vector BLOB NOT NULL," /* sealed */
    "  made_ms INTEGER NOT NULL,"
    "  PRIMARY KEY (sample, model)"
    ") STRICT;"

    /* Verdicts by name: what a number means may move, a record of three years ago must not. */
    "CREATE TABLE attempts ("
    "  id INTEGER PRIMARY KEY," /* 1, 2, ... without gaps; the head counts them */
    "  begun_ms INTEGER NOT NULL,"
    "  ended_ms INTEGER," /* NULL, with the three below, while it has not ended */
    "  command TEXT NOT NULL,"
    "  speaker TEXT NOT NULL,"
    "  verdict TEXT,"
    "  probability REAL,"
    "  mac BLOB NOT NULL DEFAULT x''," /* of the other columns */
    "  detail TEXT"
    ") STRICT;"

    "CREATE TABLE audit ("
    "  n INTEGER PRIMARY KEY,"
    "  when_ms INTEGER NOT NULL,"
    "  kind TEXT NOT NULL,"
    "  subject TEXT NOT NULL,"
    "  detail TEXT NOT NULL,"
    "  mac BLOB NOT NULL"
    ") STRICT;"

    "CREATE TABLE vals (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;"; /* sealed */

/* Fingerprints of what was said, and what ties them to the profile (utterances.c). */
static const char version_2[] =
    "CREATE TABLE utterances ("
    "  speaker INTEGER NOT NULL REFERENCES speakers ON DELETE CASCADE,"
    "  n INTEGER NOT NULL," /* of the speaker: 1, 2, ... without gaps; the oldest are dropped */
    "  taken_ms INTEGER NOT NULL,"
    "  fingerprint BLOB NOT NULL," /* sealed */
    "  PRIMARY KEY (speaker, n)"
    ") STRICT, WITHOUT ROWID;"

    "CREATE TABLE heard ("
    "  speaker INTEGER PRIMARY KEY REFERENCES speakers ON DELETE CASCADE,"
    "  first INTEGER NOT NULL," /* numbers of the utterances there are */
    "  last INTEGER NOT NULL,"
    "  before BLOB NOT NULL," /* tags of the seals of the one before the first, and of the last */
    "  tag BLOB NOT NULL"
    ") STRICT;";

/* Two chains a speaker, told apart by `kind` (vx_utterance_kind). What was heard up to then may be anybody's, the enrolment's
 * too: it goes with the owner's, where no attempt that is not accepted pushes it out. The MACs follow: binding.c. */
static const char version_3[] =
    "CREATE TABLE utterances_3 ("
    "  speaker INTEGER NOT NULL REFERENCES speakers ON DELETE CASCADE,"
    "  kind INTEGER NOT NULL CHECK (kind IN (0, 1)),"
    "  n INTEGER NOT NULL," /* of the chain: 1, 2, ... without gaps; the oldest are dropped */
    "  taken_ms INTEGER NOT NULL,"
    "  fingerprint BLOB NOT NULL," /* sealed */
    "  PRIMARY KEY (speaker, kind, n)"
    ") STRICT, WITHOUT ROWID;"
    "INSERT INTO utterances_3 SELECT speaker, 0, n, taken_ms, fingerprint FROM utterances;"
    "DROP TABLE utterances;"
    "ALTER TABLE utterances_3 RENAME TO utterances;"

    "CREATE TABLE heard_3 ("
    "  speaker INTEGER NOT NULL REFERENCES speakers ON DELETE CASCADE,"
    "  kind INTEGER NOT NULL CHECK (kind IN (0, 1)),"
    "  first INTEGER NOT NULL," /* numbers of the utterances there are */
    "  last INTEGER NOT NULL,"
    "  before BLOB NOT NULL," /* tags of the seals of the one before the first, and of the last */
    "  tag BLOB NOT NULL,"
    "  PRIMARY KEY (speaker, kind)"
    ") STRICT, WITHOUT ROWID;"
    "INSERT INTO heard_3 SELECT speaker, 0, first, last, before, tag FROM heard;"
    "DROP TABLE heard;"
    "ALTER TABLE heard_3 RENAME TO heard;";

static const char *const steps[VX_STORE_SCHEMA] = {version_1, version_2, version_3};
/* The step to this form changes what MACs cover, and where values are sealed for. A new file has none yet. */
enum { REBOUND = 3 };

const vx_schema *vx_schema_current(void)
{
    static const vx_schema schema = {.steps = steps, .version = VX_STORE_SCHEMA};
    return &schema;
}

/* Old MACs are proven at the step that ends their form, new ones written behind the last: each over the columns that there
 * are then. */
static vx_err walk(vx_store *store, const vx_schema *schema, int from, vx_errinfo *info)
{
    vx_fitting fitting = {0};
    vx_err err = VX_OK;
    for (int version = from; err == VX_OK && version < schema->version; version++) {
        if (sqlite3_exec(store->db, schema->steps[version], NULL, NULL, NULL) != SQLITE_OK)
            err = vx_store_failed(store, "bring the profiles to this version's form", info);
        if (from == 0 || version + 1 != REBOUND)
            continue;
        if (err == VX_OK)
            err = vx_profiles_prove_old(store, &fitting, info);
        if (err == VX_OK)
            err = vx_values_reseal(store, info);
    }
    if (err == VX_OK)
        err = vx_profiles_rebind(store, &fitting, info);
    vx_buf_done(&fitting.profiles);
    return err;
}

vx_err vx_schema_migrate_by(vx_store *store, const vx_schema *schema, int from, vx_errinfo *info)
{
    const vx_err err = walk(store, schema, from, info);
    if (err != VX_OK)
        return err;
    /* Pragmas take no bound values. */
    char versions[96];
    snprintf(versions, sizeof versions, "PRAGMA application_id = %d; PRAGMA user_version = %d", VX_STORE_APPLICATION,
             schema->version);
    if (sqlite3_exec(store->db, versions, NULL, NULL, NULL) != SQLITE_OK)
        return vx_store_failed(store, "write the version of the profiles", info);
    return VX_OK;
}

vx_err vx_schema_migrate(vx_store *store, int from, vx_errinfo *info)
{
    return vx_schema_migrate_by(store, vx_schema_current(), from, info);
}
