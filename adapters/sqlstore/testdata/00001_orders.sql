INSERT INTO orderfsm_orders
    (id, gateway, payment_id, currency, total, refunded, reserved, excess, state, seq, version, update_id, paid_at, created_at, updated_at)
VALUES
    ('O-plain', 'wechat', '42000O-plain', 'CNY', 9900, 0, 0, 0, 'paid', 0, 1, 0, 1767319445123456, 1767323046123456, 1767323046123456),
    ('O-parts', 'wechat', '42000O-parts', 'CNY', 9900, 4000, 500, 0, 'refund_requested', 6, 8, 0, 1767319445123456, 1767323047123456, 1767323056123456),
    ('O-trouble', 'wechat', '42000O-trouble', 'CNY', 9900, 0, 6000, 0, 'abnormal', 8, 13, 0, 1767319445123456, 1767323057123456, 1767323075123456);
INSERT INTO orderfsm_refunds
    (no, order_id, gateway, place, amount, reason, state, requested_by, reviewed_by, review_note, provider_refund_id, code, message, attempts, retries, outstanding, next_attempt_at, leased_until, submitted_at, declined_at, accepted_at, confirmed_at, requested_at, reviewed_at, approved_at, ended_at, refunded_at, recipient, settled)
VALUES
    ('R-refunded', 'O-parts', 'wechat', 0, 4000, '不合身 👕 it''s too small', 'refunded', 'buyer:1', 'staff:1', 'ok', '50300001', 'SUCCESS', '', 1, 0, 0, -62135596800000000, NULL, 1767323050123456, NULL, NULL, NULL, 1767323048123456, 1767323049123456, 1767323049123456, 1767323052123456, NULL, '', 0),
    ('R-rejected', 'O-parts', 'wechat', 1, 100, 'again', 'rejected', 'buyer:1', 'staff:2', 'no', '', '', '', 0, 0, 0, -62135596800000000, NULL, NULL, NULL, NULL, NULL, 1767323054123456, 1767323055123456, NULL, 1767323055123456, NULL, '', 0),
    ('R-review', 'O-parts', 'wechat', 2, 500, '', 'refund_requested', 'buyer:1', '', '', '', '', '', 0, 0, 0, -62135596800000000, NULL, NULL, NULL, NULL, NULL, 1767323056123456, NULL, NULL, NULL, NULL, '', 0),
    ('R-failed', 'O-trouble', 'wechat', 0, 1000, 'x', 'failed', 'buyer:1', 'staff:1', 'ok', '', 'NOTENOUGH', '余额不足', 1, 0, 0, -62135596800000000, NULL, 1767323060123456, NULL, NULL, NULL, 1767323058123456, 1767323059123456, 1767323059123456, 1767323062123456, NULL, '', 0),
    ('R-abnormal', 'O-trouble', 'wechat', 1, 2000, 'y', 'abnormal', 'buyer:1', 'staff:1', 'ok', '50300007', '', '', 1, 0, 0, -62135596800000000, NULL, 1767323066123456, NULL, NULL, NULL, 1767323064123456, 1767323065123456, 1767323065123456, NULL, NULL, '', 0),
    ('R-unknown', 'O-trouble', 'wechat', 2, 3000, 'z', 'approved', 'buyer:1', 'staff:1', 'ok', '', '', 'timeout', 1, 0, 1, 1767323078767212, NULL, 1767323072123456, NULL, NULL, NULL, 1767323070123456, 1767323071123456, 1767323071123456, NULL, NULL, '', 0);
INSERT INTO orderfsm_transitions
    (order_id, seq, event, refund_no, from_state, to_state, order_from, order_to, actor, note, at)
VALUES
    ('O-parts', 1, 'request_refund', 'R-refunded', 'paid', 'refund_requested', 'paid', 'refund_requested', 'buyer:1', '', 1767323048123456),
    ('O-parts', 2, 'approve', 'R-refunded', 'refund_requested', 'approved', 'refund_requested', 'approved', 'staff:1', 'ok', 1767323049123456),
    ('O-parts', 3, 'settle', 'R-refunded', 'approved', 'refunded', 'approved', 'paid', 'provider', 'SUCCESS', 1767323052123456),
    ('O-parts', 4, 'request_refund', 'R-rejected', 'paid', 'refund_requested', 'paid', 'refund_requested', 'buyer:1', '', 1767323054123456),
    ('O-parts', 5, 'reject', 'R-rejected', 'refund_requested', 'rejected', 'refund_requested', 'paid', 'staff:2', 'no', 1767323055123456),
    ('O-parts', 6, 'request_refund', 'R-review', 'paid', 'refund_requested', 'paid', 'refund_requested', 'buyer:1', '', 1767323056123456),
    ('O-trouble', 1, 'request_refund', 'R-failed', 'paid', 'refund_requested', 'paid', 'refund_requested', 'buyer:1', '', 1767323058123456),
    ('O-trouble', 2, 'approve', 'R-failed', 'refund_requested', 'approved', 'refund_requested', 'approved', 'staff:1', 'ok', 1767323059123456),
    ('O-trouble', 3, 'fail', 'R-failed', 'approved', 'failed', 'approved', 'failed', 'provider', 'NOTENOUGH 余额不足', 1767323062123456),
    ('O-trouble', 4, 'request_refund', 'R-abnormal', 'paid', 'refund_requested', 'failed', 'refund_requested', 'buyer:1', '', 1767323064123456),
    ('O-trouble', 5, 'approve', 'R-abnormal', 'refund_requested', 'approved', 'refund_requested', 'approved', 'staff:1', 'ok', 1767323065123456),
    ('O-trouble', 6, 'hold', 'R-abnormal', 'approved', 'abnormal', 'approved', 'abnormal', 'provider', '', 1767323068123456),
    ('O-trouble', 7, 'request_refund', 'R-unknown', 'paid', 'refund_requested', 'abnormal', 'abnormal', 'buyer:1', '', 1767323070123456),
    ('O-trouble', 8, 'approve', 'R-unknown', 'refund_requested', 'approved', 'abnormal', 'abnormal', 'staff:1', 'ok', 1767323071123456);
