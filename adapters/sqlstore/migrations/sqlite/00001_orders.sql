-- Amounts are in minor units of the order's currency. Times are in microseconds since 1970 UTC, and
-- NULL if they are not known. No session setting changes what is stored.

CREATE TABLE IF NOT EXISTS orderfsm_orders (
    id         TEXT NOT NULL PRIMARY KEY,
    gateway    TEXT NOT NULL,
    payment_id TEXT NOT NULL,
    currency   TEXT NOT NULL,
    total      INTEGER NOT NULL CHECK (total > 0),
    refunded   INTEGER NOT NULL CHECK (refunded >= 0),
    reserved   INTEGER NOT NULL CHECK (reserved >= 0),
    -- what the provider paid beyond the total
    excess     INTEGER NOT NULL CHECK (excess >= 0),
    state      TEXT NOT NULL,
    seq        INTEGER NOT NULL,
    version    INTEGER NOT NULL,
    -- a random number of the last write: it proves a COMMIT whose answer is lost
    update_id  INTEGER NOT NULL,
    paid_at    INTEGER,
    created_at INTEGER,
    updated_at INTEGER,
    CHECK (refunded + reserved <= total + excess)
) STRICT, WITHOUT ROWID;

-- With row IDs: only then SQLite compares the columns of an index before it reads the row.
CREATE TABLE IF NOT EXISTS orderfsm_refunds (
    no              TEXT NOT NULL UNIQUE,
    order_id        TEXT NOT NULL REFERENCES orderfsm_orders (id),
    -- that of the order, for the indexes: change both
    gateway         TEXT NOT NULL,
    -- the index among the order's refunds, from 0
    place           INTEGER NOT NULL,
    amount          INTEGER NOT NULL CHECK (amount > 0),
    reason          TEXT NOT NULL,
    state           TEXT NOT NULL,
    requested_by    TEXT NOT NULL,
    reviewed_by     TEXT NOT NULL,
    review_note     TEXT NOT NULL,
    provider_refund_id TEXT NOT NULL,
    code            TEXT NOT NULL,
    message         TEXT NOT NULL,
    recipient       TEXT NOT NULL,
    settled         INTEGER NOT NULL,
    attempts        INTEGER NOT NULL,
    retries         INTEGER NOT NULL,
    -- 0 or 1
    outstanding     INTEGER NOT NULL,
    -- in the year 1 if it is not set: the refund is then due at once
    next_attempt_at INTEGER NOT NULL,
    leased_until    INTEGER,
    submitted_at    INTEGER,
    declined_at     INTEGER,
    accepted_at     INTEGER,
    confirmed_at    INTEGER,
    requested_at    INTEGER NOT NULL,
    reviewed_at     INTEGER,
    approved_at     INTEGER,
    ended_at        INTEGER,
    refunded_at     INTEGER,
    PRIMARY KEY (order_id, place)
) STRICT;

-- Due reads one range of this index, oldest first. Older versions of SQLite read the row if the index
-- does not hold the state.
CREATE INDEX IF NOT EXISTS orderfsm_refunds_due
    ON orderfsm_refunds (next_attempt_at, order_id, no, gateway, state) WHERE state = 'approved';
-- ListRefunds reads ranges of these, page by page.
CREATE INDEX IF NOT EXISTS orderfsm_refunds_list
    ON orderfsm_refunds (requested_at, order_id, no, gateway);
CREATE INDEX IF NOT EXISTS orderfsm_refunds_queue
    ON orderfsm_refunds (state, requested_at, order_id, no, gateway);

-- The history: rows are only added.
CREATE TABLE IF NOT EXISTS orderfsm_transitions (
    order_id   TEXT NOT NULL REFERENCES orderfsm_orders (id),
    seq        INTEGER NOT NULL CHECK (seq > 0),
    event      TEXT NOT NULL,
    refund_no  TEXT NOT NULL REFERENCES orderfsm_refunds (no),
    from_state TEXT NOT NULL,
    to_state   TEXT NOT NULL,
    order_from TEXT NOT NULL,
    order_to   TEXT NOT NULL,
    actor      TEXT NOT NULL,
    note       TEXT NOT NULL,
    at         INTEGER NOT NULL,
    PRIMARY KEY (order_id, seq)
) STRICT, WITHOUT ROWID;
