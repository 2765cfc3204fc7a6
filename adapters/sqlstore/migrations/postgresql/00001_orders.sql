-- Amounts are in minor units of the order's currency. Times are in microseconds since 1970 UTC, and
-- NULL if they are not known. No session setting changes what is stored.

CREATE TABLE IF NOT EXISTS orderfsm_orders (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    gateway    TEXT COLLATE "C" NOT NULL,
    payment_id TEXT COLLATE "C" NOT NULL,
    currency   TEXT COLLATE "C" NOT NULL,
    total      BIGINT NOT NULL CHECK (total > 0),
    refunded   BIGINT NOT NULL CHECK (refunded >= 0),
    reserved   BIGINT NOT NULL CHECK (reserved >= 0),
    -- what the provider paid beyond the total
    excess     BIGINT NOT NULL CHECK (excess >= 0),
    state      TEXT COLLATE "C" NOT NULL,
    seq        BIGINT NOT NULL,
    version    BIGINT NOT NULL,
    -- a random number of the last write: it proves a COMMIT whose answer is lost
    update_id  BIGINT NOT NULL,
    paid_at    BIGINT,
    created_at BIGINT,
    updated_at BIGINT,
    CHECK (refunded + reserved <= total + excess)
);

CREATE TABLE IF NOT EXISTS orderfsm_refunds (
    no              TEXT COLLATE "C" NOT NULL UNIQUE,
    order_id        TEXT COLLATE "C" NOT NULL REFERENCES orderfsm_orders (id),
    -- that of the order, for the indexes: change both
    gateway         TEXT COLLATE "C" NOT NULL,
    -- the index among the order's refunds, from 0
    place           BIGINT NOT NULL,
    amount          BIGINT NOT NULL CHECK (amount > 0),
    reason          TEXT NOT NULL,
    state           TEXT COLLATE "C" NOT NULL,
    requested_by    TEXT NOT NULL,
    reviewed_by     TEXT NOT NULL,
    review_note     TEXT NOT NULL,
    provider_refund_id TEXT NOT NULL,
    code            TEXT NOT NULL,
    message         TEXT NOT NULL,
    recipient       TEXT NOT NULL,
    settled         BIGINT NOT NULL,
    attempts        BIGINT NOT NULL,
    retries         BIGINT NOT NULL,
    -- 0 or 1
    outstanding     BIGINT NOT NULL,
    -- in the year 1 if it is not set: the refund is then due at once
    next_attempt_at BIGINT NOT NULL,
    leased_until    BIGINT,
    submitted_at    BIGINT,
    declined_at     BIGINT,
    accepted_at     BIGINT,
    confirmed_at    BIGINT,
    requested_at    BIGINT NOT NULL,
    reviewed_at     BIGINT,
    approved_at     BIGINT,
    ended_at        BIGINT,
    refunded_at     BIGINT,
    PRIMARY KEY (order_id, place)
);

-- Due reads one range of this index, oldest first.
CREATE INDEX IF NOT EXISTS orderfsm_refunds_due
    ON orderfsm_refunds (next_attempt_at, order_id, no, gateway) WHERE state = 'approved';
-- ListRefunds reads ranges of these, page by page.
CREATE INDEX IF NOT EXISTS orderfsm_refunds_list
    ON orderfsm_refunds (requested_at, order_id, no, gateway);
CREATE INDEX IF NOT EXISTS orderfsm_refunds_queue
    ON orderfsm_refunds (state, requested_at, order_id, no, gateway);

-- The history: rows are only added.
CREATE TABLE IF NOT EXISTS orderfsm_transitions (
    order_id   TEXT COLLATE "C" NOT NULL REFERENCES orderfsm_orders (id),
    seq        BIGINT NOT NULL CHECK (seq > 0),
    event      TEXT COLLATE "C" NOT NULL,
    refund_no  TEXT COLLATE "C" NOT NULL REFERENCES orderfsm_refunds (no),
    from_state TEXT COLLATE "C" NOT NULL,
    to_state   TEXT COLLATE "C" NOT NULL,
    order_from TEXT COLLATE "C" NOT NULL,
    order_to   TEXT COLLATE "C" NOT NULL,
    actor      TEXT NOT NULL,
    note       TEXT NOT NULL,
    at         BIGINT NOT NULL,
    PRIMARY KEY (order_id, seq)
);
