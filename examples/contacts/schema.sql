-- The book as it is created on the first start. An id is never used twice, so that an old link
-- never shows somebody else.
CREATE TABLE contacts (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    name    TEXT NOT NULL,
    email   TEXT NOT NULL COLLATE NOCASE UNIQUE,
    company TEXT NOT NULL GENERATED ALWAYS AS (substr(email, instr(email, '@') + 1)) VIRTUAL
);
CREATE INDEX contacts_by_company ON contacts (company, id);

INSERT INTO contacts (name, email) VALUES
    ('Ada Lovelace', 'ada@engines.example'),
    ('Charles Babbage', 'charles@engines.example'),
    ('Grace Hopper', 'grace@compilers.example'),
    ('Jean Sammet', 'jean@compilers.example'),
    ('Katherine Johnson', 'katherine@orbits.example');

PRAGMA user_version = 1;
