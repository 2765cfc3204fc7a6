-- Amounts are in minor units of the order's currency. Times are in microseconds since 1970 UTC, and
-- NULL if they are not known. No session setting changes what is stored.

CREATE TABLE IF NOT EXISTS orderfsm_orders (
    id         VARCHAR(64) NOT NULL PRIMARY KEY,
    gateway    VARCHAR(32) NOT NULL,
    payment_id VARCHAR(64) NOT NULL,
    currency   VARCHAR(3) NOT NULL,
    total      BIGINT NOT NULL CHECK (total > 0),
    refunded   BIGINT NOT NULL CHECK (refunded >= 0),
    reserved   BIGINT NOT NULL CHECK (reserved >= 0),
    -- what the provider paid beyond the total
    excess     BIGINT NOT NULL CHECK (excess >= 0),
    state      VARCHAR(32) NOT NULL,
    seq        BIGINT NOT NULL,
    version    BIGINT NOT NULL,
    -- a random number of the last write: it proves a COMMIT whose answer is lost
    update_id  BIGINT NOT NULL,
    paid_at    BIGINT,
    created_at BIGINT,
    updated_at BIGINT,
    CHECK (refunded + reserved <= total + excess)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS orderfsm_refunds (
    no              VARCHAR(64) NOT NULL UNIQUE,
    order_id        VARCHAR(64) NOT NULL,
    FOREIGN KEY (order_id) REFERENCES orderfsm_orders (id),
    -- that of the order, for the indexes: change both
    gateway         VARCHAR(32) NOT NULL,
    -- the index among the order's refunds, from 0
    place           BIGINT NOT NULL,
    amount          BIGINT NOT NULL CHECK (amount > 0),
    reason          TEXT NOT NULL,
    state           VARCHAR(32) NOT NULL,
    requested_by    VARCHAR(128) NOT NULL,
    reviewed_by     VARCHAR(128) NOT NULL,
    review_note     TEXT NOT NULL,
    provider_refund_id VARCHAR(128) NOT NULL,
    code            VARCHAR(128) NOT NULL,
    message         TEXT NOT NULL,
    recipient       VARCHAR(128) NOT NULL,
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
    PRIMARY KEY (order_id, place),
    -- Due reads one range of this index, oldest first.
    INDEX orderfsm_refunds_due (state, next_attempt_at, order_id, no, gateway),
    -- ListRefunds reads ranges of these, page by page.
    INDEX orderfsm_refunds_list (requested_at, order_id, no, gateway),
    INDEX orderfsm_refunds_queue (state, requested_at, order_id, no, gateway)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- The history: rows are only added.
CREATE TABLE IF NOT EXISTS orderfsm_transitions (
    order_id   VARCHAR(64) NOT NULL,
    FOREIGN KEY (order_id) REFERENCES orderfsm_orders (id),
    seq        BIGINT NOT NULL CHECK (seq > 0),
    event      VARCHAR(32) NOT NULL,
    refund_no  VARCHAR(64) NOT NULL,
    FOREIGN KEY (refund_no) REFERENCES orderfsm_refunds (no),
    from_state VARCHAR(32) NOT NULL,
    to_state   VARCHAR(32) NOT NULL,
    order_from VARCHAR(32) NOT NULL,
    order_to   VARCHAR(32) NOT NULL,
    actor      VARCHAR(128) NOT NULL,
    note       TEXT NOT NULL,
    at         BIGINT NOT NULL,
    PRIMARY KEY (order_id, seq)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
